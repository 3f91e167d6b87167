"""The latency model: a pure function of command, response and bytes written, and its data."""

from dataclasses import replace
from pathlib import Path

import pytest

import simulators.chip
from simulators.chip.latency import LatencyError, LatencyModel, PacedCard, load_latency
from tests.simulators import chip_host as host

SHIPPED = Path(simulators.chip.__file__).with_name("latency.toml")
OK = b"\x90\x00"
SHORT = bytes.fromhex("80CA9F7F00")

PLAIN = LatencyModel(
    line_bits_per_second=1000.0,
    line_bits_per_byte=10.0,
    block_bytes=100,
    block_overhead_bytes=0,
    exchange_milliseconds=0.0,
    page_bytes=256,
    page_milliseconds=0.0,
    secure_messaging_milliseconds_per_kilobyte=0.0,
    generate_key_milliseconds={"P-256": 0.0, "P-384": 0.0},
    sign_milliseconds={"P-256": 0.0, "P-384": 0.0},
)
"""One byte takes 10 ms, and nothing else any time."""


def milliseconds(model: LatencyModel, apdu: bytes, response: bytes, written_bytes: int = 0) -> float:
    return round(1000 * model.seconds(apdu, response, written_bytes), 6)


def test_every_byte_takes_its_time_on_the_line() -> None:
    assert milliseconds(PLAIN, SHORT, OK) == 70
    assert milliseconds(PLAIN, SHORT, bytes(48) + OK) == 550
    assert milliseconds(replace(PLAIN, line_bits_per_second=2000.0), SHORT, OK) == 35


@pytest.mark.parametrize(("data_bytes", "blocks"), [(1, 1), (100, 1), (101, 2), (300, 3)])
def test_blocks_are_framed_and_all_but_the_last_acknowledged(data_bytes: int, blocks: int) -> None:
    framed = replace(PLAIN, block_overhead_bytes=4)
    spent = milliseconds(framed, bytes(data_bytes), OK) - milliseconds(PLAIN, bytes(data_bytes), OK)
    assert spent == 10 * 4 * (2 * blocks - 1) + 10 * 4  # and the response's own block


def test_an_exchange_has_a_price_of_its_own() -> None:
    assert milliseconds(replace(PLAIN, exchange_milliseconds=40.0), SHORT, OK) == 110


@pytest.mark.parametrize(("written_bytes", "pages"), [(0, 0), (1, 1), (256, 1), (257, 2), (2048, 8)])
def test_memory_is_written_in_whole_pages(written_bytes: int, pages: int) -> None:
    assert milliseconds(replace(PLAIN, page_milliseconds=3.0), SHORT, OK, written_bytes) == 70 + 3 * pages


def test_secure_messaging_takes_time_for_what_it_wraps() -> None:
    model = replace(PLAIN, secure_messaging_milliseconds_per_kilobyte=1024.0)
    assert milliseconds(model, b"\x84\xe2\x80\x00\x00", OK) == 70 + 7
    assert milliseconds(model, b"\x80\xe2\x80\x00\x00", OK) == 70


@pytest.mark.parametrize("header", ["0088000000", "002A9E9A00"])
def test_a_signature_takes_the_time_of_its_curve(header: str) -> None:
    model = replace(PLAIN, sign_milliseconds={"P-256": 32.0, "P-384": 45.0})
    apdu = bytes.fromhex(header)
    assert milliseconds(model, apdu, bytes(64) + OK) == 710 + 32
    assert milliseconds(model, apdu, bytes(96) + OK) == 1030 + 45
    assert milliseconds(model, apdu, b"\x69\x82") == 70


def test_a_generated_key_takes_the_time_of_its_curve() -> None:
    model = replace(PLAIN, generate_key_milliseconds={"P-256": 27.0, "P-384": 39.0})
    apdu = bytes.fromhex("0047800000")
    assert milliseconds(model, apdu, bytes(70) + OK) == 770 + 27
    assert milliseconds(model, apdu, bytes(102) + OK) == 1090 + 39
    assert milliseconds(model, apdu, b"\x69\x82") == 70


def test_the_shipped_model_gives_the_measured_times() -> None:
    """2.9 ms a 256-byte page, 40 ms an exchange, 250 kbit/s: a block of 2,031 bytes takes about a fifth of a second."""
    model = load_latency(SHIPPED)
    assert 40 < milliseconds(model, SHORT, bytes(45) + OK) < 45
    stored = milliseconds(model, b"\x84\xe2\x00\x00\x00\x08\x00" + bytes(2048), bytes(8) + OK, 2031)
    assert 180 < stored < 230
    assert 0.9 < (stored - 40 - 8 * 2.86 - 2065 / 1024 * 16.56) / (2065 * 12 / 250) < 1.1


def test_every_number_of_the_shipped_model_tells_its_source() -> None:
    comment, told = False, set()
    for text in SHIPPED.read_text().splitlines():
        if text.startswith("["):
            comment, table = False, text
        elif text.startswith("#"):
            comment = True
        elif text:
            assert comment, f"{table} {text}: no source stands above it"
            told.add(table)
    assert len(told) == 6


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[exchange]", "[exchanges]", "exchanges is not among the tables: exchange,"),
        ("milliseconds = 40.0", "seconds = 40.0", r"seconds is not among the keys of \[exchange\]: milliseconds"),
        ("milliseconds = 40.0", "milliseconds = '40'", r"\[exchange\] milliseconds is a number from 0"),
        ("milliseconds = 40.0", "milliseconds = -1", r"\[exchange\] milliseconds is a number from 0"),
        ("milliseconds = 40.0", "", r"milliseconds is missing among the keys of \[exchange\]"),
        ("page_bytes = 256", "page_bytes = 0", "page_bytes are more than 0"),
        ("[exchange]", "[exchange", "it is not TOML"),
    ],
)
def test_what_is_no_model_is_refused_with_a_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "model.toml"
    text = SHIPPED.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(LatencyError, match=sentence):
        load_latency(path)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LatencyError, match="cannot be read"):
        load_latency(tmp_path / "none.toml")


def test_a_paced_card_sleeps_for_what_the_model_says(tmp_path: Path) -> None:
    slept: list[float] = []
    card = PacedCard(host.blank(tmp_path / "chip"), replace(PLAIN, page_milliseconds=1000.0), sleep=slept.append)
    assert card.transmit(SHORT).endswith(OK)
    assert card.transmit(bytes.fromhex("80500100080102030405060708")).endswith(OK)  # counts: three bytes are written
    assert 0.4 < slept[0] <= 0.52
    assert 1.2 < slept[1] <= 1.47
