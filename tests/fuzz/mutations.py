"""Bytes that are nearly right: real outputs with a few changes, as a hypothesis strategy."""

from collections.abc import Sequence

from hypothesis import strategies as st

INTERESTING = (b"\x00", b"\x01", b"\x7f", b"\x80", b"\x81", b"\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff")


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, cut, extended, overwritten or repeated at one to four places."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 8))
        match draw(st.integers(0, 5)):
            case 0:
                del data[at : at + size]
            case 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case 2:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 3:
                data[at : at + size] = draw(st.sampled_from(INTERESTING))
            case 4:
                data[at:at] = data[max(0, at - size) : at]
            case _:
                del data[at:]
    return bytes(data)


def any_bytes(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly nearly right, at times anything."""
    return st.one_of(mutated(seeds), mutated(seeds), mutated(seeds), st.binary(max_size=300))
