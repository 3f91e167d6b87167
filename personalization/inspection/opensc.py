"""OpenSC as a judge: a client nobody here wrote finds certificates and keys on the card, and signs with both.

The terminal must have been released. A verdict rests on bytes compared and signatures verified, never on an exit
status. One pkcs11-tool for each key signs and reads the certificate in the same run; they run one after the other,
because two programs would take each other's PIN and application away. PINs go by environment, all data by memory
files and pipes.

A program that did not run, did not end, saw no reader or read nothing has judged nothing: the whole judgement is made
once more, from scratch, and only then counts.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from personalization.inspection.programs import Argument, Bench, MemoryFile
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

    `pcsc_socket` is the PCSCLITE_CSOCK_NAME of the pcscd; `other_readers` are left alone, as is every other reader
    that pcscd lists; `certificates`: slot -> DER as issued; `pins`: name -> ASCII digits. Not applicable without
    certificates, which OpenSC needs to know the card by. Never raises: the step fails.
    """
    if not certificates:
        return JudgeReport("opensc", run_steps([("certificates", _no_certificates)]))
    watch = Stopwatch()
    places = (reader_name, pcsc_socket, other_readers, atr)
    heard, steps, signatures = _judge_once(places, certificates, pins, random_bytes)
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
    """Whether every program was heard, what they said, and the card's signatures."""
    with Bench() as bench:
        desk = _Desk(bench, *places)
        trials = [_Trial(desk, slot, der, pins, random_bytes(DIGEST_BYTES)) for slot, der in certificates.items()]
        checks: list[tuple[str, Check]] = [("reader", desk.check)]
        for trial in trials:
            checks.append((f"{trial.slot}: certificate", trial.check_certificate))
            checks.append((f"{trial.slot}: signature", trial.check_signature))
        steps = run_steps(checks)
        return desk.heard, steps, {trial.slot: trial.made for trial in trials if trial.made is not None}


def _no_certificates() -> str:
    raise NotApplicable("Without certificates on it OpenSC does not know the card.")


class _Desk:
    """OpenSC with a configuration of its own that sees one reader alone."""

    def __init__(
        self, bench: Bench, reader_name: str, pcsc_socket: str, other_readers: Sequence[str], atr: bytes
    ) -> None:
        self._bench = bench
        self._reader_name = reader_name
        self._pcsc_socket = pcsc_socket
        self._other_readers = other_readers
        self._atr = atr
        self._configuration: MemoryFile | None = None
        self.heard = True
        """False once a program had nothing to say that could be about the card."""

    def check(self) -> str:
        """Raises `InspectionFailed` unless OpenSC sees the reader."""
        self.configuration()
        return "OpenSC sees the reader; it is told of no other."

    def configuration(self) -> MemoryFile:
        """opensc.conf that ignores all other readers. Raises `InspectionFailed`."""
        if self._configuration is None:
            listed = self._readers()
            if self._reader_name not in listed:
                self.heard = False
                raise InspectionFailed("OpenSC does not see the reader of the card.")
            # OpenSC ignores readers whose name contains one of these.
            others = [
                name for name in {*listed, *self._other_readers} if name not in self._reader_name and '"' not in name
            ]
            self._configuration = self._bench.file(opensc_conf(self._atr, sorted(others)))
        return self._configuration

    def file(self, content: bytes) -> MemoryFile:
        """A memory file for an input."""
        return self._bench.file(content)

    def run(self, *arguments: Argument, pins: Mapping[str, Argument]) -> bytes:
        """Standard output of an OpenSC program. Raises `InspectionFailed`."""
        output, errors = self._finished(*arguments, environment=self._environment(self.configuration()) | dict(pins))
        if not output and _PIN_REFUSED not in errors:
            self.heard = False
        return output

    def _finished(self, *arguments: Argument, environment: Mapping[str, Argument]) -> tuple[bytes, str]:
        try:
            return self._bench.start(*arguments, environment=environment).finish()
        except InspectionFailed:
            self.heard = False
            raise

    def _environment(self, configuration: MemoryFile) -> dict[str, Argument]:
        return {"OPENSC_CONF": configuration, "PCSCLITE_CSOCK_NAME": self._pcsc_socket}

    def _readers(self) -> tuple[str, ...]:
        plain = self._bench.file(opensc_conf(self._atr, ()))
        environment = self._environment(plain)
        listing, _ = self._finished("opensc-tool", "--list-readers", environment=environment)
        lines = listing.decode("utf-8", "replace").splitlines()
        # "Nr.  Card  Features  Name", and below it the names from the same column on
        column = next((line.index("Name") for line in lines if line.startswith("Nr.")), None)
        return tuple(line[column:].strip() for line in lines if line[:1].isdigit()) if column is not None else ()


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

    def check_certificate(self) -> str:
        """The certificate that OpenSC reads is the issued one. Raises `InspectionFailed`."""
        _, certificate = self._read()
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
