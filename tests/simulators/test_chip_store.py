"""The chip's memory: what survives, whatever happens (kill -9 included), and what no input can do to it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.chip.apdu import StatusError
from simulators.chip.card import Chip
from simulators.chip.errors import ChipDamaged, ChipInUse, ChipUnpowered, NoChip
from simulators.chip.store import Memory, make_file
from tests.simulators import chip_host as host

FILE = "memory.jsonl"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    make_file(tmp_path / FILE, [{"a": b"1", "b": b"1"}])
    memory = Memory(tmp_path)
    memory.open()
    return memory


def test_cells_change_together_and_are_there_again(memory: Memory, tmp_path: Path) -> None:
    memory.write({"a": b"2", "c": bytes(range(256))})
    memory.close()
    assert Memory(tmp_path).cells == {"a": b"2", "b": b"1", "c": bytes(range(256))}


def test_a_change_cut_anywhere_never_was(memory: Memory, tmp_path: Path) -> None:
    whole = (tmp_path / FILE).stat().st_size
    memory.write({"a": b"2", "b": b"2"})
    memory.close()
    content = (tmp_path / FILE).read_bytes()
    for cut in range(whole, len(content)):
        (tmp_path / FILE).write_bytes(content[:cut])
        again = Memory(tmp_path)
        assert again.cells == {"a": b"1", "b": b"1"}
        again.open()
        again.write({"c": b"3"})
        again.close()
        assert Memory(tmp_path).cells == {"a": b"1", "b": b"1", "c": b"3"}


def test_what_no_power_cut_leaves_is_damage(memory: Memory, tmp_path: Path) -> None:
    memory.write({"a": b"2"})
    memory.close()
    content = bytearray((tmp_path / FILE).read_bytes())
    content[12] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ChipDamaged):
        Memory(tmp_path)


def test_history_is_dropped_once_it_is_most_of_the_file(memory: Memory, tmp_path: Path) -> None:
    for number in range(30):
        memory.write({"a": bytes([number]) * 40_000})
    memory.close()
    memory.open()
    assert (tmp_path / FILE).stat().st_size < 100_000
    memory.write({"b": b"after"})
    memory.close()
    assert Memory(tmp_path).cells == {"a": bytes([29]) * 40_000, "b": b"after"}


def test_a_full_disk_changes_nothing(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(handle: int, data: bytes) -> int:
        write(handle, bytes(data[:5]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StatusError, match="6581"):
        memory.write({"a": b"2"})
    monkeypatch.undo()
    memory.write({"b": b"2"})
    memory.close()
    assert Memory(tmp_path).cells == {"a": b"1", "b": b"2"}


def test_only_one_reader_powers_a_chip(tmp_path: Path) -> None:
    chip = host.blank(tmp_path / "chip")
    other = Chip(tmp_path / "chip")
    with pytest.raises(ChipInUse):
        other.power_on()
    chip.power_off()
    other.power_on()
    with pytest.raises(ChipUnpowered):
        chip.transmit(b"\x00\xa4\x04\x00")


def test_an_empty_directory_is_no_chip(tmp_path: Path) -> None:
    with pytest.raises(NoChip):
        Chip(tmp_path)


def test_private_data_is_for_its_owner_alone(tmp_path: Path) -> None:
    host.blank(tmp_path / "chip")
    assert (tmp_path / "chip" / FILE).stat().st_mode & 0o777 == 0o600


KILLED = """
import sys
from pathlib import Path
from simulators.chip.card import Chip
chip = Chip(Path(sys.argv[1]))
chip.power_on()
while True:
    answer = chip.transmit(bytes.fromhex("8050010008010203040506070800"))
    sys.stdout.write(answer[29:32].hex() + "\\n")
    sys.stdout.flush()
"""


def test_killed_at_any_moment_a_chip_forgets_nothing_it_answered(tmp_path: Path) -> None:
    host.blank(tmp_path / "chip").power_off()
    last = 0
    for milliseconds in (0, 3, 7, 12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "chip"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert int(first, 16) in {last + 1, last + 2}  # a counter may have gone up for an answer that never left
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.stdout.readlines()]
        process.communicate()
        last = int([line for line in lines if line.endswith(b"\n")][-1], 16)
    chip = Chip(tmp_path / "chip")
    chip.power_on()
    answer = chip.transmit(bytes.fromhex("8050010008010203040506070800"))
    assert int.from_bytes(answer[29:32]) in {last + 1, last + 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Chip:
    chip = host.blank(tmp_path_factory.mktemp("fuzz") / "chip")
    host.personalize(chip)
    return chip


SELECTS = (
    "00A4040008A000000151000000",
    "00A4040C10" + host.MAIN.hex(),
    "00A4040C0D" + host.ADF1.hex(),
    "00A4040C10" + host.ADF2.hex(),
    "00A4040C07A0000002471001",
)
CLASSES = st.sampled_from((0x00, 0x00, 0x80, 0x84, 0x04, 0x0C, 0x10, 0x01, 0xFF))
INSTRUCTIONS = st.sampled_from(bytes.fromhex("A4B0B1CB20242C22882A5082CAE2E6F2F0 47C084"))
PARAMETERS = st.sampled_from(bytes.fromhex("00010204080941859E819F3FFFA4B69A40800C0F1E"))
DATA = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [bytes.fromhex(part) for part in ("3F00", "ADF1ADF2", "5402800000", "4F00", "800104840181", "BF81")]
    ),
)


@st.composite
def commands(draw: st.DrawFn) -> bytes:
    header = bytes(draw(part) for part in (CLASSES, INSTRUCTIONS, PARAMETERS, PARAMETERS))
    data = draw(DATA)
    body = bytes([len(data)]) + data if data else b""
    return header + body + draw(st.sampled_from((b"", b"\x00", b"\x20", b"\x00\x00", b"\x00\x00\x00")))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(select=st.sampled_from(SELECTS), apdus=st.lists(st.one_of(commands(), st.binary(max_size=300)), max_size=8))
def test_no_input_upsets_the_chip(finished: Chip, select: str, apdus: list[bytes]) -> None:
    finished.reset()
    finished.transmit(bytes.fromhex(select))
    for apdu in apdus:
        response = finished.transmit(apdu)
        assert 2 <= len(response) <= 65_535
        assert response[-2] in {0x90, 0x63, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(function=st.sampled_from((1, 2, 3, 4)), stream=st.binary(max_size=60), last=st.booleans())
def test_no_grouping_upsets_the_chip(
    tmp_path_factory: pytest.TempPathFactory, function: int, stream: bytes, last: bool
) -> None:
    chip = host.blank(tmp_path_factory.mktemp("fuzz") / "chip")
    session = host.open_channel(chip, function)
    session.install(host.MAIN)
    prefix = {1: b"\x01", 2: b"\xc1\x01", 3: b"\xc2\x81", 4: b"\x34"}[function]
    chip.transmit(session.channel.wrap(0xE2, 0x88 if last else 0x08, 0, prefix + stream))
    assert host.send(chip, session.channel.wrap(0xCA, 0x9F, 0x7F, le=True))[1] == 0x9000
    chip.power_off()
