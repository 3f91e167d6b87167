"""The inside of the simulated card printer: its job list on disk, and the one card at a time that it prints.

DIR/jobs.jsonl gets a line for every change of a job (the last line of a job counts), DIR/printed/<job-name>.pdf is the
last document printed under that name. The document is stored before its job is called completed, so a printer that was
killed knows at the next start which of the two it was. Touch DIR/jam and the next card jams.
"""

import dataclasses
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROCESSING, CANCELED, ABORTED, COMPLETED = 5, 7, 8, 9
"""job-state values (RFC 8011 §5.3.7)."""

_SUFFIXES = {"application/pdf": ".pdf", "image/pwg-raster": ".pwg"}
_NEAR_SECONDS = 3.0
_LONGEST_FILE_NAME = 200


class PressBusyError(Exception):
    """A card is being printed; the printer keeps no queue."""


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A print job as jobs.jsonl keeps it; times are Unix seconds, `reasons` job-state-reasons keywords."""

    id: int
    name: str
    user: str
    document_format: str
    sha256: str
    size_bytes: int
    created: int
    state: int = PROCESSING
    reasons: tuple[str, ...] = ("job-printing",)
    completed: int | None = None

    @property
    def final(self) -> bool:
        """Nothing will happen to this job any more."""
        return self.state in (CANCELED, ABORTED, COMPLETED)


class Press:
    """Prints one document at a time; all methods may be called from any thread."""

    def __init__(self, directory: Path, seconds_per_card: float) -> None:
        self._directory = directory
        self._seconds_per_card = seconds_per_card
        self._changed = threading.Condition()
        self._cancel_wanted = False
        self._active: int | None = None
        self._printed = directory / "printed"
        self._printed.mkdir(parents=True, exist_ok=True)
        self._jobs = self._read_jobs()
        self._list = (directory / "jobs.jsonl").open("a", buffering=1, encoding="utf-8")
        self._jammed = False
        with self._changed:
            for job in [job for job in self._jobs.values() if not job.final]:
                self._recover(job)

    @property
    def active(self) -> Job | None:
        """The job whose card is being printed."""
        with self._changed:
            return None if self._active is None else self._jobs[self._active]

    @property
    def jammed(self) -> bool:
        """The last card jammed (cleared by the next one that is printed)."""
        return self._jammed

    def jobs(self) -> tuple[Job, ...]:
        """Every job ever taken, oldest first."""
        with self._changed:
            return tuple(self._jobs.values())

    def job(self, number: int) -> Job | None:
        """The job with this id."""
        with self._changed:
            return self._jobs.get(number)

    def submit(self, name: str, user: str, document_format: str, document: bytes) -> Job:
        """Take a job and begin to print it. Raises `PressBusyError`."""
        with self._changed:
            if self._active is not None:
                raise PressBusyError
            number = max(self._jobs, default=0) + 1
            job = Job(
                id=number,
                name=name or f"job-{number}",
                user=user,
                document_format=document_format,
                sha256=hashlib.sha256(document).hexdigest(),
                size_bytes=len(document),
                created=int(time.time()),
            )
            self._active, self._cancel_wanted = number, False
            self._note(job)
        threading.Thread(target=self._print, args=(job, document), name="press", daemon=True).start()
        return job

    def cancel(self, number: int) -> bool:
        """Ask for a cancel; False when the job is final already. The job's state says later whether it was in time."""
        with self._changed:
            job = self._jobs[number]
            if job.final:
                return False
            self._note(dataclasses.replace(job, reasons=("processing-to-stop-point",)))
            self._cancel_wanted = True
            self._changed.notify_all()
            return True

    def finish(self) -> None:
        """Wait for the card in the machine: a press that is switched off orderly prints it if its end is near."""
        with self._changed:
            self._changed.wait_for(lambda: self._active is None, _NEAR_SECONDS)

    def printed_file(self, job: Job) -> Path:
        """Where the last document printed under this job's name lies."""
        name = quote(job.name, safe=" @+,=()")
        if len(name) > _LONGEST_FILE_NAME:
            name = hashlib.sha256(job.name.encode()).hexdigest()
        return self._printed / (name + _SUFFIXES[job.document_format])

    def _print(self, job: Job, document: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._cancel_wanted, self._seconds_per_card)
            if self._cancel_wanted:
                self._finish(job, CANCELED, "job-canceled-by-user")
            elif self._jam():
                self._jammed = True
                self._finish(job, ABORTED, "aborted-by-system")
            else:
                self._store(job, document)
                self._jammed = False
                self._finish(job, COMPLETED, "job-completed-successfully")

    def _jam(self) -> bool:
        try:
            (self._directory / "jam").unlink()
        except FileNotFoundError:
            return False
        return True

    def _store(self, job: Job, document: bytes) -> None:
        target = self.printed_file(job)
        staged = self._directory / "printing"
        staged.write_bytes(document)
        staged.rename(target)

    def _finish(self, job: Job, state: int, reason: str) -> None:
        self._note(dataclasses.replace(job, state=state, reasons=(reason,), completed=int(time.time())))
        self._active = None
        self._changed.notify_all()

    def _note(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._list.write(json.dumps(dataclasses.asdict(job)) + "\n")

    def _recover(self, job: Job) -> None:
        """Decide a job that was open when the printer was killed: its document is in the store, or it is not."""
        try:
            stored = hashlib.sha256(self.printed_file(job).read_bytes()).hexdigest()
        except FileNotFoundError:
            stored = ""
        if stored == job.sha256:
            self._finish(job, COMPLETED, "job-completed-successfully")
        else:
            self._finish(job, ABORTED, "aborted-by-system")

    def _read_jobs(self) -> dict[int, Job]:
        path = self._directory / "jobs.jsonl"
        jobs: dict[int, Job] = {}
        if not path.exists():
            return jobs
        raw = path.read_bytes()
        whole, _, torn = raw.rpartition(b"\n")
        if torn:  # killed in the middle of a line
            os.truncate(path, len(whole) + 1 if whole else 0)
        for line in whole.splitlines():
            fields: dict[str, Any] = json.loads(line)
            fields["reasons"] = tuple(fields["reasons"])
            jobs[fields["id"]] = Job(**fields)
        return jobs
