"""Speed of the pure codecs under pytest-benchmark; every benchmark also checks what it made.

With `--benchmark-disable` each runs once, as an ordinary test.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from card_profiles.codecs.der import children, integer, octet_string, parse, sequence
from card_profiles.codecs.mrz import parse_td1, td1
from card_profiles.codecs.tlv import decode_all, encode
from card_profiles.profile import load_profile
from personalization.station.apdu import CommandApdu
from personalization.station.dgi import DataGrouping, store_data
from personalization.station.scp03 import Scp03Session, largest_plain_bytes
from tests.card_profiles.holders import ANNA

pytestmark = pytest.mark.benchmark(max_time=0.05, min_rounds=3, warmup=False)
"""Enough to compare by, little enough for every run of the tests."""

LEVEL = 0x33
BUFFER_BYTES = 2048
FILE = bytes(range(256)) * 80


def test_tlv(benchmark: BenchmarkFixture) -> None:
    objects = [(0x5F1F, b"ID" * 45), (0x7F61, FILE), (0x53, bytes(300))]

    def round_trip() -> list[tuple[int, bytes]]:
        return [(tlv.tag, tlv.value) for tlv in decode_all(b"".join(encode(*each) for each in objects))]

    assert benchmark(round_trip) == objects


def test_mrz(benchmark: BenchmarkFixture) -> None:
    lines = benchmark(td1, load_profile("eid-citizen@1").mrz, ANNA)
    parse_td1(lines)
    assert [len(line) for line in lines] == [30, 30, 30]


def test_der(benchmark: BenchmarkFixture) -> None:
    def round_trip() -> int:
        return len(children(parse(sequence(*(integer(n) for n in range(50)), octet_string(FILE)))))

    assert benchmark(round_trip) == 51


def test_store_data_blocks(benchmark: BenchmarkFixture) -> None:
    block = largest_plain_bytes(LEVEL, BUFFER_BYTES)
    blocks = benchmark(lambda: list(store_data([DataGrouping(0x0102, FILE, len(FILE))], block)))
    assert b"".join(each.data for each in blocks)[5:] == FILE


def test_scp03_wrapping(benchmark: BenchmarkFixture) -> None:
    commands = [
        CommandApdu(each.cla, each.ins, each.p1, each.p2, each.data, 256)
        for each in store_data([DataGrouping(0x0102, FILE, len(FILE))], largest_plain_bytes(LEVEL, BUFFER_BYTES))
    ]
    key = bytes(32)

    def wrap() -> list[bytes]:
        session = Scp03Session(key, key, key, bytes(16), LEVEL)
        return [session.wrap(command) for command in commands]

    wrapped = benchmark(wrap)
    overhead = 4 + 3 + 2  # header, extended Lc and Le
    assert all(len(apdu) <= BUFFER_BYTES + overhead for apdu in wrapped)
