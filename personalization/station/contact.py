"""First contact with a chip: what it is and in what state, asked in clear in one script (data sheet §1)."""

from dataclasses import dataclass

from card_profiles.model import ChipSpec
from personalization.station.apdu import CommandApdu, StatusWord
from personalization.station.errors import AnswerUnreadable
from personalization.station.ports import Command, Script, ScriptId, Terminal
from personalization.station.session import completed, select_card_manager

APPLICATION_SELECTABLE = 0x07
APPLICATION_LOCKED = 0x0F
CARD_INITIALIZED = 0x07
CARD_SECURED = 0x0F

_CPLC_BYTES = 42
_CPLC = 0x9F7F
_LOT = 0xDF20
_OS_VERSION = 0xDF21
_ANY = frozenset({int(StatusWord.OK), int(StatusWord.REFERENCE_NOT_FOUND)})


@dataclass(frozen=True, slots=True)
class Contact:
    """What a chip says of itself before any key is used.

    `chip_serial`: 20 capital hex digits (IC fabricator, IC type, IC batch, IC serial number), also the KDD;
    `cplc`: 42 bytes of production data; `card_state` and `application_states` (by AID): GlobalPlatform life cycle
    bytes, 07 being made, 0F secured or locked.
    """

    atr: bytes
    chip_serial: str
    cplc: bytes
    lot: str
    os_version: str
    card_state: int
    application_states: dict[bytes, int]

    @property
    def kdd(self) -> bytes:
        """Key diversification data, 10 bytes."""
        return bytes.fromhex(self.chip_serial)

    @property
    def secured(self) -> bool:
        """Whether the card is finished: PERSO is dead for ever."""
        return self.card_state == CARD_SECURED

    def locked_applications(self) -> frozenset[bytes]:
        """AIDs of the applications whose files can never be written again."""
        return frozenset(aid for aid, state in self.application_states.items() if state == APPLICATION_LOCKED)


def read_contact(terminal: Terminal, spec: ChipSpec, *, script_prefix: str, fence: int) -> Contact:
    """Powers the chip up and asks who it is.

    Raises `CardAbsent`, `ReaderGone`, `CardLost`, `ChipRefused`, `AnswerUnreadable`, `StaleFence`.
    """
    atr = terminal.power_on()
    script = Script(ScriptId(f"{script_prefix}/contact"), fence, contact_commands(spec))
    _, cplc, lot, os_version, card, applications = (each.data for each in completed(terminal.play(script)))
    production = _object(cplc, _CPLC)
    if len(production) != _CPLC_BYTES:
        raise AnswerUnreadable("the production data does not have 42 bytes")
    states = list(_states(card).values())
    if len(states) != 1:
        raise AnswerUnreadable("the chip does not tell one state of the card")
    return Contact(
        atr=atr,
        chip_serial=chip_serial(production),
        cplc=production,
        lot=_text(_object(lot, _LOT)),
        os_version=_text(_object(os_version, _OS_VERSION)),
        card_state=states[0],
        application_states=_states(applications),
    )


def contact_commands(spec: ChipSpec) -> tuple[Command, ...]:
    """SELECT, three GET DATA and two GET STATUS (GP §11.3, §11.4)."""
    return (
        select_card_manager(spec),
        _get_data(_CPLC, "GET DATA production data"),
        _get_data(_LOT, "GET DATA chip lot"),
        _get_data(_OS_VERSION, "GET DATA operating system version"),
        _get_status(0x80, "GET STATUS card"),
        _get_status(0x40, "GET STATUS applications"),
    )


def chip_serial(cplc: bytes) -> str:
    """IC fabricator 2, IC type 2, IC batch 2, IC serial number 4 out of 42 bytes of CPLC (GP annex H order)."""
    return (cplc[0:4] + cplc[16:18] + cplc[12:16]).hex().upper()


def _get_data(tag: int, purpose: str) -> Command:
    return Command(CommandApdu(0x80, 0xCA, tag >> 8, tag & 0xFF, answer_bytes=256).encode(), purpose)


def _get_status(what: int, purpose: str) -> Command:
    apdu = CommandApdu(0x80, 0xF2, what, 0x00, b"\x4f\x00", 256)
    # A chip without any application yet may say so with 6A88 (GP §11.4.3.2).
    return Command(apdu.encode(), purpose, _ANY if what == 0x40 else frozenset({int(StatusWord.OK)}))


def _object(data: bytes, tag: int) -> bytes:
    if data[:2] != tag.to_bytes(2, "big") or len(data) < 3 or data[2] > 0x7F or len(data) != 3 + data[2]:
        raise AnswerUnreadable(f"the answer is not a data object {tag:04X}")
    return data[3:]


def _text(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        raise AnswerUnreadable("a text of the chip is not ASCII") from error


def _states(data: bytes) -> dict[bytes, int]:
    # E3 { 4F AID, 9F70 01 state } one after the other (GP table 11-36); further objects inside are passed over.
    states: dict[bytes, int] = {}
    for tag, value in _objects(data):
        if tag != 0xE3:
            raise AnswerUnreadable("GET STATUS did not answer with E3 objects")
        inner = dict(_objects(value))
        if 0x4F not in inner or not inner.get(0x9F70):
            raise AnswerUnreadable("GET STATUS told no AID or no state")
        states[inner[0x4F]] = inner[0x9F70][0]
    return states


def _objects(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    position = 0
    while position < len(data):
        tag_bytes = 2 if data[position] & 0x1F == 0x1F else 1
        start = position + tag_bytes + 1
        if start > len(data) or data[start - 1] > 0x7F or start + data[start - 1] > len(data):
            raise AnswerUnreadable("a data object of GET STATUS is cut or too long")
        end = start + data[start - 1]
        found.append((int.from_bytes(data[position : start - 1], "big"), data[start:end]))
        position = end
    return found
