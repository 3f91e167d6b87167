"""What the chip holds, by name: applications and their files, life cycles, keys, counters, production data."""

from dataclasses import dataclass

from simulators.chip import tlv
from simulators.chip.apdu import Status, StatusError
from simulators.chip.secure_channel import StaticKeys
from simulators.chip.store import Memory

CARD_MANAGER_AID = bytes.fromhex("A000000151000000")
STORE_BYTES = 96 * 1024

SELECTABLE, PERSONALIZED = 0x07, 0x0F
INITIALIZED, SECURED = 0x07, 0x0F


@dataclass(frozen=True, slots=True)
class Application:
    """An application of the data sheet §4; `fid` is its file identifier in the eID tree, None outside it."""

    aid: bytes
    fid: int | None


EID_MAIN = Application(bytes.fromhex("A000000077010800070000FE00000100"), 0x3F00)
EID_AUTHENTICATION = Application(bytes.fromhex("E828BD080FF2504F5420415750"), 0xADF1)
EID_SIGNATURE = Application(bytes.fromhex("51534344204170706C69636174696F6E"), 0xADF2)
TRAVEL_DOCUMENT = Application(bytes.fromhex("A0000002471001"), None)
APPLICATIONS = (EID_MAIN, EID_AUTHENTICATION, EID_SIGNATURE, TRAVEL_DOCUMENT)


def application(aid: bytes) -> Application | None:
    """The application of this AID, in full."""
    return next((known for known in APPLICATIONS if known.aid == aid), None)


class Contents:
    """Reads the chip's memory by name, and names the cells for those who write it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def production(self, name: str) -> bytes:
        """What the chip maker wrote: `serial`, `atr`, `cplc`, `lot`, `operating-system`."""
        return self._memory.cells[f"maker.{name}"]

    def keys(self, version: int) -> StaticKeys:
        """Static keys of a key version. Raises `StatusError` 6A88."""
        value = self._memory.read(f"keys.{version:02X}")
        if value is None:
            raise StatusError(Status.REFERENCE_NOT_FOUND)
        return StaticKeys(value[:32], value[32:64], value[64:])

    def number(self, cell: str) -> int:
        """A counter or state; 0 where nothing was written."""
        return int.from_bytes(self._memory.read(cell) or b"")

    def card_state(self) -> int:
        """07 initialized or 0F secured."""
        return self.number("state.card") or INITIALIZED

    def application_state(self, owner: Application) -> int:
        """07 selectable or 0F personalized."""
        return self.number(state_cell(owner)) or SELECTABLE

    def file(self, owner: Application, fid: int) -> bytes:
        """A file's content. Raises `StatusError` 6A82."""
        content = self._memory.read(file_cell(owner, fid))
        if content is None:
            raise StatusError(Status.FILE_NOT_FOUND)
        return content

    def holds_file(self, owner: Application) -> bool:
        """Whether any file of this application was ever written."""
        prefix = file_cell(owner, 0)[:-4]
        return any(name.startswith(prefix) for name in self._memory.cells)

    def free_bytes(self, written: dict[str, bytes]) -> int:
        """Room left once `written` is; negative when it does not fit."""
        cells = {**self._memory.cells, **written}
        return STORE_BYTES - sum(len(value) for name, value in cells.items() if name.startswith("file."))

    def cell(self, name: str) -> bytes | None:
        """A cell as it stands."""
        return self._memory.read(name)

    def write(self, changes: dict[str, bytes]) -> None:
        """Change these cells together, durably. Raises `StatusError` 6581."""
        if changes:
            self._memory.write(changes)


def file_cell(owner: Application, fid: int) -> str:
    """Name of the cell of a file."""
    return f"file.{owner.aid.hex().upper()}.{fid:04X}"


def state_cell(owner: Application) -> str:
    """Name of the cell of an application's life cycle."""
    return f"state.{owner.aid.hex().upper()}"


def key_cell(reference: int) -> str:
    """Name of the cell of a private key: algorithm, then the scalar."""
    return f"key.{reference:02X}"


def file_control_parameters(content: bytes) -> bytes:
    """FCP with the one object real clients read: 80, number of data bytes (ISO/IEC 7816-4 Table 12)."""
    return tlv.encode(0x62, tlv.encode(0x80, len(content).to_bytes(2)))
