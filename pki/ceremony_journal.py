"""What a ceremony set out to do and has done, on disk before the token is touched, so that it can be taken up again."""

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from hsm.ceremony import KeyCeremony, TokenIdentity
from pki.authorities import AUTHORITIES_FILE, CERTIFICATE_FILES
from pki.ceremony_plan import CeremonyPlan
from pki.certificate import utc_seconds
from pki.errors import CeremonyRefused
from pki.evidence import Step

INTENT_FILE = "ceremony.json"


def write_whole(path: Path, data: bytes) -> None:
    """The file is there whole, on disk, or it is not there; one that says the same already is left alone."""
    if path.exists() and path.read_bytes() == data:
        return
    written = path.with_name(path.name + ".part")
    with written.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Journal:
    """The intent file: plan, token, labels this ceremony makes, labels it found, and the steps finished so far."""

    def __init__(self, path: Path, found: frozenset[str], steps: list[Step], head: dict[str, object]) -> None:
        self._path = path
        self._head = head
        self.found = found
        self._steps = steps

    @classmethod
    def open(cls, plan: CeremonyPlan, ceremony: KeyCeremony, directory: Path, now: datetime) -> "Journal":
        """Take up the ceremony this directory began, or begin it.

        Raises `CeremonyRefused` when the directory began another one, on another token, or when the token has a key
        under a label of this plan that no begun ceremony accounts for.
        """
        path = directory / INTENT_FILE
        token = ceremony.token()
        if path.exists():
            return cls._take_up(path, plan, token)
        labels = [planned.label for planned in plan.authorities().values()]
        taken = sorted(ceremony.labels() & set(labels))
        if taken:
            raise CeremonyRefused(f"the token has keys under labels of this plan: {', '.join(taken)}")
        if any((directory / name).exists() for name in (*CERTIFICATE_FILES.values(), AUTHORITIES_FILE)):
            raise CeremonyRefused("the directory holds authorities that no ceremony of this directory began")
        found = ceremony.labels()
        head: dict[str, object] = {
            "ceremony": plan.name,
            "plan_sha256": plan.sha256,
            "token": asdict(token),
            "labels": labels,
            "found": sorted(found),
        }
        directory.mkdir(parents=True, exist_ok=True)
        journal = cls(path, found, [], head)
        journal.record("begin", now, f"{plan.title}: plan read and checked, token identified")
        return journal

    @classmethod
    def _take_up(cls, path: Path, plan: CeremonyPlan, token: TokenIdentity) -> "Journal":
        try:
            kept = json.loads(path.read_bytes())
            steps = [Step(**step) for step in kept.pop("steps")]
            same_plan, same_token = kept["plan_sha256"] == plan.sha256, kept["token"] == asdict(token)
            journal = cls(path, frozenset(kept["found"]), steps, kept)
        except (ValueError, KeyError, TypeError):
            raise CeremonyRefused("the intent file of the ceremony cannot be read") from None
        if not same_plan:
            raise CeremonyRefused("the directory began a ceremony by another plan")
        if not same_token:
            raise CeremonyRefused("the directory began its ceremony on another token")
        return journal

    @property
    def steps(self) -> tuple[Step, ...]:
        """Finished steps in order."""
        return tuple(self._steps)

    def record(self, name: str, now: datetime, what: str) -> None:
        """Note a finished step; one that was noted before keeps its first time."""
        if any(step.name == name for step in self._steps):
            return
        self._steps.append(Step(name, utc_seconds(now).isoformat(), what))
        whole = {**self._head, "steps": [asdict(step) for step in self._steps]}
        write_whole(self._path, json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n")
