"""Reading a finished card in clear, as any reader in the field would: files of the eID and of the travel document.

One script of SELECT and READ BINARY; only a file larger than one answer needs more. The travel document's files are
read by short identifier (ICAO 9303-10 §3.6.3), all that the LDS knows, so that a file nobody ordered is found too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from card_profiles.codecs.tlv import TlvError, decode, encode
from card_profiles.model import CardProfile
from personalization.station.apdu import CommandApdu
from personalization.station.errors import AnswerUnreadable
from personalization.station.ports import Command, Response, Script, ScriptId, Terminal
from personalization.station.session import completed

TRAVEL = "travel"
"""Name of the travel document in the card profiles."""
EF_COM, EF_SOD = 0x011E, 0x011D
DATA_GROUP_FIDS = tuple(range(0x0101, 0x0111))
TRAVEL_FIDS = (EF_COM, EF_SOD, *DATA_GROUP_FIDS)
CHUNK_BYTES = 0x8000
"""Bytes asked for at once: one READ BINARY for nearly every file."""
_LARGEST_OFFSET = 0x7FFF
_OK, _END_OF_FILE, _NOT_FOUND = 0x9000, 0x6282, 0x6A82
_SELECTED = frozenset({_OK, _NOT_FOUND})
# After a SELECT that found nothing, what READ BINARY answers is of no interest.
_READ = frozenset({_OK, _END_OF_FILE, _NOT_FOUND, 0x6981, 0x6985, 0x6986, 0x6B00})


@dataclass(frozen=True, slots=True)
class CardFiles:
    """What was read: application name -> file identifier -> content; a file that is not there is absent."""

    files: Mapping[str, Mapping[int, bytes]]

    def file(self, application: str, fid: int) -> bytes | None:
        """One file, or None."""
        return self.files.get(application, {}).get(fid)

    @property
    def data_groups(self) -> dict[int, bytes]:
        """Data group number -> whole EF."""
        travel = self.files.get(TRAVEL, {})
        return {fid & 0xFF: travel[fid] for fid in DATA_GROUP_FIDS if fid in travel}

    @property
    def ef_com(self) -> bytes:
        """EF.COM; empty when there is none."""
        return self.file(TRAVEL, EF_COM) or b""

    @property
    def ef_sod(self) -> bytes:
        """EF.SOD; empty when there is none."""
        return self.file(TRAVEL, EF_SOD) or b""

    def certificates(self, profile: CardProfile) -> dict[str, bytes]:
        """Slot -> DER of the certificate files that are there."""
        fids = {
            file.name: (application.name, file.fid)
            for application in profile.applications
            for file in application.files
        }
        found = {key.slot: self.file(*fids[key.certificate_file]) for key in profile.keys}
        return {slot: content for slot, content in found.items() if content is not None}


def read_card(
    terminal: Terminal, profile: CardProfile, *, script_prefix: str, fence: int, chunk_bytes: int = CHUNK_BYTES
) -> CardFiles:
    """Read every file of a powered card.

    Raises `ChipRefused` for an application or file that does not open, `CardLost`, `AnswerUnreadable`.
    """
    reader = _Reader(terminal, script_prefix, fence, chunk_bytes)
    return CardFiles(reader.read({spec.name: (spec.aid, _places(profile, spec.name)) for spec in profile.applications}))


def select_application(aid: bytes) -> Command:
    """SELECT by AID, no answer data wanted."""
    return Command(CommandApdu(0x00, 0xA4, 0x04, 0x0C, aid).encode(), "SELECT application")


def _places(profile: CardProfile, application: str) -> tuple[int, ...]:
    if application == TRAVEL:
        return TRAVEL_FIDS
    return tuple(file.fid for spec in profile.applications if spec.name == application for file in spec.files)


class _Reader:
    def __init__(self, terminal: Terminal, prefix: str, fence: int, chunk_bytes: int) -> None:
        self._terminal = terminal
        self._prefix = prefix
        self._fence = fence
        self._chunk_bytes = chunk_bytes
        self._scripts = 0

    def read(self, places: Mapping[str, tuple[bytes, tuple[int, ...]]]) -> dict[str, dict[int, bytes]]:
        commands: list[Command] = []
        where: list[tuple[str, int, int, int]] = []  # application, FID, index of SELECT, index of READ BINARY
        for name, (aid, fids) in places.items():
            commands.append(select_application(aid))
            for fid in fids:
                opening = [] if name == TRAVEL else [_select_file(fid)]
                first = len(commands)
                commands += [*opening, self._first_read(name, fid)]
                where.append((name, fid, first, len(commands) - 1))
        answers = self._play(commands)
        files: dict[str, dict[int, bytes]] = {name: {} for name in places}
        for name, fid, opened, read in where:
            if answers[opened].status != _NOT_FOUND:
                files[name][fid] = self._whole(places[name][0], fid, answers[read])
        return files

    def _first_read(self, application: str, fid: int) -> Command:
        if application == TRAVEL:
            return Command(_read_short(fid & 0x1F, self._chunk_bytes).encode(), "READ BINARY", _READ)
        return Command(_read_at(0, self._chunk_bytes).encode(), "READ BINARY", _READ)

    def _whole(self, aid: bytes, fid: int, answer: Response) -> bytes:
        """The rest of a file whose first answer was as long as what was asked for."""
        if answer.status not in (_OK, _END_OF_FILE, 0x6B00):
            raise AnswerUnreadable("READ BINARY of a file that was selected did not answer with its content")
        content = answer.data
        more = len(content) == self._chunk_bytes
        while more:
            opening = (select_application(aid), _select_file(fid))
            command = Command(_read_at(len(content), self._chunk_bytes).encode(), "READ BINARY", _READ)
            rest = self._play((*opening, command))[-1]
            part = _plain(rest.data) if len(content) > _LARGEST_OFFSET and rest.data else rest.data
            content += part
            more = bool(part)
        return content

    def _play(self, commands: Iterator[Command] | list[Command] | tuple[Command, ...]) -> tuple[Response, ...]:
        self._scripts += 1
        script = Script(ScriptId(f"{self._prefix}/read{self._scripts}"), self._fence, tuple(commands))
        return completed(self._terminal.play(script))


def _select_file(fid: int) -> Command:
    apdu = CommandApdu(0x00, 0xA4, 0x02, 0x0C, fid.to_bytes(2, "big"))
    return Command(apdu.encode(), "SELECT file", _SELECTED)


def _read_short(short_identifier: int, count: int) -> CommandApdu:
    return CommandApdu(0x00, 0xB0, 0x80 | short_identifier, 0x00, answer_bytes=count)


def _read_at(offset: int, count: int) -> CommandApdu:
    if offset <= _LARGEST_OFFSET:
        return CommandApdu(0x00, 0xB0, offset >> 8, offset & 0xFF, answer_bytes=count)
    # ISO/IEC 7816-4 §11.3.3: beyond 15 bits the offset is data object 54, and the answer data object 53.
    size = (offset.bit_length() + 7) // 8
    return CommandApdu(0x00, 0xB1, 0x00, 0x00, encode(0x54, offset.to_bytes(size, "big")), count)


def _plain(data: bytes) -> bytes:
    try:
        return decode(data, 0x53).value
    except TlvError:
        raise AnswerUnreadable("READ BINARY with an offset object did not answer with data object 53") from None
