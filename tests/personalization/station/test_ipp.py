"""The IPP codec against the worked examples of RFC 8010 appendix A and of RFC 3382, and against broken messages.

Print-URI, Create-Job with a collection and Get-Jobs are the octets of the tables in appendix A.5, A.7 and A.8; the
collection in a collection with a document behind it is table 5 of RFC 3382 §7.4 as erratum 3019 writes it.
"""

import pytest

from personalization.station.ipp import (
    Attribute,
    Collection,
    Group,
    GroupTag,
    IppError,
    Message,
    Operation,
    Range,
    Resolution,
    Tag,
    Value,
    attribute,
    encode,
)
from personalization.station.ipp_decode import MAXIMUM_DEPTH, decode

URI = "ipp://printer.example.com/ipp/print/pinetree"
HEAD = (
    attribute("attributes-charset", Tag.CHARSET, "utf-8"),
    attribute("attributes-natural-language", Tag.NATURAL_LANGUAGE, "en-us"),
    attribute("printer-uri", Tag.URI, URI),
)
HEAD_HEX = (
    "01470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e677561"
    "67650005656e2d757345000b7072696e7465722d757269002c6970703a2f2f7072696e7465722e6578616d706c652e636f6d2f6970702f7072"
    "696e742f70696e65747265"
    "65"
)

PRINT_URI = (
    Message(
        0x0003,
        1,
        (
            Group(
                GroupTag.OPERATION,
                (
                    *HEAD,
                    attribute("document-uri", Tag.URI, "ftp://foo.example.com/foo"),
                    attribute("job-name", Tag.NAME, "foobar"),
                ),
            ),
            Group(GroupTag.JOB, (attribute("copies", Tag.INTEGER, 1),)),
        ),
        version=(1, 1),
    ),
    "0101000300000001"
    + HEAD_HEX
    + "45000c646f63756d656e742d75726900196674703a2f2f666f6f2e6578616d706c652e636f6d2f666f6f"
    "4200086a6f622d6e616d650006666f6f62617202210006636f7069657300040000000103",
)
GET_JOBS = (
    Message(
        Operation.GET_JOBS,
        123,
        (
            Group(
                GroupTag.OPERATION,
                (
                    *HEAD,
                    attribute("limit", Tag.INTEGER, 50),
                    attribute("requested-attributes", Tag.KEYWORD, "job-id", "job-name", "document-format"),
                ),
            ),
        ),
        version=(1, 1),
    ),
    "0101000a0000007b" + HEAD_HEX + "2100056c696d6974000400000032"
    "4400147265717565737465642d6174747269627574657300066a6f622d6964"
    "44000000086a6f622d6e616d65440000000f646f63756d656e742d666f726d617403",
)
MEDIA_SIZE = Collection((attribute("x-dimension", Tag.INTEGER, 21_000), attribute("y-dimension", Tag.INTEGER, 29_700)))
CREATE_JOB = (
    Message(
        Operation.CREATE_JOB,
        1,
        (
            Group(
                GroupTag.OPERATION,
                (
                    *HEAD,
                    attribute(
                        "media-col",
                        Tag.BEGIN_COLLECTION,
                        Collection(
                            (
                                attribute("media-size", Tag.BEGIN_COLLECTION, MEDIA_SIZE),
                                attribute("media-type", Tag.KEYWORD, "stationery"),
                            )
                        ),
                    ),
                ),
            ),
        ),
        version=(1, 1),
    ),
    "0101000500000001"
    + HEAD_HEX
    + "3400096d656469612d636f6c00004a0000000a6d656469612d73697a6534000000004a0000000b782d64"
    "696d656e73696f6e2100000004000052084a0000000b792d64696d656e73696f6e21000000040000740437000000004a0000000a6d65646961"
    "2d74797065440000000a73746174696f6e657279370000000003",
)
RFC_3382 = (
    Message(
        Operation.PRINT_JOB,
        1,
        (
            Group(
                GroupTag.JOB,
                (
                    attribute(
                        "media-col",
                        Tag.BEGIN_COLLECTION,
                        Collection(
                            (
                                attribute("media-color", Tag.KEYWORD, "blue"),
                                attribute(
                                    "media-size",
                                    Tag.BEGIN_COLLECTION,
                                    Collection(
                                        (
                                            attribute("x-dimension", Tag.INTEGER, 6),
                                            attribute("y-dimension", Tag.INTEGER, 4),
                                        )
                                    ),
                                ),
                            )
                        ),
                    ),
                ),
            ),
        ),
        b"%PDF-1.7",
    ),
    "0200000200000001" + "02"
    "3400096d656469612d636f6c0000"
    "4a0000000b6d656469612d636f6c6f72" + "4400000004626c7565"
    "4a0000000a6d656469612d73697a65" + "3400000000"
    "4a0000000b782d64696d656e73696f6e" + "21000000040000" + "0006"
    "4a0000000b792d64696d656e73696f6e" + "21000000040000" + "0004"
    "3700000000" + "3700000000" + "03255044462d312e37",
)


@pytest.mark.parametrize(("message", "octets"), [PRINT_URI, GET_JOBS, CREATE_JOB, RFC_3382])
def test_worked_examples(message: Message, octets: str) -> None:
    assert encode(message).hex() == octets
    assert decode(bytes.fromhex(octets)) == message


def test_every_kind_of_value() -> None:
    values = (
        Value(Tag.INTEGER, -5),
        Value(Tag.ENUM, 9),
        Value(Tag.BOOLEAN, True),
        Value(Tag.BOOLEAN, False),
        Value(Tag.RESOLUTION, Resolution(300, 600)),
        Value(Tag.RANGE, Range(-1, 7)),
        Value(Tag.NAME, "Kārļa karte"),
        Value(Tag.OCTETS, b"\x00\xff"),
        Value(Tag.DATE_TIME, bytes(11)),
        Value(Tag.NO_VALUE, b""),
        Value(0x7F, b"later"),
    )
    message = Message(0, 1, (Group(GroupTag.PRINTER, (Attribute("everything", values),)),))
    octets = encode(message)
    assert decode(octets) == message
    # RFC 8010 §3.9: two SIGNED-INTEGERs and a SIGNED-BYTE
    assert b"\x32\x00\x00\x00\x09" + (300).to_bytes(4, "big") + (600).to_bytes(4, "big") + b"\x03" in octets


@pytest.mark.parametrize(
    "value",
    [Value(Tag.INTEGER, "5"), Value(Tag.BOOLEAN, 1), Value(Tag.KEYWORD, 5), Value(Tag.OCTETS, bytes(0x8000))],
)
def test_what_does_not_fit_its_tag_is_not_encoded(value: Value) -> None:
    with pytest.raises(IppError):
        encode(Message(0, 1, (Group(GroupTag.JOB, (Attribute("x", (value,)),)),)))


def test_every_cut_message_is_refused() -> None:
    octets = bytes.fromhex(CREATE_JOB[1])
    for length in range(len(octets)):
        with pytest.raises(IppError):
            decode(octets[:length])


@pytest.mark.parametrize(
    "octets",
    [
        "0200000000000001" "2100016100040000000103",  # a value outside a group
        "0200000000000001" "01" "210000000400000001" "03",  # an additional value first
        "0200000000000001" "01" "210001610003000001" "03",  # an integer of three octets
        "0200000000000001" "01" "2200016100020000" "03",  # a boolean of two
        "0200000000000001" "01" "410001610001ff" "03",  # not UTF-8
        "0200000000000001" "01" "340001610000" "210000000400000001" "3700000000" "03",  # a member without a name
        "0200000000000001" "01" "340001610000" "4a0001780001" "78" "3700000000" "03",  # a member name with a name
    ],
)  # fmt: skip
def test_malformed_messages_are_refused(octets: str) -> None:
    with pytest.raises(IppError):
        decode(bytes.fromhex(octets))


def test_deep_nesting_is_refused() -> None:
    content = Collection(())
    for _ in range(MAXIMUM_DEPTH):
        content = Collection((attribute("x", Tag.BEGIN_COLLECTION, content),))
    with pytest.raises(IppError, match="deeply"):
        decode(encode(Message(0, 1, (Group(GroupTag.JOB, (attribute("x", Tag.BEGIN_COLLECTION, content),)),))))
