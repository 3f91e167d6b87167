"""Coverage-guided fuzzing of one reader, or of all: `python -m tests.fuzz.harness TARGET|all [libFuzzer's arguments]`.

With `all` the first byte of an input chooses the target. An exception that the target does not expect ends the run; the
input then lies where `-artifact_prefix=` says.
"""

import sys

import atheris

with atheris.instrument_imports(include=["card_profiles", "hsm", "personalization", "pki"]):
    from tests.fuzz.targets import TARGETS

NAMES = tuple(TARGETS)
ALL = "all"


def chosen(data: bytes) -> tuple[str, bytes]:
    """The target's name and its input."""
    return NAMES[data[0] % len(NAMES)], data[1:]


def one_of_all(data: bytes) -> None:
    """Any target."""
    if data:
        name, rest = chosen(data)
        TARGETS[name](rest)


def main() -> None:
    """Until the bound in the arguments, or a defect."""
    name = sys.argv.pop(1)
    target = one_of_all if name == ALL else lambda data: void(TARGETS[name](data))
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


def void(_: object) -> None:
    """libFuzzer takes a returned value for advice on what to keep."""


if __name__ == "__main__":
    main()
