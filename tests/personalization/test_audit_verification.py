"""The audit log as a file: cut, moved, edited, added, signed by somebody else: found, with number and kind."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm.ports import Curve, KeyLabel, PublicKey
from personalization.audit_file import FORMAT, entries_of, lines_of, refuse_unsigned
from personalization.audit_verification import (
    GENESIS,
    NO_ANCHORS,
    AnchorMalformed,
    AuditBroken,
    Checkpoint,
    Entry,
    Fault,
    LoggedEvent,
    Proven,
    chain_hash,
    checkpoint_digest,
    read_anchors,
    verify_log,
)
from tests.pki.software_signer import SoftwareSigner

AUDIT = KeyLabel("audit")
SIGNER = SoftwareSigner()
PUBLIC = SIGNER.make(AUDIT, Curve.P256)


def log(count: int, *, signed: tuple[int, ...], signer: SoftwareSigner = SIGNER) -> list[Entry]:
    """A log of `count` events with checkpoints over the numbers `signed`."""
    return chained([f'{{"kind":"event-{number}"}}' for number in range(1, count + 1)], signed=signed, signer=signer)


def chained(bodies: list[str], *, signed: tuple[int, ...], signer: SoftwareSigner = SIGNER) -> list[Entry]:
    entries: list[Entry] = []
    previous = GENESIS
    for seq, body in enumerate(bodies, 1):
        current = chain_hash(previous, seq, body)
        entries.append(LoggedEvent(seq, body, previous, current))
        if seq in signed:
            entries.append(Checkpoint(seq, current, AUDIT, signer.sign(AUDIT, checkpoint_digest(seq, current))))
        previous = current
    return entries


def written(entries: list[Entry]) -> list[bytes]:
    return list(lines_of(entries))


def proven(lines: list[bytes], public: PublicKey = PUBLIC, *anchors: str, unsigned: bool = False) -> Proven:
    entries = entries_of(io.BytesIO(b"".join(lines)))
    return verify_log(entries if unsigned else refuse_unsigned(entries), public, read_anchors(anchors))


def broken(lines: list[bytes], public: PublicKey = PUBLIC, *anchors: str) -> tuple[int, Fault]:
    with pytest.raises(AuditBroken) as found:
        proven(lines, public, *anchors)
    return found.value.number, found.value.fault


FILE = written(log(6, signed=(3, 6)))
"""Header, events 1-3, checkpoint 3 (line 4), events 4-6 (5-7), checkpoint 6 (8), end (9)."""


def edited(line: int, **members: object) -> list[bytes]:
    changed: dict[str, Any] = json.loads(FILE[line]) | members
    return [*FILE[:line], json.dumps(changed).encode() + b"\n", *FILE[line + 1 :]]


def end(last: int, checkpoint: int) -> bytes:
    return json.dumps({"last": last, "checkpoint": checkpoint}).encode() + b"\n"


def test_a_whole_file_is_proven_by_itself_and_the_key_alone() -> None:
    found = proven(FILE)
    assert (found.last, found.signed, found.unsigned) == (6, 6, 0)
    assert found.anchor == f"6:{found.last_hash}"
    assert proven(FILE, PUBLIC, found.anchor) == found


def test_an_empty_log_is_whole() -> None:
    assert proven(written([])) == Proven(0, GENESIS, 0)
    assert proven(written([])).anchor is None


def test_what_was_written_is_read() -> None:
    entries = log(5, signed=(2, 5))
    assert list(entries_of(io.BytesIO(b"".join(written(entries))))) == entries


# --- cut ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kept", range(1, len(FILE)))
def test_a_file_that_was_cut_between_lines_is_found(kept: int) -> None:
    assert broken(FILE[:kept])[1] is Fault.CUT


@given(st.integers(min_value=0, max_value=len(b"".join(FILE)) - 1))
def test_a_file_that_was_cut_anywhere_is_found(kept: int) -> None:
    with pytest.raises(AuditBroken):
        proven([b"".join(FILE)[:kept]])


def test_a_tail_cut_off_with_the_end_left_is_found() -> None:
    assert broken([*FILE[:5], FILE[-1]]) == (4, Fault.CUT)


def test_a_tail_cut_off_with_a_new_end_is_found_by_an_anchor_alone() -> None:
    anchor = proven(FILE).anchor
    cut = [*FILE[:5], end(3, 3)]
    assert proven(cut).last == 3, "a whole log as it was one day: the file alone cannot tell"
    assert anchor is not None
    assert broken(cut, PUBLIC, anchor) == (4, Fault.CUT)


# --- taken out, moved, edited -------------------------------------------------------------------------------------
def test_a_line_taken_out_is_found() -> None:
    assert broken([*FILE[:5], *FILE[6:]]) == (4, Fault.MISSING)


def test_the_first_event_taken_out_is_found() -> None:
    assert broken([FILE[0], *FILE[2:]]) == (1, Fault.MISSING)


def test_a_checkpoint_without_its_event_is_found() -> None:
    assert broken([*FILE[:3], *FILE[4:]]) == (3, Fault.CHECKPOINT)


@pytest.mark.parametrize(("one", "other", "number"), [(1, 2, 1), (5, 6, 4), (2, 5, 2)])
def test_lines_in_another_order_are_found(one: int, other: int, number: int) -> None:
    lines = list(FILE)
    lines[one], lines[other] = lines[other], lines[one]
    assert broken(lines)[0] == number


def test_an_event_that_is_there_twice_is_found() -> None:
    assert broken([*FILE[:3], FILE[2], *FILE[3:]]) == (3, Fault.OUT_OF_ORDER)


def test_a_checkpoint_that_is_there_twice_is_found() -> None:
    assert broken([*FILE[:5], FILE[4], *FILE[5:]]) == (3, Fault.OUT_OF_ORDER)


@pytest.mark.parametrize(
    ("members", "number", "fault"),
    [
        ({"body": '{"kind":"forged"}'}, 2, Fault.CHANGED),
        ({"hash": "e" * 64}, 2, Fault.CHANGED),
        ({"previous_hash": "e" * 64}, 2, Fault.CHANGED),
        ({"body": "\ud800"}, 2, Fault.CHANGED),
        ({"seq": 9}, 2, Fault.MISSING),
        ({"seq": 1}, 2, Fault.OUT_OF_ORDER),
    ],
)
def test_an_edited_event_is_found(members: dict[str, object], number: int, fault: Fault) -> None:
    assert broken(edited(2, **members)) == (number, fault)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"hash": "e" * 64}, Fault.CHECKPOINT),
        ({"checkpoint": 2}, Fault.CHECKPOINT),
        ({"signature": "AAAA"}, Fault.SIGNATURE),
        ({"signature": ""}, Fault.SIGNATURE),
        ({"signature": "not base64"}, Fault.MALFORMED),
    ],
)
def test_an_edited_checkpoint_is_found(members: dict[str, object], fault: Fault) -> None:
    assert broken(edited(4, **members))[1] is fault


# --- chained anew -------------------------------------------------------------------------------------------------
def forged(after: list[str]) -> list[Entry]:
    """Another log, chained well, with the true checkpoints put where they stood."""
    true = {entry.seq: entry for entry in log(6, signed=(3, 6)) if isinstance(entry, Checkpoint)}
    entries: list[Entry] = []
    for event in chained(after, signed=()):
        entries.append(event)
        if event.seq in true:
            entries.append(true[event.seq])
    return entries


def test_an_edited_event_with_all_later_ones_chained_anew_is_found_by_the_checkpoint() -> None:
    bodies = [f'{{"kind":"event-{number}"}}' for number in range(1, 7)]
    bodies[4] = '{"kind":"forged"}'
    assert broken(written(forged(bodies))) == (6, Fault.CHECKPOINT)


def test_an_event_put_in_with_all_later_ones_chained_anew_is_found_by_the_checkpoint() -> None:
    bodies = [f'{{"kind":"event-{number}"}}' for number in range(1, 7)]
    assert broken(written(forged([bodies[0], '{"kind":"forged"}', *bodies[1:]]))) == (3, Fault.CHECKPOINT)


def test_a_true_signature_over_a_forged_hash_is_found() -> None:
    entries = forged([f'{{"kind":"forged-{number}"}}' for number in range(1, 7)])
    hashes = {entry.seq: entry.hash for entry in entries if isinstance(entry, LoggedEvent)}
    moved = [
        Checkpoint(each.seq, hashes[each.seq], each.key_label, each.signature) if isinstance(each, Checkpoint) else each
        for each in entries
    ]
    assert broken(written(moved)) == (3, Fault.SIGNATURE)


def test_events_added_behind_the_last_checkpoint_are_not_believed() -> None:
    added = written([*log(6, signed=(3, 6)), *log(8, signed=(3, 6))[-2:]])
    assert broken(added) == (7, Fault.UNSIGNED)
    told = proven(added, unsigned=True)
    assert (told.last, told.signed, told.unsigned) == (8, 6, 2)


def test_checkpoints_taken_out_leave_nothing_proven() -> None:
    assert broken(written(log(6, signed=()))) == (1, Fault.UNSIGNED)


# --- another key, and history written anew ------------------------------------------------------------------------
def test_a_log_signed_by_another_key_is_found() -> None:
    stranger = SoftwareSigner()
    stranger.make(AUDIT, Curve.P256)
    assert broken(written(log(6, signed=(3, 6), signer=stranger))) == (3, Fault.SIGNATURE)
    assert broken(FILE, stranger.public_key(AUDIT)) == (3, Fault.SIGNATURE)


def test_the_last_checkpoint_by_another_key_is_found() -> None:
    stranger = SoftwareSigner()
    stranger.make(AUDIT, Curve.P256)
    mixed = [*log(6, signed=(3,)), log(6, signed=(6,), signer=stranger)[-1]]
    assert broken(written(mixed)) == (6, Fault.SIGNATURE)


def test_history_written_anew_by_the_holder_of_the_key_is_found_by_an_anchor() -> None:
    yesterday = proven(written(log(4, signed=(4,)))).anchor
    assert yesterday is not None
    assert proven(FILE, PUBLIC, yesterday).last == 6
    anew = written(chained([f'{{"kind":"other-{number}"}}' for number in range(1, 7)], signed=(6,)))
    assert proven(anew).last == 6, "without the anchor it is a whole log"
    assert broken(anew, PUBLIC, yesterday) == (4, Fault.ANCHOR)


@pytest.mark.parametrize("text", ["", "4", "0:" + "a" * 64, "4:" + "a" * 63, "x:" + "a" * 64, "4:" + "g" * 64])
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(AnchorMalformed):
        read_anchors([text])


def test_two_anchors_of_one_number_that_differ_are_refused() -> None:
    with pytest.raises(AnchorMalformed):
        read_anchors(["4:" + "a" * 64, "4:" + "b" * 64])
    assert read_anchors(["4:" + "A" * 64, "4:" + "a" * 64]) == {4: "a" * 64}


# --- no such file -------------------------------------------------------------------------------------------------
def _behind_the_end(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


def _no_header(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def _another_format(lines: list[bytes]) -> list[bytes]:
    return [json.dumps({"format": FORMAT + "0"}).encode() + b"\n", *lines[1:]]


def _member_twice(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"seq": 2', b'"seq": 9, "seq": 2'), *lines[3:]]


def _member_more(lines: list[bytes]) -> list[bytes]:
    return edited(2, note="more")


def _true_for_one(lines: list[bytes]) -> list[bytes]:
    return edited(1, seq=True)


def _deep(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"[" * 100_000 + b"\n", *lines[3:]]


def _long(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b" " * 2_000_000 + b"\n", *lines[3:]]


def _long_number(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"seq": 2', b'"seq": ' + b"2" * 5000), *lines[3:]]


@pytest.mark.parametrize(
    "change",
    [
        _behind_the_end, _no_header, _another_format, _member_twice, _member_more, _true_for_one, _deep, _long,
        _long_number,
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(change: Callable[[list[bytes]], list[bytes]]) -> None:
    assert broken(change(FILE))[1] is Fault.MALFORMED


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_and_never_an_error_of_another_kind(junk: bytes) -> None:
    with pytest.raises(AuditBroken):
        proven([FILE[0], FILE[1], junk])


@given(st.integers(min_value=0, max_value=len(b"".join(FILE)) - 1), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_found_or_changes_nothing(place: int, change: int) -> None:
    """Blanks and the label of the key say nothing: everything else is under a hash or a signature."""
    octets = bytearray(b"".join(FILE))
    octets[place] ^= change
    try:
        found = proven([bytes(octets)])
    except AuditBroken:
        return
    assert found == proven(FILE)


def test_without_a_key_signatures_are_left_unproven() -> None:
    assert verify_log(log(3, signed=(3,), signer=SIGNER), None, NO_ANCHORS).signed == 3
