"""What stands for the acceptance process in the tests of its client: one that hangs, one that dies, one in trouble."""

import time
from multiprocessing.connection import Connection as Pipe

from personalization.acceptance import Answer
from personalization.acceptance_door import READY, Push, Trouble
from personalization.processes import die_with_parent
from personalization.settings import Settings


def obliging(_settings: Settings, pipe: Pipe) -> None:
    """Answers by what it was sent: `hang`, `die`, the name of a trouble; anything else is taken."""
    die_with_parent()
    pipe.send(READY)
    while True:
        try:
            push: Push = pipe.recv()
        except EOFError:
            return
        asked = push.contents[0].decode()
        if asked == "hang":
            time.sleep(60)
        elif asked == "die":
            return
        elif asked in list(Trouble):
            pipe.send(Trouble(asked))
        else:
            time.sleep(0.05)
            pipe.send((Answer("PADIS-2026-0000001", int(asked), "accepted", (), None, False),))


def never_ready(_settings: Settings, _pipe: Pipe) -> None:
    """Ends at once, as without an HSM."""
