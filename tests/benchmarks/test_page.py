"""The page of figures: charts are drawn in it, nothing is loaded, nothing of a figure is markup."""

from html.parser import HTMLParser

from api.bench.figure import Figure, Measured
from api.bench.page import page

ROUNDS = [0.41, 0.52, 0.47]
PREPARE = Figure(
    "prepare",
    61.5,
    "cards/s",
    Measured("raw loop <of> calls", 120.0, "cards/s"),
    0.51,
    {
        "wall_ratio_of_each_round": ROUNDS,
        "cpu_ms": 14.0,
        "reference_cpu_ms": 7.0,
        "two_processes": {"cpu_ms_one": 14.0, "cpu_ms_two": 15.0},
        "waiting": {"jobs": [1000, 50_000], "cpu_ms_few": 14.0, "cpu_ms_many": 14.2},
        "accept": {"cpu_ms": 26.0, "reference_cpu_ms": 15.0},
    },
)
ENCODE = Figure(
    "encode",
    40_940,
    "bytes on the line",
    Measured("content of the same card", 39_193, "bytes"),
    1.0446,
    {"cards": [{"content_bytes": 39_193, "line_over_content": 1.0446}]},
)


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag != "meta":
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def seen(text: str) -> Seen:
    parser = Seen()
    parser.feed(text)
    parser.close()
    return parser


def test_every_figure_has_its_charts_and_nothing_is_loaded() -> None:
    parsed = seen(page([PREPARE, ENCODE]))
    assert parsed.open == []
    assert parsed.tags.count("h2") == 2
    assert parsed.tags.count("svg") == 8
    assert not parsed.outside
    assert "script" not in parsed.tags
    assert "link" not in parsed.tags


def test_words_of_a_figure_are_no_markup() -> None:
    assert "<of>" not in page([PREPARE])
    assert "raw loop &lt;of&gt; calls" in page([PREPARE])


def test_a_column_is_as_high_as_its_value() -> None:
    text = page([PREPARE])
    assert all(f">{value:.3g}</text>" in text for value in ROUNDS)
