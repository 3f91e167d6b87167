"""A simulator lives exactly as long as whoever started it: until its stdin ends, its parent dies or SIGTERM comes."""

import ctypes
import os
import selectors
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PARENT_GONE = signal.SIGUSR1


def end_with_parent(stop: Callable[[], None]) -> None:
    """Call `stop` once, from a thread of its own, when stdin reaches its end, the parent dies, or on SIGTERM or SIGINT.

    Call it from the main thread. Linux sends the death signal already when the parent's *thread* that started us ends;
    so that signal only makes us look whether the parent itself is gone (prctl(2), PR_SET_PDEATHSIG).
    """
    parent = os.getppid()
    wake, woken = os.pipe()
    asked = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if number == _PARENT_GONE and os.getppid() == parent:
            return
        asked.set()
        os.write(woken, b"x")

    for number in (signal.SIGTERM, signal.SIGINT, _PARENT_GONE):
        signal.signal(number, ask)
    # A parent of 0 is outside our PID namespace: `unshare --kill-child` has set SIGKILL, which is better
    if parent != 0 and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(_PARENT_GONE), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")

    def watch() -> None:
        _wait_for_end(sys.stdin.fileno(), wake, asked)
        stop()

    threading.Thread(target=watch, name="lifetime", daemon=True).start()


def _wait_for_end(stdin: int, wake: int, asked: threading.Event) -> None:
    """Return when nothing more can come from stdin, or once `asked` is set (a byte on `wake` interrupts the wait)."""
    with selectors.PollSelector() as selector:  # poll takes /dev/null and plain files too; epoll refuses them
        selector.register(stdin, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while not asked.is_set():
            for key, _ in selector.select():
                if key.fd == stdin and not os.read(stdin, 4096):
                    return
