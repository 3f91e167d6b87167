"""`perso`: the command line. Errors become a sentence and an exit code here and nowhere else."""

import argparse
import os
import sys
from collections.abc import Sequence

from api.commands import card, ceremony, inspect, report, run
from api.commands.failure import CommandFailed
from personalization.errors import EngineError

EXIT_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 only when all went well."""
    parser = argparse.ArgumentParser(
        prog="perso", description="Software of an eID personalization centre and its PKI.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (run, card, inspect, ceremony, report):
        module.add_to(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.command(options)
    except (CommandFailed, EngineError) as failure:
        print(f"perso: {failure}", file=sys.stderr)  # noqa: T201 - a command line speaks
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read the output (`| head`) has seen enough; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("perso: stopped; the same command goes on from here", file=sys.stderr)  # noqa: T201 - a command line speaks
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
