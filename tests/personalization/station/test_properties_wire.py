"""Both ends of a wire, written independently, agree: command APDUs, SCP03 and IPP.

The other ends are the simulated chip's and the simulated printer's own readers, which share no code with the centre.
"""

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hsm.ports import CardFunction, ChannelKey
from personalization.station import ipp
from personalization.station.apdu import CommandApdu
from personalization.station.errors import ChannelBroken
from personalization.station.ipp_decode import decode
from personalization.station.scp03 import LEVELS, Scp03Handshake, Scp03Session, largest_plain_bytes
from simulators import ipp_wire
from simulators.chip import apdu as chip_apdu
from simulators.chip.secure_channel import PROTOCOL, SecureChannel, StaticKeys, WrongMac, card_challenge

BYTE = st.integers(0, 255)
REPEATS = settings(max_examples=60)
DATA = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([0, 1, 254, 255, 256, 257, chip_apdu.MAXIMUM_COMMAND_DATA_BYTES]).map(
        lambda size: bytes([7]) * size
    ),
)
ANSWER_BYTES = st.none() | st.sampled_from([1, 255, 256, 257, 65_535, 65_536]) | st.integers(1, 65_536)
COMMANDS = st.builds(CommandApdu, BYTE, BYTE, BYTE, BYTE, DATA, ANSWER_BYTES)


# --- command APDUs ------------------------------------------------------------------------------------------------
@given(COMMANDS)
def test_the_chip_reads_every_command_that_we_write(command: CommandApdu) -> None:
    """Cases 1 to 4, short and extended (ISO/IEC 7816-4 §5.1)."""
    read = chip_apdu.parse(command.encode())
    assert (read.cla, read.ins, read.p1, read.p2) == (command.cla, command.ins, command.p1, command.p2)
    assert (read.data, read.le) == (command.data, command.answer_bytes)
    assert len(read.lc_field) == (0 if not command.data else 3 if command.extended else 1)


@given(COMMANDS, st.integers(1, 8), st.binary(min_size=1, max_size=4))
def test_a_cut_or_longer_command_is_never_read_as_the_same(command: CommandApdu, lost: int, more: bytes) -> None:
    encoded = command.encode()
    for other in (encoded[:-lost], encoded + more):
        try:
            read = chip_apdu.parse(other)
        except chip_apdu.StatusError as refused:
            assert refused.status == chip_apdu.Status.WRONG_LENGTH
        else:
            assert (read.data, read.le) != (command.data, command.answer_bytes)


@given(st.binary(max_size=40))
def test_what_the_chip_reads_is_what_we_would_write(data: bytes) -> None:
    try:
        read = chip_apdu.parse(data)
    except chip_apdu.StatusError:
        return
    command = CommandApdu(read.cla, read.ins, read.p1, read.p2, read.data, read.le)
    again = chip_apdu.parse(command.encode())
    assert (again.data, again.le) == (read.data, read.le)
    if len(read.lc_field) < 3 and (read.lc_field or len(data) < 7):
        assert command.encode() == data


# --- SCP03 --------------------------------------------------------------------------------------------------------
KDD = bytes(range(10))
KEY_VERSION = 0x30


class StaticChipKeys:
    """`ChipKeys` that hold one chip's static keys."""

    def __init__(self, keys: StaticKeys) -> None:
        self._keys = {ChannelKey.ENC: keys.enc, ChannelKey.MAC: keys.mac}

    def cmac(
        self, _function: CardFunction, key: ChannelKey, _kdd: bytes, messages: tuple[bytes, ...]
    ) -> tuple[bytes, ...]:
        macs = []
        for message in messages:
            mac = CMAC(AES(self._keys[key]))
            mac.update(message)
            macs.append(mac.finalize())
        return tuple(macs)

    def rewrap_for_chip(self, kdd: bytes, wrapped: bytes) -> bytes:
        raise NotImplementedError


def channel(key_bytes: int, seed: bytes, host_challenge: bytes, level: int) -> tuple[Scp03Session, SecureChannel]:
    """Our session and the chip's, opened with each other."""
    enc, mac, dek = (bytes([number, *seed]) * key_bytes for number in range(3))
    keys = StaticKeys(enc[:key_bytes], mac[:key_bytes], dek[:key_bytes])
    handshake = Scp03Handshake(
        StaticChipKeys(keys),  # type: ignore[arg-type]
        function=CardFunction.PERSO,
        key_version=KEY_VERSION,
        kdd=KDD,
        level=level,
        host_challenge=host_challenge,
        key_bits=8 * key_bytes,
    )
    challenge = card_challenge(keys, 5, b"\xa0")
    chip = SecureChannel(keys, host_challenge, challenge)
    session = handshake.open(KDD + bytes([KEY_VERSION]) + PROTOCOL + challenge + chip.card_cryptogram + bytes(3))
    chip.authenticate(chip_apdu.parse(session.external_authenticate()))
    return session, chip


CHANNELS = st.tuples(
    st.sampled_from([16, 24, 32]), st.binary(min_size=1, max_size=8), st.binary(min_size=8, max_size=8),
    st.sampled_from(sorted(LEVELS)),
)  # fmt: skip
EXCHANGES = st.lists(
    st.tuples(st.builds(CommandApdu, BYTE.map(lambda one: one & ~4), BYTE, BYTE, BYTE, DATA, ANSWER_BYTES), DATA),
    min_size=1,
    max_size=5,
)


@REPEATS
@given(CHANNELS, EXCHANGES)
def test_both_ends_of_the_channel_read_each_other(
    opened: tuple[int, bytes, bytes, int], exchanges: list[tuple[CommandApdu, bytes]]
) -> None:
    level = opened[3]
    assume(all(len(c.data) <= largest_plain_bytes(level, chip_apdu.MAXIMUM_COMMAND_DATA_BYTES) for c, _ in exchanges))
    session, chip = channel(*opened)
    wrapped = [session.wrap(command) for command, _ in exchanges]  # the whole script ahead
    answers = []
    for (command, answer), apdu in zip(exchanges, wrapped, strict=True):
        plain = chip.unwrap(chip_apdu.parse(apdu))
        assert (plain.cla, plain.ins, plain.p1_p2) == (command.cla, command.ins, command.p1 << 8 | command.p2)
        assert (plain.data, plain.le) == (command.data, command.answer_bytes)
        answers.append(chip.wrap(answer))
    for index, ((_, answer), protected) in enumerate(zip(exchanges, answers, strict=True)):
        assert session.unwrap(index, protected, 0x9000) == answer


@REPEATS
@given(CHANNELS, st.binary(max_size=60), st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_bit_breaks_the_channel(
    opened: tuple[int, bytes, bytes, int], data: bytes, place: int, change: int
) -> None:
    session, chip = channel(*opened)
    apdu = bytearray(session.wrap(CommandApdu(0x80, 0xE2, 0, 0, data)))
    apdu[5 + place % (len(apdu) - 5)] ^= change
    with pytest.raises(WrongMac):
        chip.unwrap(chip_apdu.parse(bytes(apdu)))
    if opened[3] & 0x10:
        session, chip = channel(*opened)
        chip.unwrap(chip_apdu.parse(session.wrap(CommandApdu(0x80, 0xE2, 0, 0, data))))
        answer = bytearray(chip.wrap(data))
        answer[place % len(answer)] ^= change
        with pytest.raises(ChannelBroken):
            session.unwrap(0, bytes(answer), 0x9000)


# --- IPP ----------------------------------------------------------------------------------------------------------
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
INT32 = st.integers(-(2**31), 2**31 - 1)
PLAIN = st.one_of(
    st.builds(ipp.Value, st.sampled_from([ipp.Tag.INTEGER, ipp.Tag.ENUM]), INT32),
    st.builds(ipp.Value, st.just(ipp.Tag.BOOLEAN), st.booleans()),
    st.builds(ipp.Value, st.sampled_from([ipp.Tag.TEXT, ipp.Tag.NAME, ipp.Tag.URI]), st.text(max_size=40)),
    st.builds(ipp.Value, st.sampled_from([ipp.Tag.OCTETS, ipp.Tag.NO_VALUE]), st.binary(max_size=20)),
    st.builds(ipp.Value, st.just(ipp.Tag.RANGE), st.builds(ipp.Range, INT32, INT32)),
    st.builds(
        ipp.Value,
        st.just(ipp.Tag.RESOLUTION),
        st.builds(ipp.Resolution, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 127)),
    ),
)  # fmt: skip


def _attributes(values: st.SearchStrategy[ipp.Value]) -> st.SearchStrategy[tuple[ipp.Attribute, ...]]:
    one = st.builds(ipp.Attribute, NAMES, st.lists(values, min_size=1, max_size=3).map(tuple))
    return st.lists(one, max_size=4, unique_by=lambda attribute: attribute.name).map(tuple)


VALUES = st.recursive(
    PLAIN,
    lambda inner: st.builds(
        ipp.Value, st.just(ipp.Tag.BEGIN_COLLECTION), st.builds(ipp.Collection, _attributes(inner))
    ),
    max_leaves=6,
)
GROUPS = st.lists(st.builds(ipp.Group, st.sampled_from([1, 2, 4, 5]), _attributes(VALUES)), max_size=3).map(tuple)
MESSAGES = st.builds(
    ipp.Message, st.integers(0, 0xFFFF), st.integers(0, 2**31 - 1), GROUPS, st.binary(max_size=30),
    st.sampled_from([(1, 1), (2, 0)]),
)  # fmt: skip


@REPEATS
@given(MESSAGES)
def test_every_message_comes_back(message: ipp.Message) -> None:
    assert decode(ipp.encode(message)) == message


@REPEATS
@given(MESSAGES)
def test_the_printer_reads_every_message_that_we_write_and_we_read_what_it_writes(message: ipp.Message) -> None:
    read = ipp_wire.decode(ipp.encode(message))
    assert (read.code, read.request_id, read.version, read.data) == (
        message.code, message.request_id, message.version, message.data,
    )  # fmt: skip
    assert [group.tag for group in read.groups] == [group.tag for group in message.groups]
    for theirs, ours in zip(read.groups, message.groups, strict=True):
        assert [one.name for one in theirs.attributes] == [one.name for one in ours.attributes]
    assert decode(ipp_wire.encode(read)) == message


@pytest.mark.parametrize(
    "one",
    [
        ipp.attribute("copies", ipp.Tag.INTEGER, 2**31),
        ipp.attribute("resolution", ipp.Tag.RESOLUTION, ipp.Resolution(-1, 1)),
        ipp.attribute("kopēšana", ipp.Tag.INTEGER, 1),
        ipp.attribute("copies", ipp.Tag.INTEGER, "1"),
    ],
)
def test_what_no_message_can_hold_is_refused(one: ipp.Attribute) -> None:
    with pytest.raises(ipp.IppError):
        ipp.encode(ipp.Message(2, 1, (ipp.Group(ipp.GroupTag.JOB, (one,)),)))


@REPEATS
@given(MESSAGES, st.integers(0, 400), st.binary(max_size=3))
def test_both_readers_refuse_the_same_broken_messages(message: ipp.Message, at: int, put_in: bytes) -> None:
    """What one reads and the other does not is the reader's strictness about values, never a crash."""
    encoded = ipp.encode(message)
    broken = encoded[: at % len(encoded)] + put_in + encoded[at % len(encoded) + 1 :]
    try:
        ours = decode(broken)
    except ipp.IppError:
        return
    try:
        theirs = ipp_wire.decode(broken)
    except ipp_wire.IppSyntaxError:
        return
    assert [group.tag for group in theirs.groups] == [group.tag for group in ours.groups]
    assert theirs.data == ours.data
