"""OpenSC as a judge: a client nobody here wrote finds certificates and keys on the card, and signs with both.

The terminal must have been released. A verdict rests on bytes compared and signatures verified, never on an exit
status. One pkcs11-tool for each key signs and reads the certificate in the same run; they run one after the other,
because two programs would take each other's PIN and application away. PINs go by environment, all data by memory
files and pipes.

A program that did not end or read nothing has judged nothing: the whole judgement is made once more, from scratch, and
only then counts.

OpenSC opens every reader that it is not told to ignore, and a reader that another station is just taking for itself is
lost to both by that (pcsc-lite 1.9.9: SCardConnect waits for ever for a lock whose owner has gone). So it is told of
the others before its first call.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from personalization.inspection.programs import Argument, Bench, JudgeSilent, MemoryFile
from personalization.inspection.steps import (
    CardSignature,
    Check,
    InspectionFailed,
    JudgeReport,
    NotApplicable,
    Step,
    Stopwatch,
    run_steps,
)
from pki.certificate_reading import read_certificate
from pki.ecdsa import verify
from pki.errors import CertificateRefused, SignatureInvalid

DIGEST_BYTES = 48
AGAIN_SECONDS = 0.5
"""Pause before the second judgement: pcscd has noticed by then whatever happened to the reader."""
_ESTEID_2018 = 35001  # SC_CARD_TYPE_ESTEID_2018: the LatEID layout in OpenSC's esteid2018 driver

_PIN_REFUSED = "CKR_PIN_"
"""In what pkcs11-tool says when the card refused a PIN: that is a verdict."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where OpenSC finds a slot: PKCS#11 slot index, object id, PIN."""

    index: str
    identifier: str
    pin: str


_PLACES = {"auth": _Place("0", "01", "PIN1"), "sign": _Place("1", "02", "PIN2")}


def judge(
    *,
    reader_name: str,
    pcsc_socket: str,
    other_readers: Sequence[str],
    atr: bytes,
    certificates: Mapping[str, bytes],
    pins: Mapping[str, bytes],
    random_bytes: RandomBytes = secrets.token_bytes,
) -> JudgeReport:
    """Judge the card in `reader_name` (a PC/SC name).

    `pcsc_socket` is the PCSCLITE_CSOCK_NAME of the pcscd; `other_readers`: all others that it lists, which are left
    alone; `certificates`: slot -> DER as issued; `pins`: name -> ASCII digits. Not applicable without certificates,
    which OpenSC needs to know the card by. Raises `JudgeSilent` when OpenSC does not end, twice.
    """
    if not certificates:
        return JudgeReport("opensc", run_steps([("certificates", _no_certificates)]))
    watch = Stopwatch()
    places = (reader_name, pcsc_socket, other_readers, atr)
    try:
        heard, steps, signatures = _judge_once(places, certificates, pins, random_bytes)
    except JudgeSilent:
        heard = False
    if not heard:
        time.sleep(AGAIN_SECONDS)
        _, steps, signatures = _judge_once(places, certificates, pins, random_bytes)
    return JudgeReport("opensc", steps, signatures, watch.elapsed())


def _judge_once(
    places: tuple[str, str, Sequence[str], bytes],
    certificates: Mapping[str, bytes],
    pins: Mapping[str, bytes],
    random_bytes: RandomBytes,
) -> tuple[bool, tuple[Step, ...], dict[str, CardSignature]]:
    """Whether every program was heard, what they said, and the card's signatures. Raises `JudgeSilent`."""
    with Bench() as bench:
        desk = _Desk(bench, *places)
        trials = [_Trial(desk, slot, der, pins, random_bytes(DIGEST_BYTES)) for slot, der in certificates.items()]
        steps = run_steps([check for trial in trials for check in trial.checks])
        return desk.heard, steps, {trial.slot: trial.made for trial in trials if trial.made is not None}


def _no_certificates() -> str:
    raise NotApplicable("Without certificates on it OpenSC does not know the card.")


class _Desk:
    """OpenSC with a configuration of its own that sees one reader alone."""

    def __init__(
        self, bench: Bench, reader_name: str, pcsc_socket: str, other_readers: Sequence[str], atr: bytes
    ) -> None:
        self._bench = bench
        # OpenSC ignores readers whose name contains one of these.
        others = [name for name in other_readers if name not in reader_name and '"' not in name]
        self._environment: dict[str, Argument] = {
            "OPENSC_CONF": bench.file(opensc_conf(atr, others)),
            "PCSCLITE_CSOCK_NAME": pcsc_socket,
        }
        self.heard = True
        """False once a program had nothing to say that could be about the card."""

    def file(self, content: bytes) -> MemoryFile:
        """A memory file for an input."""
        return self._bench.file(content)

    def run(self, *arguments: Argument, pins: Mapping[str, Argument]) -> bytes:
        """Standard output of an OpenSC program. Raises `JudgeSilent`."""
        output, errors = self._bench.start(*arguments, environment=self._environment | dict(pins)).finish()
        if not output and _PIN_REFUSED not in errors:
            self.heard = False
        return output


class _Trial:
    """One slot: its certificate read and a signature made by one run of pkcs11-tool."""

    def __init__(self, desk: _Desk, slot: str, certificate: bytes, pins: Mapping[str, bytes], digest: bytes) -> None:
        self.slot = slot
        self.made: CardSignature | None = None
        self._desk = desk
        self._certificate = certificate
        self._pins = pins
        self._digest = digest
        self._output: tuple[bytes, bytes] | None = None

    @property
    def checks(self) -> tuple[tuple[str, Check], ...]:
        """The steps of this slot, by name."""
        return (
            (f"{self.slot}: certificate", self.check_certificate),
            (f"{self.slot}: signature", self.check_signature),
        )

    def check_certificate(self) -> str:
        """The certificate that OpenSC reads is the issued one. Raises `InspectionFailed`."""
        _, certificate = self._read()
        if not certificate:
            raise InspectionFailed(f"OpenSC reads no certificate in slot {self.slot}.")
        if certificate != self._certificate:
            raise InspectionFailed(f"OpenSC reads another certificate in slot {self.slot} than the issued one.")
        return f"OpenSC reads the issued certificate of slot {self.slot}, byte for byte."

    def check_signature(self) -> str:
        """The signature that OpenSC asked the card for verifies. Raises `InspectionFailed`."""
        signature, _ = self._read()
        try:
            verify(read_certificate(self._certificate).public_key(), self._digest, signature)
        except (CertificateRefused, SignatureInvalid):
            raise InspectionFailed(f"OpenSC got no signature of slot {self.slot} that verifies.") from None
        self.made = CardSignature(self._digest, signature)
        return f"The signature that OpenSC got from slot {self.slot} verifies under the issued certificate."

    def _read(self) -> tuple[bytes, bytes]:
        if self._output is None:
            self._output = self._run()
        return self._output

    def _run(self) -> tuple[bytes, bytes]:
        place = _PLACES.get(self.slot)
        if place is None or place.pin not in self._pins:
            raise InspectionFailed(f"There is no PIN for slot {self.slot}, or OpenSC does not know the slot.")
        digest = self._desk.file(self._digest)
        output = self._desk.run(
            "pkcs11-tool", "--slot-index", place.index, "--login", "--pin", f"env:{place.pin}",
            "--sign", "--id", place.identifier, "--mechanism", "ECDSA", "--signature-format", "openssl",
            "--input-file", digest, "--read-object", "--type", "cert",
            pins={place.pin: self._pins[place.pin].rstrip(b"\xff").decode("ascii")},
        )  # fmt: skip
        return _split(output)


def _split(output: bytes) -> tuple[bytes, bytes]:
    """Signature and certificate, which pkcs11-tool writes one after the other: the first is a short DER SEQUENCE."""
    if len(output) < 2 or output[0] != 0x30 or output[1] > 0x7F:
        return b"", output
    end = 2 + output[1]
    return output[:end], output[end:]


def opensc_conf(atr: bytes, ignored: Sequence[str]) -> bytes:
    quoted = ", ".join(f'"{name}"' for name in ignored)
    lines = (
        "app default {",
        f"  ignored_readers = {quoted};" if quoted else "",
        f'  card_atr {atr.hex(":")} {{ driver = "esteid2018"; type = {_ESTEID_2018}; }}',
        # Without a cache nothing of the card is written to a disk.
        "  framework pkcs15 { use_file_caching = no; try_emulation_first = yes; builtin_emulators = esteid2018; }",
        "}",
    )
    return "\n".join(lines).encode()
