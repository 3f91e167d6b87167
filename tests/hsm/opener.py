"""A process of its own for the tests: opens the token, signs and closes, once for each line on stdin."""

import sys
from pathlib import Path

from hsm.pkcs11 import open_hsm
from hsm.ports import KeyLabel
from hsm.settings import TokenSettings


def main(module: str, token_label: str, pin_file: str, lock_file: str, label: str) -> None:
    settings = TokenSettings(Path(module), token_label, Path(pin_file), Path(lock_file))
    print("ready", flush=True)  # noqa: T201 - the protocol with the test
    for _ in sys.stdin:
        hsm = open_hsm(settings)
        hsm.sign(KeyLabel(label), bytes(48))
        hsm.close()
        print("signed", flush=True)  # noqa: T201 - the protocol with the test


if __name__ == "__main__":
    main(*sys.argv[1:])
