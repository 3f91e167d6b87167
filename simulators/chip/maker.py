"""The chip maker: masters and the key letter, blanks with their production data, delivery notes."""

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from simulators.chip.errors import MakerRefused
from simulators.chip.personalization import Function
from simulators.chip.store import MEMORY_FILE, make_file

MAKER = "SIM-eID works"
DIVERSIFICATION = "CBC-DATA-1"
OPERATING_SYSTEM = b"SIM-eID 1.0.0"
DEFAULT_ATR = bytes.fromhex("3BDA960080B1FE451F830053494D2D654944203159")
"""Data sheet §1: T=1 offered besides T=0, 250 kbit/s at 4 MHz, historical bytes 00 and "SIM-eID 1", TCK 59."""

_FABRICATOR, _CHIP_TYPE = b"\x53\x4d", b"\x65\x01"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class DeliveryNote:
    """What came in one box: chip serials in the order of the hopper."""

    delivery: str
    lot: str
    chips: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The note as it is printed."""
        return {"delivery": self.delivery, "lot": self.lot, "chips": list(self.chips)}


@dataclass(frozen=True, slots=True)
class Order:
    """A delivery as it was ordered."""

    delivery: str
    lot: str
    count: int
    atr: bytes = DEFAULT_ATR


def load_masters(path: Path, random_bytes: RandomBytes) -> dict[Function, bytes]:
    """The maker's AES-256 masters, made at first use and kept in `path`, which only the maker may read."""
    if not path.exists():
        masters = {function.name: random_bytes(32).hex() for function in Function}
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump({"maker": MAKER, "masters": masters}, file)
            path.hardlink_to(fresh)  # whoever was first wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    stored = json.loads(path.read_text())["masters"]
    return {function: bytes.fromhex(stored[function.name]) for function in Function}


def diversify(master: bytes, serial: bytes) -> bytes:
    """ENC | MAC | DEK of one chip, 32 bytes each, by CBC-DATA-1 (data sheet §2)."""
    return b"".join(_derive(master, serial, key) for key in (1, 2, 3))


def _derive(master: bytes, serial: bytes, key: int) -> bytes:
    data = b"".join(serial + bytes((0, 0, 0, key, 0, block)) for block in (1, 2))
    encryptor = Cipher(algorithms.AES(master), modes.CBC(bytes(16))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def check_value(master: bytes) -> bytes:
    """First 3 bytes of the CMAC over 16 bytes of 01, under the ENC key of a chip whose serial is all zero."""
    mac = CMAC(algorithms.AES(_derive(master, bytes(10), 1)))
    mac.update(b"\x01" * 16)
    return mac.finalize()[:3]


def key_letter(masters: dict[Function, bytes], exchange_key: bytes) -> dict[str, object]:
    """The masters, each under the centre's RSA exchange key (DER SubjectPublicKeyInfo). Raises `MakerRefused`."""
    try:
        public = serialization.load_der_public_key(exchange_key)
    except ValueError as error:
        raise MakerRefused("the exchange key is no SubjectPublicKeyInfo") from error
    if not isinstance(public, rsa.RSAPublicKey):
        raise MakerRefused("the exchange key is not RSA")
    # SHA-1 is what PKCS#11 tokens offer with CKM_RSA_PKCS_OAEP everywhere; OAEP needs no collision resistance of it
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), label=None)  # noqa: S303
    keys = {
        function.name: {
            "wrapped": base64.b64encode(public.encrypt(master, oaep)).decode(),
            "check_value": check_value(master).hex().upper(),
        }
        for function, master in masters.items()
    }
    return {"maker": MAKER, "diversification": DIVERSIFICATION, "keys": keys}


def make_delivery(
    station: Path, order: Order, masters: dict[Function, bytes], *, random_bytes: RandomBytes, today: date
) -> DeliveryNote:
    """Make the box `boxes/<delivery>` of blanks; a box made before is left as it is and its note returned.

    The box appears whole, by a rename. Raises `MakerRefused` for a name that is no name, or when a delivery of this
    name was made to another order.
    """
    if not _NAME.fullmatch(order.delivery) or not _NAME.fullmatch(order.lot) or not 1 <= order.count <= 9999:
        raise MakerRefused("a delivery has a name, a lot and 1 to 9999 chips")
    box = station / "boxes" / order.delivery
    box.parent.mkdir(parents=True, exist_ok=True)
    with _alone(station):
        if not box.exists():
            staging = station / "staging" / order.delivery
            shutil.rmtree(staging, ignore_errors=True)
            _fill_box(staging, order, masters, random_bytes, today)
            staging.rename(box)
    note = _read_note(box)
    if note.lot != order.lot or len(note.chips) != order.count:
        raise MakerRefused("a delivery of this name was made to another order")
    return note


def hand_over(vault: Path, delivery: str, station: Path) -> None:
    """Move a box from the vault into a station's hopper, whole; one that was moved before stays where it is.

    Raises `MakerRefused` when neither has it.
    """
    box, hopper = vault / "boxes" / delivery, station / "boxes"
    hopper.mkdir(parents=True, exist_ok=True)
    if box.exists():
        box.rename(hopper / delivery)
    elif not (hopper / delivery).exists():
        raise MakerRefused("there is no box of this name")


def delivery_notes(station: Path) -> list[DeliveryNote]:
    """All notes of a station, in the order of their names."""
    return [_read_note(path.parent) for path in sorted((station / "boxes").glob("*/delivery.json"))]


def make_chip(
    directory: Path, *, serial: bytes, lot: str, atr: bytes, masters: dict[Function, bytes], today: date
) -> None:
    """Write the memory of one blank chip; `serial` is the 10 bytes of the data sheet §1."""
    cells = {
        "maker.serial": serial,
        "maker.atr": atr,
        "maker.cplc": _production_life_cycle(serial, today),
        "maker.lot": lot.encode("ascii"),
        "maker.operating-system": OPERATING_SYSTEM,
    }
    cells |= {f"keys.{function:02X}": diversify(master, serial) for function, master in masters.items()}
    directory.mkdir(parents=True)
    make_file(directory / MEMORY_FILE, [cells])


def _fill_box(
    staging: Path, order: Order, masters: dict[Function, bytes], random_bytes: RandomBytes, today: date
) -> None:
    batch = hashlib.sha256(order.lot.encode()).digest()[:2]
    numbers: set[bytes] = set()
    while len(numbers) < order.count:
        numbers.add(random_bytes(4))
    serials = sorted(_FABRICATOR + _CHIP_TYPE + batch + number for number in numbers)
    staging.mkdir(parents=True)
    for serial in serials:
        directory = staging / serial.hex().upper()
        make_chip(directory, serial=serial, lot=order.lot, atr=order.atr, masters=masters, today=today)
    note = DeliveryNote(order.delivery, order.lot, tuple(serial.hex().upper() for serial in serials))
    (staging / "delivery.json").write_text(json.dumps(note.to_json()) + "\n")


def _read_note(box: Path) -> DeliveryNote:
    note = json.loads((box / "delivery.json").read_text())
    return DeliveryNote(note["delivery"], note["lot"], tuple(note["chips"]))


@contextmanager
def _alone(station: Path) -> Iterator[None]:
    handle = os.open(station, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _production_life_cycle(serial: bytes, today: date) -> bytes:
    """CPLC, 42 bytes (GP Annex H layout): dates are last digit of the year and day of the year, BCD."""
    made = bytes.fromhex(f"{today.year % 10}{today.timetuple().tm_yday:03d}")
    fabricator, chip_type, batch, number = serial[:2], serial[2:4], serial[4:6], serial[6:]
    operating_system = b"\x53\x31" + bytes.fromhex("6001") + b"\x01\x00"
    module = fabricator + made + fabricator + made
    never = bytes(8)  # pre-personalizer and personalizer: date and equipment are theirs to write
    return fabricator + chip_type + operating_system + made + number + batch + module + never + never
