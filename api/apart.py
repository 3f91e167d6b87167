"""Work with keys or opened records in a spawned process of its own: PKCS#11 never lives in the parent."""

import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import Any, ParamSpec, TypeVar

from api.failure import CommandFailed, sentence_of
from hsm.errors import HsmError
from personalization.errors import EngineError, place_of
from personalization.processes import die_with_parent, keep_memory_private
from personalization.settings import Settings
from personalization.station.errors import StationError
from pki.errors import PkiError

P = ParamSpec("P")
R = TypeVar("R")


def environment_of(settings: Settings) -> dict[str, str]:
    """What native libraries read from the environment, once, when they are loaded."""
    named = {"SOFTHSM2_CONF": settings.softhsm_conf, "PCSCLITE_CSOCK_NAME": settings.pcsc_socket}
    return {name: str(path) for name, path in named.items() if path is not None}


def run_apart(environment: Mapping[str, str], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of `function`, called in a spawned process that has `environment` and ends with its parent.

    Function, arguments and result are pickled; the function itself imports, late, what loads native libraries.
    Raises `CommandFailed` with the sentence of an error of ours or of the operating system.
    """
    return run_apart_within(None, environment, function, *args, **kwargs)


def run_apart_within(
    seconds: float | None, environment: Mapping[str, str], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """The same, given up after `seconds`: a driver may wait for ever for a device that is gone."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, dict(environment), function, args, kwargs))
    process.start()
    theirs.close()
    failed, result = True, "the process that worked with the keys died"
    try:
        if ours.poll(seconds):
            failed, result = ours.recv()
        else:
            process.kill()
            result = f"no answer within {seconds:.0f} s"
    except EOFError:
        pass  # it said nothing
    except BaseException:
        process.terminate()  # interrupted: whatever it does is whole or not done
        raise
    finally:
        process.join()
        ours.close()
    if failed:
        raise CommandFailed(str(result))
    return result  # type: ignore[return-value]


def _work(
    pipe: Pipe, environment: dict[str, str], function: Callable[..., object], args: tuple[Any, ...], kwargs: Any
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    die_with_parent()
    keep_memory_private()
    os.environ.update(environment)
    try:
        result = function(*args, **kwargs)
    except (CommandFailed, HsmError, PkiError, EngineError, StationError) as error:
        pipe.send((True, str(error) or type(error).__name__))
    except OSError as error:
        pipe.send((True, sentence_of(error)))
    except Exception as error:  # noqa: BLE001 - its text may quote data: name the place, never the values
        pipe.send((True, f"stopped by {type(error).__name__} at {place_of(error)}"))
    else:
        pipe.send((False, result))
