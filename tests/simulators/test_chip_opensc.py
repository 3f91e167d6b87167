"""A personalized chip in the hands of OpenSC, over real PC/SC, with the driver made for the real card.

The test brings its own pcscd, in namespaces of its own: no reader of this machine is touched, nothing listens on it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.simulators import chip_host as host

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("pcscd", "pkcs11-tool", "pkcs15-tool", "unshare"))),
        reason="needs root, pcscd and OpenSC",
    ),
]

VPCD = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
PORT = 0x8CA0
TIMEOUT_SECONDS = 20

READER = f"""FRIENDLYNAME "Chip test reader"
DEVICENAME /dev/null:{PORT:#06X}
LIBPATH {VPCD}
CHANNELID {PORT:#06X}
""".replace("0X", "0x")

# pcscd wants /run/pcscd to itself; the last program is process 1 of the namespace, all others end with it
START = """
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir /run/pcscd
mount --bind "$1/pcscd" /run/pcscd
pcscd --foreground --config "$1/readers" >"$1/pcscd.log" 2>&1 &
exec "$2" -m simulators.chip serve --card "$3" --connect "tcp:127.0.0.1:$4"
"""

OPENSC = """app default {{
    card_drivers = esteid2018;
    card_atr {atr} {{ driver = "esteid2018"; type = 35001; }}
}}
"""


@dataclass(frozen=True)
class Desk:
    """A card in a reader, and the environment in which OpenSC finds both."""

    directory: Path
    holder: host.Holder
    environment: dict[str, str]

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    directory = Path(tempfile.mkdtemp(prefix="chip-"))  # short: a socket's path has 107 bytes at most
    for name in ("pcscd", "readers"):
        (directory / name).mkdir()
    (directory / "readers" / "reader").write_text(READER)
    chip = host.blank(directory / "card")
    holder = host.personalize(chip)
    (directory / "opensc.conf").write_text(OPENSC.format(atr=chip.atr.hex(":").upper()))
    chip.power_off()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "OPENSC_CONF": str(directory / "opensc.conf"),
        "PCSCLITE_CSOCK_NAME": str(directory / "pcscd" / "pcscd.comm"),
        "PIN1": host.PIN1_VALUE.decode(),
        "PIN2": host.PIN2_VALUE.decode(),
    }
    namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net"]
    arguments = ["sh", "-ec", START, "sh", str(directory), sys.executable, str(directory / "card"), str(PORT)]
    line = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *namespaces, *arguments], stdin=subprocess.PIPE)
    try:
        _await_card(environment, line)
        yield Desk(directory, holder, environment)
    finally:
        line.kill()
        line.communicate()
        shutil.rmtree(directory)


def _await_card(environment: dict[str, str], line: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and line.poll() is None:
        listed = subprocess.run(["opensc-tool", "--list-readers"], env=environment, capture_output=True, check=False)
        if b"Yes" in listed.stdout:
            return
        time.sleep(0.05)
    pytest.fail("no card came up in the reader")


def test_opensc_lists_both_keys_certificates_and_pins(desk: Desk) -> None:
    listing = desk.run("pkcs15-tool", "-D")
    assert "PA1234567" in listing
    assert listing.count("Private EC Key") == 2
    assert listing.count("X.509 Certificate") == 2
    for name in ("PIN1", "PIN2", "PUK"):
        assert f"PIN [{name}]" in listing
    assert listing.count("Tries left     : 3") == 3


@pytest.mark.parametrize(("number", "name"), [("01", "AUTHENTICATION SPECIMEN"), ("02", "SIGNATURE SPECIMEN")])
def test_opensc_reads_the_certificates(desk: Desk, number: str, name: str) -> None:
    certificate = x509.load_pem_x509_certificate(desk.run("pkcs15-tool", "--read-certificate", number).encode())
    assert certificate.subject.rfc4514_string() == f"CN={name}"


@pytest.mark.parametrize(("number", "slot", "pin"), [("01", "0", "PIN1"), ("02", "1", "PIN2")])
def test_opensc_signs_with_both_keys_and_openssl_verifies(desk: Desk, number: str, slot: str, pin: str) -> None:
    digest, signature = desk.directory / "digest", desk.directory / f"signature-{number}"
    digest.write_bytes(hashlib.sha384(b"a document").digest())
    sign = ("--sign", "--id", number, "-m", "ECDSA", "--signature-format", "openssl", "-i", digest, "-o", signature)
    desk.run("pkcs11-tool", "--slot-index", slot, "--login", "--pin", f"env:{pin}", *sign)
    certificate = x509.load_pem_x509_certificate(desk.run("pkcs15-tool", "--read-certificate", number).encode())
    key = desk.directory / f"key-{number}.pem"
    key.write_bytes(
        certificate.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    answer = host.openssl("pkeyutl", "-verify", "-pubin", "-inkey", key, "-in", digest, "-sigfile", signature)
    assert b"Signature Verified Successfully" in answer


def test_opensc_changes_and_unblocks_pins(desk: Desk) -> None:
    def pins(*arguments: str) -> None:
        desk.run("pkcs15-tool", *arguments)

    pins("--change-pin", "--auth-id", "02", "--pin", "123456", "--new-pin", "471147")
    pins("--verify-pin", "--auth-id", "02", "--pin", "471147")
    for left in (2, 1, 0):
        with pytest.raises(AssertionError, match="PIN code or key incorrect"):
            pins("--verify-pin", "--auth-id", "01", "--pin", "0000")
        # OpenSC 0.23 asks for the counter of the first PIN alone
        assert f"Tries left     : {left}" in desk.run("pkcs15-tool", "--list-pins")
    for number in ("01", "02"):
        pins("--unblock-pin", "--auth-id", number, "--puk", "12345678", "--new-pin", "654321")
        pins("--verify-pin", "--auth-id", number, "--pin", "654321")
