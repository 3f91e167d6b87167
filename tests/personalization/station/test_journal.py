"""Playing scripts: allowed status words, 61xx and 6Cxx, lost answers, repeated ids, fences."""

from collections.abc import Mapping

import pytest

from personalization.station.errors import ScriptIdTaken, StaleFence
from personalization.station.journal import AnswerMissing, ScriptPlayer
from personalization.station.ports import Command, Lost, Played, Response, Script, ScriptId, Stopped


class Wire:
    """Answers from a table (hex to hex); what is not in it is never answered."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers
        self.sent: list[str] = []

    def __call__(self, apdu: bytes) -> bytes:
        self.sent.append(apdu.hex().upper())
        if self.sent[-1] not in self.answers:
            raise AnswerMissing("the card is gone")
        return bytes.fromhex(self.answers[self.sent[-1]])


def script(*apdus: str, name: str = "job-1/a", fence: int = 1, allowed: frozenset[int] = frozenset({0x9000})) -> Script:
    commands = tuple(Command(bytes.fromhex(apdu), f"command {n}", allowed) for n, apdu in enumerate(apdus))
    return Script(ScriptId(name), fence, commands)


def test_every_allowed_status_goes_on() -> None:
    wire = Wire({"80CA006600": "AABB9000", "00A40000": "6A82"})
    outcome = ScriptPlayer(wire).play(script("80CA006600", "00A40000", allowed=frozenset({0x9000, 0x6A82})))
    assert outcome == Played((Response(b"\xaa\xbb", 0x9000), Response(b"", 0x6A82)))


def test_a_status_that_is_not_allowed_stops_the_script() -> None:
    wire = Wire({"00A40000": "6A82"})
    outcome = ScriptPlayer(wire).play(script("00A40000", "80CA006600"))
    assert outcome == Stopped(0, "command 0", 0x6A82, (Response(b"", 0x6A82),))
    assert wire.sent == ["00A40000"]


@pytest.mark.parametrize("answer", [None, "", "90"])
def test_an_answer_that_does_not_come_is_lost(answer: str | None) -> None:
    wire = Wire({"00A40000": "9000"} | ({} if answer is None else {"80CA006600": answer}))
    outcome = ScriptPlayer(wire).play(script("00A40000", "80CA006600", "00A40000"))
    assert isinstance(outcome, Lost)
    assert (outcome.index, outcome.purpose) == (1, "command 1")
    assert outcome.responses == (Response(b"", 0x9000),)
    assert wire.sent == ["00A40000", "80CA006600"]


def test_waiting_bytes_are_fetched() -> None:
    wire = Wire({"80CA006600": "016102", "00C0000002": "02036101", "00C0000001": "049000"})
    assert ScriptPlayer(wire).play(script("80CA006600")) == Played((Response(b"\x01\x02\x03\x04", 0x9000),))


@pytest.mark.parametrize(
    ("asked", "asked_again"),
    [
        ("80CA006600", "80CA006603"),
        ("80CA0066", "80CA006603"),
        ("00A4020402503100", "00A4020402503103"),
        ("00A40204025031", "00A4020402503103"),
    ],
)
def test_a_wrong_expected_length_is_put_right(asked: str, asked_again: str) -> None:
    wire = Wire({asked: "6C03", asked_again: "0102039000"})
    assert ScriptPlayer(wire).play(script(asked)) == Played((Response(b"\x01\x02\x03", 0x9000),))


def test_an_answer_without_end_is_lost() -> None:
    wire = Wire({"80CA006600": "6101", "00C0000001": "006101"})
    assert isinstance(ScriptPlayer(wire).play(script("80CA006600")), Lost)


def test_a_repeated_id_is_answered_from_the_journal() -> None:
    wire = Wire({"00A40000": "9000"})
    player = ScriptPlayer(wire)
    for good in ("00A40000", "80CA006600"):  # the second one is lost: that, too, is never tried again
        first = player.play(script(good, name=good))
        sent = len(wire.sent)
        assert player.play(script(good, name=good)) is first
        assert len(wire.sent) == sent


def test_an_id_stands_for_its_commands() -> None:
    player = ScriptPlayer(Wire({"00A40000": "9000"}))
    player.play(script("00A40000"))
    with pytest.raises(ScriptIdTaken):
        player.play(script("80CA006600"))


def test_the_journal_is_bounded() -> None:
    wire = Wire({"00A40000": "9000"})
    player = ScriptPlayer(wire, journal_scripts=2)
    for name in ("a", "b", "c", "c", "b", "a"):
        player.play(script("00A40000", name=name))
    assert len(wire.sent) == 4


def test_a_stale_owner_is_refused_even_the_journal() -> None:
    wire = Wire({"00A40000": "9000"})
    player = ScriptPlayer(wire)
    player.play(script("00A40000", name="a", fence=5))
    player.play(script("00A40000", name="b", fence=5))
    player.play(script("00A40000", name="c", fence=6))
    for name in ("a", "d"):
        with pytest.raises(StaleFence):
            player.play(script("00A40000", name=name, fence=5))
    assert len(wire.sent) == 3
