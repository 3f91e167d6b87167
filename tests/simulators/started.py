"""Simulators as their users meet them: processes that say on stdout where they are and end when stdin ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Started:
    """A running simulator and the line it printed."""

    process: subprocess.Popen[bytes]
    told: dict[str, Any]

    def close(self) -> int:
        """End its stdin; the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def started(program: str, *arguments: str | Path) -> Iterator[Started]:
    """Run `python -m simulators.<program>` until the block ends."""
    command = [sys.executable, "-m", f"simulators.{program}", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Started(process, json.loads(process.stdout.readline()))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def ask(control: str, *lines: bytes) -> list[dict[str, Any]]:
    """Send lines to a control socket; the answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.connect(control)
        with client.makefile("rb") as answers:
            told = []
            for line in lines:
                client.sendall(line + b"\n")
                told.append(json.loads(answers.readline()))
            return told


def move(control: str, op: str, **more: str) -> dict[str, Any]:
    """One request of the control protocol; its answer."""
    return ask(control, json.dumps({"op": op, **more}).encode())[0]


def wait_until(true: Callable[[], bool]) -> None:
    """Look again every 10 ms until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def processes_naming(text: str) -> list[int]:
    """Process ids whose command line holds this text, except our own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
