"""A chip out of the simulated maker's box, and a card to be made."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from card_profiles.model import CardProfile, ChipImage, Function, ImageApplication, ImageFile, ImageKey
from card_profiles.profile import load_profile
from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.ports import Outcome, Script
from simulators.chip.card import Chip
from simulators.chip.maker import Order, make_delivery
from simulators.chip.personalization import Function as MakerFunction
from tests.personalization.station.software_keys import MASTERS, STORAGE_KEY, SoftwareChipKeys


class ChipTerminal:
    """A simulated chip without a wire: what a terminal does with it can be read and spoiled."""

    reader_name = None

    def __init__(self, directory: Path) -> None:
        self._chip = Chip(directory)
        self._player = ScriptPlayer(self._transmit)
        self.sent: list[bytes] = []
        self.tear_in: int | None = None
        """After that many more exchanges an answer is lost: the chip has run the command, then it loses power."""

    def other_readers(self) -> tuple[str, ...]:
        return ()

    def power_on(self) -> bytes:
        return self._chip.power_on()

    def play(self, script: Script) -> Outcome:
        return self._player.play(script)

    def release(self) -> None:
        self._chip.power_off()

    def _transmit(self, apdu: bytes) -> bytes:
        self.sent.append(apdu)
        answer = self._chip.transmit(apdu)
        if self.tear_in is not None:
            self.tear_in -= 1
            if self.tear_in < 0:
                self.tear_in = None
                self._chip.power_off()
                raise AnswerMissing("the card is gone")
        return answer


@dataclass(frozen=True)
class PreparedCard:
    """An image as big as a real one, and the holder's keys."""

    profile: CardProfile
    image: ChipImage
    private: dict[str, ec.EllipticCurvePrivateKey]
    blobs: dict[str, bytes]

    @property
    def content_bytes(self) -> int:
        return sum(len(file.content) for application in self.image.applications for file in application.files)


SIZES = {"DG1": 93, "DG2": 16_000, "DG3": 20_000, "EF.COM": 25, "EF.SOD": 1_900, "EF.DocumentNumber": 11}


def content(seed: int, size: int) -> bytes:
    """Bytes that differ from file to file."""
    return bytes((seed * 7 + n * 13 + n // 251) & 0xFF for n in range(size))


@pytest.fixture(scope="session")
def card() -> PreparedCard:
    profile = load_profile("eid-citizen@1")
    applications = []
    for spec in profile.applications:
        files = []
        for file in spec.files:
            size = 950 if file.written_by is Function.CERT else SIZES.get(file.name, 60)
            files.append(ImageFile(file.name, file.fid, file.written_by, content(file.fid, size)))
        applications.append(ImageApplication(spec.name, spec.aid, tuple(files)))
    private = {key.slot: ec.generate_private_key(ec.SECP384R1()) for key in profile.keys}
    blobs = {}
    for slot, key in private.items():
        pkcs8 = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        blobs[slot] = aes_key_wrap_with_padding(STORAGE_KEY, pkcs8)
    keys = tuple(ImageKey(key.slot, key.reference, key.curve) for key in profile.keys)
    image = ChipImage(profile.id, "PA1234567", tuple(applications), keys)
    return PreparedCard(profile, image, private, blobs)


@pytest.fixture
def chip_keys() -> SoftwareChipKeys:
    return SoftwareChipKeys(MASTERS)


@pytest.fixture
def blank(tmp_path: Path, card: PreparedCard) -> Path:
    """The directory of one blank chip."""
    order = Order("D1", "LOT-2026-0001", 1, card.profile.chip.atr)
    masters = {MakerFunction[name]: master for name, master in MASTERS.items()}
    station = tmp_path / "maker"
    station.mkdir()
    note = make_delivery(station, order, masters, random_bytes=lambda count: b"\x2a" * count, today=date(2026, 5, 4))
    return station / "boxes" / "D1" / note.chips[0]


@pytest.fixture
def terminal(blank: Path) -> Iterator[ChipTerminal]:
    terminal = ChipTerminal(blank)
    yield terminal
    terminal.release()
