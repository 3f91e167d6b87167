"""What printers tell of themselves, in the two ways in which they tell their supplies."""

from collections.abc import Iterator

import httpx
import pytest

from personalization.station.errors import StationUnavailable
from personalization.station.ipp import Attribute, Group, GroupTag, Message, Operation, Tag, attribute, encode
from personalization.station.ipp_decode import decode
from personalization.station.pcsc_readers import reader_named
from personalization.station.printer import IppPrinter
from personalization.station.printer_status import NAMES, PrinterState, PrinterStatus, Supply, printer_status


def status_of(*told: Attribute) -> PrinterStatus:
    """What is made of a printer that tells these attributes."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = decode(request.content)
        assert asked.code == Operation.GET_PRINTER_ATTRIBUTES
        assert asked.group(GroupTag.OPERATION).texts("requested-attributes") == NAMES
        groups = (Group(GroupTag.OPERATION, ()), Group(GroupTag.PRINTER, told))
        return httpx.Response(200, content=encode(Message(0, asked.request_id, groups)))

    printer = IppPrinter("ipp://printer.example/ipp/print", transport=httpx.MockTransport(answer))
    try:
        return printer_status(printer)
    finally:
        printer.close()


def test_state_reasons_and_media_are_read() -> None:
    status = status_of(
        attribute("printer-make-and-model", Tag.TEXT, "Card printer"),
        attribute("printer-state", Tag.ENUM, 5),
        attribute("printer-state-reasons", Tag.KEYWORD, "media-jam-error", "paused"),
        attribute("printer-is-accepting-jobs", Tag.BOOLEAN, False),
        attribute("media-ready", Tag.KEYWORD, "iso_id-1_53.98x85.6mm"),
    )
    assert status == PrinterStatus(
        "Card printer", PrinterState.STOPPED, ("media-jam-error", "paused"), False, ("iso_id-1_53.98x85.6mm",), ()
    )


def test_the_reason_none_is_no_reason() -> None:
    assert status_of(attribute("printer-state-reasons", Tag.KEYWORD, "none")).reasons == ()


def test_a_printer_that_tells_nothing_has_no_state() -> None:
    assert status_of() == PrinterStatus("printer", 0, (), True, (), ())


@pytest.fixture
def names() -> Iterator[Attribute]:
    yield attribute("marker-names", Tag.NAME, "colour ribbon", "overlay", "retransfer film")


def test_marker_levels_are_supplies(names: Attribute) -> None:
    levels = attribute("marker-levels", Tag.INTEGER, 80, 10, -3)
    assert status_of(names, levels).supplies == (
        Supply("colour ribbon", 80, False),
        Supply("overlay", 10, True),
        Supply("retransfer film", None, False),
    )


def test_the_printers_own_low_levels_count(names: Attribute) -> None:
    levels = attribute("marker-levels", Tag.INTEGER, 20, 20, 20)
    lows = attribute("marker-low-levels", Tag.INTEGER, 25, 5)
    assert [supply.low for supply in status_of(names, levels, lows).supplies] == [True, False, False]


def test_printer_supply_is_read() -> None:
    """PWG 5100.13 §5.6: octets with `key=value;`."""
    supplies = attribute(
        "printer-supply",
        Tag.OCTETS,
        b"index=1;class=supplyThatIsConsumed;type=ribbonWax;unit=impressions;maxcapacity=250;level=40;",
        b"index=2;type=cleanerUnit;maxcapacity=-2;level=-2;",
        b"index=3;type=other;level=much",
    )
    described = attribute("printer-supply-description", Tag.TEXT, "colour ribbon")
    assert status_of(supplies, described).supplies == (
        Supply("colour ribbon", 16, False),
        Supply("cleanerUnit", None, False),
        Supply("other", None, False),
    )


def test_a_printer_that_is_away_is_an_error_of_ours() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("made up")

    printer = IppPrinter("ipp://printer.example/ipp/print", transport=httpx.MockTransport(fail))
    with pytest.raises(StationUnavailable):
        printer_status(printer)
    printer.close()


@pytest.mark.parametrize(
    ("listed", "there"),
    [
        (("Station 1",), True),
        (("Station 1 00 00",), True),
        (("Station 10 00 00", "Station 2 00 00"), False),
        (("Station 1 00 00", "Station 1 01 00"), False),
        ((), False),
    ],
)
def test_a_reader_is_known_without_the_services_counters(listed: tuple[str, ...], there: bool) -> None:
    assert (reader_named("Station 1", listed) is not None) is there
