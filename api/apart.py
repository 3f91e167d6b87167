"""Work with keys or opened records in a spawned process of its own: PKCS#11 never lives in the parent."""

import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import Any

from api.failure import CommandFailed, sentence_of
from personalization.errors import EngineError, place_of
from personalization.processes import die_with_parent, keep_memory_private
from personalization.settings import Settings


def environment_of(settings: Settings) -> dict[str, str]:
    """What libraries read from the environment, once, when they are loaded."""
    named = {"SOFTHSM2_CONF": settings.softhsm_conf, "PCSCLITE_CSOCK_NAME": settings.pcsc_socket}
    return {name: str(path) for name, path in named.items() if path is not None}


def run_apart[**P, R](
    environment: Mapping[str, str], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """`function(*args)` of a spawned process that has `environment` and ends with its parent; its result.

    Function, arguments and result are pickled; the function imports what loads native libraries itself, late.
    Raises `CommandFailed` with the sentence of an error of ours or of the operating system.
    """
