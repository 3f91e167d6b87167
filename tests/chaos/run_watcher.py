"""Watches a run from outside: command lines and environments every 5 ms, files every 20 ms.

Kept are, each once: the command lines and environments of all processes of the run; the content of new files in the
watched temporary folders (however short they live), of files that are open but deleted, and of files that a process of
the product holds open for writing elsewhere; and, every two seconds, the files of the state that have changed.

Left out are memory files (memfd_create(2)): they are the judges' inputs, and lie on no disk.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

FILES_SECONDS = 0.02
PROCESSES_SECONDS = 0.005
STATE_SECONDS = 2.0
LARGEST_BYTES = 32 * 1024 * 1024
COMMON_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - watched, not used
COMMON_NAMES = ("etilqs_", "core")
"""What SQLite and the kernel call such files there; Python's go where TMPDIR says."""
NO_FILE = ("/memfd:", "/dev/", "/proc/", "/sys/", "pipe:", "socket:", "anon_inode:")


class RunWatcher:
    """A context manager around one or several runs; `follow` names the process whose descendants count."""

    def __init__(self, state: Path, *folders: Path) -> None:
        """`folders` belong to the run alone; of the machine's common ones only what is new is looked at."""
        self.command_lines: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.written: dict[str, dict[bytes, bytes]] = {}
        self.passes = 0
        self._state = state
        self._folders = folders
        self._old = {str(path) for folder in COMMON_FOLDERS if folder.is_dir() for path in folder.iterdir()}
        self._known: dict[str, tuple[int, int]] = {}
        self._roots: tuple[int, ...] = ()
        self._product: tuple[int, ...] = ()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=target) for target in (self._watch_files, self._watch_processes)]

    def __enter__(self) -> "RunWatcher":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def follow(self, pid: int) -> None:
        """Watch this process and all that descend from it."""
        self._roots += (pid,)

    def look_at_state(self) -> None:
        """Keep what the state's files hold now."""
        for path in product_files(self._state):
            self._keep_if_changed(path, f"state/{path.relative_to(self._state)}")

    def _watch_files(self) -> None:
        state_due = 0.0
        while not self._ended.is_set():
            for pid in self._product:
                self._look_at_open_files(Path(f"/proc/{pid}"))
            for folder in self._folders:
                self._look_at(folder, folder.name)
            for folder in COMMON_FOLDERS:
                self._look_at_new(folder)
            if time.monotonic() > state_due:
                self.look_at_state()
                state_due = time.monotonic() + STATE_SECONDS
            self.passes += 1
            self._ended.wait(FILES_SECONDS)

    def _watch_processes(self) -> None:
        while not self._ended.is_set():
            product: list[int] = []
            for root in self._roots:
                self._look_at_process(root, product, simulator=False)
            self._product = tuple(product)
            self._ended.wait(PROCESSES_SECONDS)

    def _look_at_process(self, pid: int, product: list[int], *, simulator: bool) -> None:
        """This process and its children; `product` gets those that are no simulators and belong to none."""
        command_line = _read(f"/proc/{pid}/cmdline")
        self.command_lines.add(command_line)
        self.environments.add(_read(f"/proc/{pid}/environ"))
        simulator = simulator or b"\0-m\0simulators." in command_line
        if not simulator:
            product.append(pid)
        for child in _children(pid):
            self._look_at_process(child, product, simulator=simulator)

    def _look_at(self, folder: Path, name: str) -> None:
        for path in files_below(folder):
            self._keep_if_changed(path, f"{name}/{path.relative_to(folder)}")

    def _look_at_new(self, folder: Path) -> None:
        try:
            new = [path for path in folder.iterdir() if str(path) not in self._old]
        except OSError:
            return
        for path in new:
            if path.name.startswith(COMMON_NAMES):
                self._keep_if_changed(path, str(path))
            elif path.name.startswith("perso-") and self._is_ours(path):
                self._look_at(path, str(path))

    def _is_ours(self, path: Path) -> bool:
        """Whether a process of the run was told of this folder; other runs of the machine have theirs."""
        return any(bytes(path) in line for line in tuple(self.command_lines))

    def _look_at_open_files(self, process: Path) -> None:
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            return  # gone; or, where we are not root, a worker that keeps its memory private
        for descriptor in descriptors:
            try:
                target = str(descriptor.readlink())
                if target.startswith(NO_FILE):
                    continue
                if target.endswith(" (deleted)"):
                    self._keep_if_changed(descriptor, f"deleted: {target}")
                elif not target.startswith(str(self._state)) and _is_written(process / "fdinfo" / descriptor.name):
                    self._keep_if_changed(descriptor, f"open: {target}")
            except OSError:
                continue

    def _keep_if_changed(self, path: Path, origin: str) -> None:
        try:
            status = path.stat()
            if not os.path.isfile(path) or status.st_size > LARGEST_BYTES:  # noqa: PTH113 - follows /proc/*/fd
                return
            stamp = (status.st_mtime_ns, status.st_size)
            if self._known.get(origin) == stamp:
                return
            content = path.read_bytes()
        except OSError:
            return
        self._known[origin] = stamp
        self.written.setdefault(origin, {})[hashlib.sha256(content).digest()] = content


def product_files(state: Path) -> Iterator[Path]:
    """Every file of a state but the simulators' own stores."""
    return (path for path in files_below(state) if path.relative_to(state).parts[0] != "simulated")


def files_below(folder: Path) -> Iterator[Path]:
    """All regular files of a folder that may be changing meanwhile."""
    for directory, _, names in os.walk(folder):
        for name in names:
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _children(pid: int) -> Iterator[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - quicker, and quick is all here
    except OSError:
        return
    for thread in threads:
        yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:
        return b""


def _is_written(information: Path) -> bool:
    flags = next(line for line in information.read_text().splitlines() if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
