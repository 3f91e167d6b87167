"""Running programs nobody here wrote on data that must not touch a disk.

Inputs and outputs are anonymous memory files (memfd_create(2)) that the program opens as `/proc/self/fd/N`; the
environment is built from nothing, so that no setting of the machine changes a judgement.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from personalization.errors import Halt

TIMEOUT_SECONDS = 10.0


class JudgeSilent(Halt):
    """A program did not end in time, which says something of the machine and nothing of the card."""

    def __init__(self, program: str) -> None:
        super().__init__(
            "judge-silent",
            f"{program} did not end within {TIMEOUT_SECONDS:.0f} s; look after it, and after pcscd, and start again",
        )


class MemoryFile:
    """A file that exists in memory alone; `path` is valid in the programs it is handed to."""

    def __init__(self, content: bytes = b"") -> None:
        self.descriptor = os.memfd_create("inspection", os.MFD_CLOEXEC)
        view = memoryview(content)
        while view:
            view = view[os.write(self.descriptor, view) :]

    @property
    def path(self) -> str:
        """Its name in this process and in a program that inherits the descriptor."""
        return f"/proc/self/fd/{self.descriptor}"

    def content(self) -> bytes:
        """Everything in it, whoever wrote it."""
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)

    def close(self) -> None:
        """Let the memory go."""
        os.close(self.descriptor)


Argument = str | MemoryFile


class Run:
    """A program that was started; several run side by side."""

    def __init__(self, arguments: Sequence[Argument], environment: Mapping[str, Argument]) -> None:
        """Start it. Raises `Halt` where it cannot be started: that says nothing of the card."""
        self._program = arguments[0]
        handed = [item for item in (*arguments, *environment.values()) if isinstance(item, MemoryFile)]
        self._finished: tuple[bytes, str] | None = None
        try:
            self._process = subprocess.Popen(
                [_text(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[file.descriptor for file in handed],
                env={"LC_ALL": "C"} | {name: _text(value) for name, value in environment.items()},
            )
        except OSError:
            raise Halt("judge-missing", f"{self._program} cannot be started; is it installed?") from None

    def finish(self) -> tuple[bytes, str]:
        """Standard output and standard error once the program has ended.

        Raises `JudgeSilent` when it did not end within `TIMEOUT_SECONDS`.
        """
        if self._finished is None:
            try:
                output, errors = self._process.communicate(timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.close()
                raise JudgeSilent(_text(self._program)) from None
            self._finished = output, errors.decode("utf-8", "replace")
        return self._finished

    def close(self) -> None:
        """End the program if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


class Bench:
    """The memory files and programs of one judgement: nothing of them is left when the block ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def file(self, content: bytes = b"") -> MemoryFile:
        """A new memory file holding `content`."""
        made = MemoryFile(content)
        self._stack.callback(made.close)
        return made

    def start(self, *arguments: Argument, environment: Mapping[str, Argument] | None = None) -> Run:
        """Start a program; memory files among the arguments and in the environment are handed to it."""
        run = Run(arguments, environment or {})
        self._stack.callback(run.close)
        return run


def _text(argument: Argument) -> str:
    return argument.path if isinstance(argument, MemoryFile) else argument
