"""Command APDUs of ISO/IEC 7816-4, cases 1 to 4 in short and extended length, and what status words mean."""

from dataclasses import dataclass
from enum import IntEnum

SHORT_DATA_BYTES = 255
SHORT_ANSWER_BYTES = 256
EXTENDED_DATA_BYTES = 65_535
EXTENDED_ANSWER_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class CommandApdu:
    """A command before it is encoded: header bytes, data field, and the answer bytes that are expected.

    `answer_bytes` is Ne (ISO/IEC 7816-4 §5.1): None where no answer data is expected, else 1 to 65,536; 256 is
    coded 00 in short length, 65,536 is coded 0000 in extended length. Raises ValueError for what no case can hold.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    answer_bytes: int | None = None

    def __post_init__(self) -> None:
        if len(self.data) > EXTENDED_DATA_BYTES:
            raise ValueError("command data of more than 65,535 bytes")
        if self.answer_bytes is not None and not 1 <= self.answer_bytes <= EXTENDED_ANSWER_BYTES:
            raise ValueError("expected answer length outside 1 to 65,536 bytes")

    @property
    def extended(self) -> bool:
        """Whether one of the two lengths needs the extended form; a command never mixes the forms."""
        return len(self.data) > SHORT_DATA_BYTES or (self.answer_bytes or 0) > SHORT_ANSWER_BYTES

    def header(self) -> bytes:
        """CLA INS P1 P2."""
        return bytes((self.cla, self.ins, self.p1, self.p2))

    def encode(self) -> bytes:
        """The bytes for the card (ISO/IEC 7816-4 §5.1, table 1)."""
        expected = self.answer_bytes
        if not self.extended:
            lc = bytes((len(self.data),)) if self.data else b""
            le = b"" if expected is None else bytes((expected & 0xFF,))
            return self.header() + lc + self.data + le
        lc = b"\x00" + len(self.data).to_bytes(2, "big") if self.data else b""
        le = b"" if expected is None else (expected & 0xFFFF).to_bytes(2, "big")
        # Without a data field the extended Le is announced by a zero byte of its own.
        return self.header() + lc + self.data + (b"" if self.data or not le else b"\x00") + le


class StatusWord(IntEnum):
    """Status words that the chips of this room answer with, by the name of what they say."""

    OK = 0x9000
    END_OF_FILE = 0x6282
    BLOCKED_TRY = 0x63C0
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    SECURITY_STATUS = 0x6982
    BLOCKED = 0x6983
    CONDITIONS = 0x6985
    SECURE_MESSAGING_MISSING = 0x6987
    SECURE_MESSAGING_WRONG = 0x6988
    WRONG_DATA = 0x6A80
    NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    NO_MEMORY = 0x6A84
    WRONG_PARAMETERS = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    WRONG_OFFSET = 0x6B00
    INSTRUCTION = 0x6D00
    CLASS = 0x6E00
    NO_DIAGNOSIS = 0x6F00


_SENTENCES = {
    StatusWord.OK: "The command worked.",
    StatusWord.END_OF_FILE: "The file ended before the expected length.",
    StatusWord.BLOCKED_TRY: "The value was wrong and no try is left.",
    StatusWord.MEMORY_FAILURE: "The chip could not write its memory.",
    StatusWord.WRONG_LENGTH: "The length of the command is wrong.",
    StatusWord.SECURITY_STATUS: "The channel or its level does not permit this.",
    StatusWord.BLOCKED: "The key or PIN is blocked.",
    StatusWord.CONDITIONS: "The chip's state does not permit this.",
    StatusWord.SECURE_MESSAGING_MISSING: "The command came without the secure messaging that it needs.",
    StatusWord.SECURE_MESSAGING_WRONG: "The command's MAC is wrong: the channel is closed.",
    StatusWord.WRONG_DATA: "The command's data is malformed.",
    StatusWord.NOT_SUPPORTED: "The chip does not have this function.",
    StatusWord.FILE_NOT_FOUND: "There is no such file or application.",
    StatusWord.NO_MEMORY: "The chip's memory is full.",
    StatusWord.WRONG_PARAMETERS: "P1 or P2 is wrong, or a block came out of order.",
    StatusWord.REFERENCE_NOT_FOUND: "There is no such key, PIN, data object or application.",
    StatusWord.WRONG_OFFSET: "The offset lies outside the file.",
    StatusWord.INSTRUCTION: "The chip does not know this instruction.",
    StatusWord.CLASS: "The chip does not take this class byte.",
    StatusWord.NO_DIAGNOSIS: "The chip says no more than that it failed.",
}


def tries_left(status: int) -> int | None:
    """The counter of 63Cx (ISO/IEC 7816-4 §5.6), or None for any other status word."""
    return status & 0xF if status & 0xFFF0 == StatusWord.BLOCKED_TRY else None


def sentence(status: int) -> str:
    """What a status word means, for people: its four digits and a sentence."""
    tries = tries_left(status)
    if tries:
        return f"{status:04X}: The value was wrong; {tries} tries are left."
    known = _SENTENCES[StatusWord(status)] if status in _SENTENCES else "No meaning of its own is known."
    return f"{status:04X}: {known}"
