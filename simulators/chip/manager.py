"""The card manager: production data, life cycles, and the way into the secure channels (data sheet §1 and §2)."""

from simulators.chip import tlv
from simulators.chip.apdu import Command, Status, StatusError, fit
from simulators.chip.contents import APPLICATIONS, CARD_MANAGER_AID, SECURED, Contents
from simulators.chip.personalization import Function, Personalization
from simulators.chip.secure_channel import (
    C_ENC,
    LEVELS,
    PROTOCOL,
    SecureChannel,
    WrongCryptogram,
    WrongMac,
    card_challenge,
)

MAXIMUM_FAILURES = 10
_CHALLENGE_BYTES = 8
_LAST_SEQUENCE = 0xFFFFFF
_PERSONALIZING = frozenset((0xE6, 0xE2, 0xF0))
_SECURED_CLASSES = frozenset((0x04, 0x84))


class CardManager:
    """The issuer security domain, selected after each reset; what it knows of a channel goes with the power."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._version = 0
        self._offered: SecureChannel | None = None
        self._channel: SecureChannel | None = None
        self._personalization: Personalization | None = None

    def file_control_information(self) -> bytes:
        """FCI of the card manager (GP Table 11-73)."""
        proprietary = tlv.encode(0x9F65, (2048).to_bytes(2))
        return tlv.encode(0x6F, tlv.encode(0x84, CARD_MANAGER_AID) + tlv.encode(0xA5, proprietary))

    def process(self, command: Command) -> bytes:
        """Response data. Raises `StatusError`."""
        if command.cla in _SECURED_CLASSES:
            if command.ins == 0x82:
                return self._external_authenticate(command)
            return self._in_channel(command)
        if command.cla != 0x80:
            raise StatusError(Status.CLASS_NOT_SUPPORTED if command.cla else Status.INSTRUCTION_NOT_SUPPORTED)
        if command.ins == 0x50:
            return self._initialize_update(command)
        if command.ins in _PERSONALIZING:
            raise StatusError(Status.SECURITY_NOT_SATISFIED)
        return self._free_command(command)

    def _initialize_update(self, command: Command) -> bytes:
        self._close_channel()
        if command.p2:
            raise StatusError(Status.WRONG_P1_P2)
        if len(command.data) != _CHALLENGE_BYTES:
            raise StatusError(Status.WRONG_LENGTH)
        version = command.p1
        keys = self._contents.keys(version)
        sequence = self._contents.number(f"sequence.{version:02X}") + 1
        dead = version == Function.PERSO and self._contents.card_state() == SECURED
        if dead or self._failures(version) >= MAXIMUM_FAILURES or sequence > _LAST_SEQUENCE:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        self._contents.write({f"sequence.{version:02X}": sequence.to_bytes(3)})
        challenge = card_challenge(keys, sequence, CARD_MANAGER_AID)
        self._version, self._offered = version, SecureChannel(keys, command.data, challenge)
        key_information = bytes((version,)) + PROTOCOL
        serial = self._contents.production("serial")
        return serial + key_information + challenge + self._offered.card_cryptogram + sequence.to_bytes(3)

    def _external_authenticate(self, command: Command) -> bytes:
        offered = self._offered
        self._close_channel()
        if offered is None:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        if command.p1 not in LEVELS or command.p2:
            raise StatusError(Status.WRONG_P1_P2)
        if len(command.data) != 16:
            raise StatusError(Status.WRONG_LENGTH)
        counter = f"failures.{self._version:02X}"
        failures = self._failures(self._version) + 1
        self._contents.write({counter: bytes((failures,))})  # counted before the comparison, as for PINs
        try:
            offered.authenticate(command)
        except (WrongCryptogram, WrongMac) as error:
            blocked = failures >= MAXIMUM_FAILURES
            raise StatusError(Status.BLOCKED if blocked else Status.AUTHENTICATION_FAILED) from error
        self._contents.write({counter: b"\x00"})
        self._channel = offered
        self._personalization = Personalization(self._contents, Function(self._version))
        return b""

    def _in_channel(self, command: Command) -> bytes:
        channel, personalization = self._channel, self._personalization
        if channel is None or personalization is None:
            raise StatusError(Status.CONDITIONS_NOT_SATISFIED)
        try:
            plain = channel.unwrap(command)
        except WrongMac as error:
            self._close_channel()
            raise StatusError(Status.WRONG_SECURE_MESSAGING_DATA) from error
        if plain.cla != 0x80:
            raise StatusError(Status.CLASS_NOT_SUPPORTED)
        if plain.ins not in _PERSONALIZING:
            return channel.wrap(self._free_command(plain))
        if not channel.level & C_ENC:
            raise StatusError(Status.SECURITY_NOT_SATISFIED)
        return channel.wrap(personalization.execute(plain))

    def _free_command(self, command: Command) -> bytes:
        if command.ins == 0xCA:
            return fit(self._data_object(command.p1_p2), command.le)
        if command.ins == 0xF2:
            return fit(self._status(command), command.le)
        raise StatusError(Status.INSTRUCTION_NOT_SUPPORTED)

    def _data_object(self, tag: int) -> bytes:
        match tag:
            case 0x9F7F:
                return tlv.encode(tag, self._contents.production("cplc"))
            case 0xDF20:
                return tlv.encode(tag, self._contents.production("lot"))
            case 0xDF21:
                return tlv.encode(tag, self._contents.production("operating-system"))
            case 0x00E0:
                # GP §11.3.3.1: key identifier, version, type 88 AES, length 32
                entries = (bytes((key, version, 0x88, 0x20)) for version in Function for key in (1, 2, 3))
                return tlv.encode(0xE0, b"".join(tlv.encode(0xC0, entry) for entry in entries))
        raise StatusError(Status.REFERENCE_NOT_FOUND)

    def _status(self, command: Command) -> bytes:
        if command.p1 not in {0x40, 0x80} or command.p2 not in {0x00, 0x02}:
            raise StatusError(Status.WRONG_P1_P2)
        if command.data != b"\x4f\x00":
            raise StatusError(Status.WRONG_DATA)
        if command.p1 == 0x80:
            return _status_entry(CARD_MANAGER_AID, self._contents.card_state())
        return b"".join(_status_entry(known.aid, self._contents.application_state(known)) for known in APPLICATIONS)

    def _failures(self, version: int) -> int:
        return self._contents.number(f"failures.{version:02X}")

    def _close_channel(self) -> None:
        self._offered = self._channel = self._personalization = None


def _status_entry(aid: bytes, state: int) -> bytes:
    return tlv.encode(0xE3, tlv.encode(0x4F, aid) + tlv.encode(0x9F70, bytes((state,))))
