"""Command APDUs, short and extended (ISO/IEC 7816-3 §12.1), and the status words this chip answers with."""

from dataclasses import dataclass
from enum import IntEnum

MAXIMUM_COMMAND_DATA_BYTES = 2048
MAXIMUM_RESPONSE_DATA_BYTES = 65_533
"""Data and status word together fill the 16-bit length of the reader's wire."""


class Status(IntEnum):
    """Status words (ISO/IEC 7816-4 §5.6, GlobalPlatform §11)."""

    OK = 0x9000
    AUTHENTICATION_FAILED = 0x6300
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    CHAINING_NOT_SUPPORTED = 0x6884
    SECURITY_NOT_SATISFIED = 0x6982
    BLOCKED = 0x6983
    CONDITIONS_NOT_SATISFIED = 0x6985
    NO_CURRENT_FILE = 0x6986
    WRONG_SECURE_MESSAGING_DATA = 0x6988
    WRONG_DATA = 0x6A80
    FILE_NOT_FOUND = 0x6A82
    NO_MEMORY = 0x6A84
    WRONG_P1_P2 = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    WRONG_OFFSET = 0x6B00
    EXACT_LENGTH = 0x6C00
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00


class StatusError(Exception):
    """Ends a command: the response is this status word without data."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Command:
    """A command APDU taken apart; `le` is None without an Le field, `lc_field` is Lc as it was coded."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None
    lc_field: bytes = b""

    @property
    def p1_p2(self) -> int:
        """Both parameter bytes as one number."""
        return self.p1 << 8 | self.p2

    @property
    def header(self) -> bytes:
        """The four header bytes."""
        return bytes((self.cla, self.ins, self.p1, self.p2))


def parse(apdu: bytes) -> Command:
    """The command of these bytes. Raises `StatusError` 6700 when lengths and bytes do not agree."""
    if len(apdu) < 4:
        raise StatusError(Status.WRONG_LENGTH)
    lc_field, data, le = _short(apdu[4:]) if len(apdu) < 6 or apdu[4] else _extended(apdu[4:])
    if len(data) > MAXIMUM_COMMAND_DATA_BYTES:
        raise StatusError(Status.WRONG_LENGTH)
    return Command(apdu[0], apdu[1], apdu[2], apdu[3], data, le, lc_field)


def _short(body: bytes) -> tuple[bytes, bytes, int | None]:
    if not body:
        return b"", b"", None
    if len(body) == 1:
        return b"", b"", body[0] or 256
    data, rest = body[1 : 1 + body[0]], body[1 + body[0] :]
    if len(data) != body[0] or len(rest) > 1:
        raise StatusError(Status.WRONG_LENGTH)
    return body[:1], data, (rest[0] or 256) if rest else None


def _extended(body: bytes) -> tuple[bytes, bytes, int | None]:
    if len(body) == 3:
        return b"", b"", int.from_bytes(body[1:]) or 65_536
    length = int.from_bytes(body[1:3])
    data, rest = body[3 : 3 + length], body[3 + length :]
    if not length or len(data) != length or len(rest) not in {0, 2}:
        raise StatusError(Status.WRONG_LENGTH)
    return body[:3], data, (int.from_bytes(rest) or 65_536) if rest else None


def fit(data: bytes, le: int | None) -> bytes:
    """A response of known length: 6Cxx when Le is too small (ISO/IEC 7816-4 §5.6), all of it when there is none.

    Hosts send GET STATUS and SELECT without Le and expect the answer; over T=1 a chip may give it.
    """
    if le is not None and len(data) > le:
        raise StatusError(Status.EXACT_LENGTH | len(data) & 0xFF)
    return data
