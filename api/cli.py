"""`perso`: the command line. Errors become a sentence and an exit code here and nowhere else."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from api.commands import audit, bench, card, ceremony, clients, doctor, inspect, report, run, serve, sources
from api.failure import CommandFailed, sentence_of
from personalization.errors import EngineError
from pki.errors import PkiError

EXIT_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 only when all went well."""
    parser = argparse.ArgumentParser(
        prog="perso", description="Software of an eID personalization centre and its PKI.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (run, card, inspect, ceremony, report, audit, doctor, sources, clients, serve, bench):
        module.add_to(commands)
    options = parser.parse_args(arguments)
    os.umask(0o077)  # whatever a command makes is for its user alone
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, it ends as orderly as by Ctrl-C
    try:
        code: int = options.command(options)
    except (CommandFailed, EngineError, PkiError) as failure:
        return _failed(str(failure))
    except BrokenPipeError:
        # Whoever read the output (`| head`) has seen enough; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        return _failed(sentence_of(error))
    except KeyboardInterrupt:
        print("perso: stopped; the same command goes on from here", file=sys.stderr)  # noqa: T201 - a command line speaks
        return 130
    return code


def _failed(sentence: str) -> int:
    print(f"perso: {sentence}", file=sys.stderr)  # noqa: T201 - a command line speaks
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
