"""The chip maker's command line: blanks, delivery notes, the key letter."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulators.chip.card import Chip
from simulators.chip.maker import DEFAULT_ATR
from tests.simulators import chip_host as host


def run(*arguments: str | Path, status: int = 0) -> str:
    command = [sys.executable, "-m", "simulators.chip", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def make(station: Path, delivery: str, count: int, *more: str, status: int = 0) -> str:
    order = ("--delivery", delivery, "--count", str(count), "--lot", "LOT-2026-0001", *more)
    return run("make", "--station", station, *order, "--maker-keys", station / "maker.json", status=status)


def test_a_box_of_blanks_is_made_once(tmp_path: Path) -> None:
    printed = make(tmp_path, "D1", 3)
    note = json.loads(printed)
    box = tmp_path / "boxes" / "D1"
    assert (note["delivery"], note["lot"]) == ("D1", "LOT-2026-0001")
    assert sorted(path.name for path in box.iterdir() if path.is_dir()) == note["chips"]
    assert [Chip(box / serial).serial for serial in note["chips"]] == note["chips"]
    assert Chip(box / note["chips"][0]).atr == DEFAULT_ATR
    (box / note["chips"][0]).rename(tmp_path / "taken")
    assert make(tmp_path, "D1", 3) == printed
    assert not (box / note["chips"][0]).exists()
    make(tmp_path, "D1", 4, status=1)
    make(tmp_path, "../D2", 1, status=1)


def test_what_a_killed_maker_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "staging" / "D1" / "534D").mkdir(parents=True)
    note = json.loads(make(tmp_path, "D1", 1))
    assert [path.name for path in (tmp_path / "boxes" / "D1").iterdir() if path.is_dir()] == note["chips"]


def test_notes_and_another_atr(tmp_path: Path) -> None:
    atr = "3BDC960080B1FE451F830012428F54654944320F900012"
    first, second = (json.loads(make(tmp_path, name, 1, "--atr", atr)) for name in ("D1", "D2"))
    assert json.loads(run("notes", "--station", tmp_path)) == [first, second]
    assert Chip(tmp_path / "boxes" / "D2" / second["chips"][0]).atr.hex().upper() == atr


@pytest.fixture(scope="module")
def exchange_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def test_the_key_letter_opens_the_chips_the_maker_made(tmp_path: Path, exchange_key: rsa.RSAPrivateKey) -> None:
    public = tmp_path / "exchange.der"
    public.write_bytes(
        exchange_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    note = json.loads(make(tmp_path, "D1", 1))
    letter = json.loads(run("key-letter", "--maker-keys", tmp_path / "maker.json", "--public-key", public))
    assert letter["diversification"] == "CBC-DATA-1"
    assert (tmp_path / "maker.json").stat().st_mode & 0o777 == 0o600
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), label=None)  # noqa: S303
    for version, function in ((1, "PERSO"), (2, "PIN"), (3, "KEY"), (4, "CERT")):
        entry = letter["keys"][function]
        master = exchange_key.decrypt(base64.b64decode(entry["wrapped"]), oaep)
        assert host.cmac(host.chip_keys(master, bytes(10))[0], b"\x01" * 16)[:3].hex().upper() == entry["check_value"]
        chip = Chip(tmp_path / "boxes" / "D1" / note["chips"][0])
        chip.power_on()
        answer = host.expect(chip, f"8050{version:02X}0008{host.HOST_CHALLENGE.hex()}00")
        keys = host.chip_keys(master, answer[:10])
        host.expect(chip, host.HostChannel(keys, 0x33, host.HOST_CHALLENGE, answer).external_authenticate())
        chip.power_off()


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exchange.der").write_bytes(b"nonsense")
    run("key-letter", "--maker-keys", tmp_path / "m", "--public-key", tmp_path / "exchange.der", status=1)
