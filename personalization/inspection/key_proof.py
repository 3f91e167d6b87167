"""Proof that the card's own keys and PINs work: wrong PIN refused, right PIN taken, signature under the certificate.

The commands are those of LatEID v2 clients (data sheet §4); PIN values stay inside the commands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from card_profiles.model import CardProfile, KeySpec, PinSpec, PinState
from personalization.inspection.reading import select_application
from personalization.inspection.steps import CardSignature, InspectionFailed, Step, run_step
from personalization.station.apdu import CommandApdu, StatusWord
from personalization.station.errors import ChipRefused
from personalization.station.ports import Command, Response, Script, ScriptId, Terminal
from personalization.station.session import completed
from pki.certificate_reading import read_certificate
from pki.ecdsa import verify
from pki.errors import CertificateRefused, SignatureInvalid

PIN_BLOCK_BYTES = 12
DIGEST_BYTES = 48
_LOCAL = 0x80  # ISO/IEC 7816-4 table 58: bit 8 of a PIN reference tells one of the application alone
_SIGNATURE_APPLICATION = "sign"
_VERIFY_ANSWERS = frozenset({0x9000, 0x6983, 0x6984, *range(0x63C0, 0x63D0)})
_ONLY_RIGHT = frozenset({0x9000})

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class _SigningWay:
    """How a slot signs: its PIN, MSE SET and the signing command with the header of case 4."""

    pin: str
    environment: CommandApdu
    signing: tuple[int, int, int]


def _environment(template: int, algorithm: int, key: int) -> CommandApdu:
    return CommandApdu(0x00, 0x22, 0x41, template, bytes((0x80, 0x01, algorithm, 0x84, 0x01, key)))


_WAYS = {
    "auth": _SigningWay("PIN1", _environment(0xA4, 0x04, 0x81), (0x88, 0x00, 0x00)),
    "sign": _SigningWay("PIN2", _environment(0xB6, 0x54, 0x9F), (0x2A, 0x9E, 0x9A)),
}


@dataclass(frozen=True, slots=True)
class CardTalk:
    """Scripts with one powered card: `prefix` names this inspection and attempt."""

    terminal: Terminal
    profile: CardProfile
    prefix: str
    fence: int

    def play(self, name: str, commands: Sequence[Command]) -> tuple[Response, ...]:
        """Raises `InspectionFailed` for a status that is not allowed, `CardLost` when the card is gone."""
        script = Script(ScriptId(f"{self.prefix}/{name}"), self.fence, tuple(commands))
        try:
            return completed(self.terminal.play(script))
        except ChipRefused as refused:
            raise InspectionFailed(f"{refused.purpose} was answered {refused.status:04X}.") from None

    def aid(self, application: str) -> bytes:
        """The AID of an application of the profile."""
        return next(spec.aid for spec in self.profile.applications if spec.name == application)

    def home(self, pin: PinSpec) -> bytes:
        """The AID of the application in which a PIN is asked about: PIN2 is the signature application's own."""
        return self.aid(_SIGNATURE_APPLICATION if pin.reference & _LOCAL else self.profile.chip.pin_application)


def prove_pin(talk: CardTalk, pin: PinSpec, value: bytes, random_bytes: RandomBytes) -> None:
    """A wrong value is refused and costs a try, the right one restores the counter. Raises `InspectionFailed`."""
    answers = talk.play(
        f"pin/{pin.name}",
        (
            select_application(talk.home(pin)),
            _verify(pin, _other_value(value, random_bytes)),
            _counter(pin),
            _verify(pin, value),
            _counter(pin),
        ),
    )
    _, wrong, after_wrong, right, after_right = answers
    if wrong.status != StatusWord.BLOCKED_TRY | (pin.maximum_tries - 1):
        raise InspectionFailed(f"A wrong {pin.name} was not answered as one lost try.")
    if _tries(after_wrong, pin) != pin.maximum_tries - 1:
        raise InspectionFailed(f"The counter of {pin.name} did not go down after a wrong value.")
    if right.status != StatusWord.OK:
        raise InspectionFailed(f"The right {pin.name} was refused.")
    if _tries(after_right, pin) != pin.maximum_tries:
        raise InspectionFailed(f"The right {pin.name} did not restore the counter.")


def prove_keys(
    talk: CardTalk,
    certificates: Mapping[str, bytes],
    pins: Mapping[str, bytes],
    random_bytes: RandomBytes,
) -> dict[str, CardSignature]:
    """Every PIN that has a value and every key that has a certificate, proven; slot -> signature.

    Raises `InspectionFailed`.
    """
    by_name = {pin.name: pin for pin in talk.profile.pins}
    for name, value in pins.items():
        if name not in by_name:
            raise InspectionFailed("A value was given for a PIN that the profile does not know.")
        prove_pin(talk, by_name[name], value, random_bytes)
    signatures = {}
    for key in talk.profile.keys:
        way = _WAYS.get(key.slot)
        if key.slot not in certificates or way is None or way.pin not in pins:
            raise InspectionFailed(f"Slot {key.slot} cannot be proven: certificate, PIN or way of signing is missing.")
        digest = random_bytes(DIGEST_BYTES)
        made = _sign(talk, key, way, _verify(by_name[way.pin], pins[way.pin], _ONLY_RIGHT), digest)
        _check_signature(key.slot, made, certificates[key.slot])
        signatures[key.slot] = made
    return signatures


def _sign(talk: CardTalk, key: KeySpec, way: _SigningWay, verify_pin: Command, digest: bytes) -> CardSignature:
    answers = talk.play(
        f"key/{key.slot}",
        (
            select_application(talk.aid(key.application)),
            Command(way.environment.encode(), f"MSE SET of slot {key.slot}"),
            verify_pin,
            Command(CommandApdu(0x00, *way.signing, digest, 256).encode(), f"signature of slot {key.slot}"),
        ),
    )
    raw = answers[-1].data
    r, s = (int.from_bytes(part, "big") for part in (raw[: len(raw) // 2], raw[len(raw) // 2 :]))
    return CardSignature(digest, encode_dss_signature(r, s))


def _check_signature(slot: str, made: CardSignature, certificate: bytes) -> None:
    try:
        verify(read_certificate(certificate).public_key(), made.digest, made.signature)
    except (CertificateRefused, SignatureInvalid):
        raise InspectionFailed(f"The signature of slot {slot} does not verify under its certificate.") from None


def check_final_pin_state(terminal: Terminal, profile: CardProfile, *, script_prefix: str, fence: int) -> Step:
    """After the final PIN state was set: blocked PINs answer 6983 and have no try left, active ones have all.

    No try of an active PIN is spent: it is only asked for its counter. The card stays powered.
    """
    talk = CardTalk(terminal, profile, script_prefix, fence)
    return run_step(1, "final PIN state", lambda: _check_final(talk))


def _check_final(talk: CardTalk) -> str:
    for pin in talk.profile.pins:
        blocked = pin.final_state is PinState.BLOCKED
        commands = [select_application(talk.home(pin)), _counter(pin)]
        if blocked:
            commands.append(_verify(pin, b"0" * pin.minimum_digits))
        answers = talk.play(f"final/{pin.name}", commands)
        expected = 0 if blocked else pin.maximum_tries
        if _tries(answers[1], pin) != expected:
            raise InspectionFailed(f"{pin.name} does not have {expected} tries left.")
        if blocked and answers[2].status not in (StatusWord.BLOCKED, 0x6984):
            raise InspectionFailed(f"{pin.name} is not blocked.")
    states = {state: [pin.name for pin in talk.profile.pins if pin.final_state is state] for state in PinState}
    return "; ".join(f"{', '.join(names)}: {state.value}" for state, names in states.items() if names) + "."


def _verify(pin: PinSpec, value: bytes, allowed: frozenset[int] = _VERIFY_ANSWERS) -> Command:
    apdu = CommandApdu(0x00, 0x20, 0x00, pin.reference, value.ljust(PIN_BLOCK_BYTES, b"\xff"))
    return Command(apdu.encode(), f"VERIFY {pin.name}", allowed)


def _counter(pin: PinSpec) -> Command:
    # 70 { BF81rr { A0 { 9A maximum tries, 9B tries left … } } }, rr = the reference's low bits
    data = bytes((0x4D, 0x08, 0x70, 0x06, 0xBF, 0x81, pin.reference & 0x7F, 0x02, 0xA0, 0x80))
    return Command(CommandApdu(0x00, 0xCB, 0x3F, 0xFF, data, 256).encode(), f"GET DATA counter of {pin.name}")


def _tries(answer: Response, pin: PinSpec) -> int:
    head = bytes((0xBF, 0x81, pin.reference & 0x7F))
    data = answer.data
    # The answer is of one fixed form: 70 L BF81rr L A0 L 9A 01 maximum 9B 01 left …
    if data[:1] != b"\x70" or data[2:5] != head or data[8:10] != b"\x9a\x01" or data[11:13] != b"\x9b\x01":
        raise InspectionFailed(f"The counter of {pin.name} is not of the form of the data sheet.")
    if data[10] != pin.maximum_tries:
        raise InspectionFailed(f"{pin.name} does not have the profile's number of tries.")
    return data[13]


def _other_value(value: bytes, random_bytes: RandomBytes) -> bytes:
    """Digits of the same length that are not the value: one digit is moved by 1 to 9."""
    digits = bytearray(value.rstrip(b"\xff"))
    place, distance = random_bytes(2)
    place %= len(digits)
    digits[place] = ord("0") + (digits[place] - ord("0") + 1 + distance % 9) % 10
    return bytes(digits)
