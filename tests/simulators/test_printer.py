"""The card printer as an IPP client sees it; `ipptool` (CUPS) is the judge that shares no code with it."""

import http.client
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from simulators.ipp_wire import Attribute, Group, IppSyntaxError, Message, Range, Resolution, Tag, Value, decode, encode
from simulators.press import ABORTED, CANCELED, COMPLETED, PROCESSING
from simulators.printer_attributes import MEDIA, attribute
from tests.simulators.started import Started, started

PRINT_JOB, VALIDATE_JOB, CANCEL_JOB, GET_JOB, GET_JOBS, GET_PRINTER = 0x02, 0x04, 0x08, 0x09, 0x0A, 0x0B
CARD = b"%PDF-1.7\ntwo pages of a card"

# RFC 8010 appendix A.1: the Print-Job request of the standard
RFC_PRINT_JOB = (
    b"\x01\x01\x00\x02\x00\x00\x00\x01\x01"
    b"\x47\x00\x12attributes-charset\x00\x08us-ascii"
    b"\x48\x00\x1battributes-natural-language\x00\x05en-us"
    b"\x45\x00\x0bprinter-uri\x00\x2cipp://printer.example.com/ipp/print/pinetree"
    b"\x42\x00\x08job-name\x00\x06foobar"
    b"\x22\x00\x16ipp-attribute-fidelity\x00\x01\x01"
    b"\x02\x21\x00\x06copies\x00\x04\x00\x00\x00\x14"
    b"\x44\x00\x05sides\x00\x13two-sided-long-edge"
    b"\x03%!PDF..."
)

IPPTOOL_TEST = """
{ NAME "what it can do"
  OPERATION Get-Printer-Attributes
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  STATUS successful-ok
  EXPECT media-supported OF-TYPE keyword WITH-VALUE "iso_id-1_53.98x85.6mm"
  EXPECT media-col-default OF-TYPE collection
  EXPECT document-format-supported OF-TYPE mimeMediaType WITH-VALUE "image/pwg-raster"
  EXPECT ipp-versions-supported WITH-VALUE "2.0" }
{ NAME "a card"
  OPERATION Print-Job
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  ATTR name job-name "J1.1"
  ATTR boolean ipp-attribute-fidelity true
  ATTR mimeMediaType document-format application/pdf
  GROUP job-attributes-tag
  ATTR keyword sides two-sided-long-edge
  ATTR resolution printer-resolution 300dpi
  ATTR collection media-col {
    MEMBER collection media-size { MEMBER integer x-dimension 5398 MEMBER integer y-dimension 8560 } }
  FILE $filename
  STATUS successful-ok
  EXPECT job-id OF-TYPE integer
  EXPECT job-uri OF-TYPE uri
  EXPECT job-state OF-TYPE enum }
{ NAME "busy"
  OPERATION Print-Job
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  FILE $filename
  STATUS server-error-busy }
{ NAME "paper"
  OPERATION Validate-Job
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  GROUP job-attributes-tag
  ATTR keyword media iso_a4_210x297mm
  STATUS client-error-attributes-or-values-not-supported
  EXPECT media IN-GROUP unsupported-attributes-tag }
{ NAME "what became of it"
  DELAY 0.5
  OPERATION Get-Jobs
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  ATTR keyword which-jobs completed
  ATTR keyword requested-attributes job-id,job-name,job-state
  STATUS successful-ok
  EXPECT job-name OF-TYPE name WITH-VALUE "J1.1"
  EXPECT job-state OF-TYPE enum WITH-VALUE 9
  EXPECT !job-uri }
"""


class Client:
    """An IPP client with one connection that is kept open."""

    def __init__(self, printer: Started) -> None:
        self.uri = printer.told["uri"]
        url = urlsplit(self.uri)
        assert url.hostname is not None
        self._connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)

    def close(self) -> None:
        self._connection.close()

    def ask(
        self,
        code: int,
        *operation: Attribute,
        job: tuple[Attribute, ...] = (),
        data: bytes = b"",
        chunked: bool = False,
    ) -> Message:
        envelope = (
            attribute("attributes-charset", Tag.CHARSET, "utf-8"),
            attribute("attributes-natural-language", Tag.LANGUAGE, "en"),
            attribute("printer-uri", Tag.URI, self.uri),
        )
        groups = (Group(Tag.OPERATION, envelope + operation), Group(Tag.JOB, job))
        body = encode(Message(code, 7, groups, data))
        answer = decode(self.post([body[:20], body[20:]] if chunked else body))
        assert answer.request_id == 7
        return answer

    def post(self, body: bytes | list[bytes]) -> bytes:
        headers = {"Content-Type": "application/ipp"}
        self._connection.request("POST", "/ipp/print", body, headers, encode_chunked=isinstance(body, list))
        response = self._connection.getresponse()
        assert response.status == 200
        return response.read()

    def print(self, name: str, document: bytes = CARD) -> Message:
        return self.ask(PRINT_JOB, attribute("job-name", Tag.NAME, name), data=document)

    def job(self, number: int) -> tuple[int, str]:
        """State and first reason of a job."""
        group = self.ask(GET_JOB, attribute("job-id", Tag.INTEGER, number)).group(Tag.JOB)
        state, reasons = group.get("job-state"), group.get("job-state-reasons")
        assert state is not None
        assert reasons is not None
        return int(str(state.first)), str(reasons.first)

    def finished(self, number: int) -> tuple[int, str]:
        """State and first reason of a job once it is final."""
        while (told := self.job(number))[0] == PROCESSING:
            time.sleep(0.005)
        return told

    def names(self, which: str) -> list[str]:
        wanted = attribute("requested-attributes", Tag.KEYWORD, "job-name", "job-id")
        answer = self.ask(GET_JOBS, attribute("which-jobs", Tag.KEYWORD, which), wanted)
        return [str(group.attributes[1].first) for group in answer.groups if group.tag == Tag.JOB]


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[Client]:
    with started("printer", "--directory", tmp_path, "--seconds-per-card", "0.01") as process:
        client = Client(process)
        yield client
        client.close()


@pytest.fixture
def slow_printer(tmp_path: Path) -> Iterator[Client]:
    with started("printer", "--directory", tmp_path, "--seconds-per-card", "30") as process:
        client = Client(process)
        yield client
        client.close()


def test_the_request_of_the_standard_is_read_and_written() -> None:
    message = decode(RFC_PRINT_JOB)
    assert (message.code, message.request_id, message.version, message.data) == (PRINT_JOB, 1, (1, 1), b"%!PDF...")
    name, copies = message.group(Tag.OPERATION).get("job-name"), message.group(Tag.JOB).get("copies")
    assert name == attribute("job-name", Tag.NAME, "foobar")
    assert copies == attribute("copies", Tag.INTEGER, 20)
    assert encode(message) == RFC_PRINT_JOB


def test_every_kind_of_value_survives_the_wire() -> None:
    inner = {"x": attribute("x", Tag.INTEGER, -1), "many": attribute("many", Tag.KEYWORD, "a", "b")}
    attributes = (
        attribute("resolution", Tag.RESOLUTION, Resolution(300, 600, 3)),
        attribute("range", Tag.RANGE, Range(1, 9)),
        attribute("collections", Tag.BEGIN_COLLECTION, inner, {"deep": attribute("deep", Tag.BEGIN_COLLECTION, inner)}),
        attribute("names", Tag.NAME, "Ķēniņš", ""),
        Attribute("octets", (Value(Tag.OCTET_STRING, b"\x00\xff"),)),
        Attribute("nothing", (Value(Tag.NO_VALUE, b""),)),
    )
    message = Message(GET_JOBS, 1, (Group(Tag.OPERATION, attributes), Group(Tag.JOB, ())))
    assert decode(encode(message)) == message


def test_bytes_that_are_no_message_are_refused() -> None:
    end = len(RFC_PRINT_JOB) - len(b"\x03%!PDF...")
    for cut in range(end):
        with pytest.raises(IppSyntaxError):
            decode(RFC_PRINT_JOB[:cut])
    nested = b"\x34\x00\x01c\x00\x00" + b"\x4a\x00\x00\x00\x01m\x34\x00\x00\x00\x00" * 5000
    with pytest.raises(IppSyntaxError, match="too deep"):
        decode(RFC_PRINT_JOB[:9] + nested)


def test_a_card_is_printed_and_known_by_its_name(printer: Client, tmp_path: Path) -> None:
    answer = printer.print("0001.1")
    assert answer.code == 0x0000
    assert printer.finished(1) == (COMPLETED, "job-completed-successfully")
    assert printer.names("completed") == ["0001.1"]
    assert printer.names("not-completed") == []
    assert (tmp_path / "printed" / "0001.1.pdf").read_bytes() == CARD


def test_raster_and_chunks_are_taken(printer: Client, tmp_path: Path) -> None:
    raster = attribute("document-format", Tag.MIME_TYPE, "image/pwg-raster")
    name = attribute("job-name", Tag.NAME, "../up/../0001.1")
    assert printer.ask(PRINT_JOB, name, raster, data=b"RaS2" + bytes(100_000), chunked=True).code == 0x0000
    assert printer.finished(1)[0] == COMPLETED
    (stored,) = (tmp_path / "printed").iterdir()
    assert stored.stat().st_size == 100_004


@pytest.mark.parametrize(
    ("operation", "job", "document", "status"),
    [
        ([attribute("document-format", Tag.MIME_TYPE, "image/png")], [], CARD, 0x040A),
        ([attribute("compression", Tag.KEYWORD, "gzip")], [], CARD, 0x040F),
        ([], [], b"\x89PNG", 0x0411),
        ([], [attribute("media", Tag.KEYWORD, "iso_a4_210x297mm")], CARD, 0x040B),
        ([], [attribute("media-col", Tag.BEGIN_COLLECTION, {"media-size": attribute("media-size", Tag.BEGIN_COLLECTION,
              {"x-dimension": attribute("x-dimension", Tag.INTEGER, 1)})})], CARD, 0x040B),
        ([attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True)], [attribute("copies", Tag.INTEGER, 2)], CARD, 0x040B),
        ([attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True)], [attribute("scent", Tag.TEXT, "x")], CARD, 0x040B),
    ],
)  # fmt: skip
def test_what_can_never_be_printed_is_refused(
    printer: Client, operation: list[Attribute], job: list[Attribute], document: bytes, status: int
) -> None:
    assert printer.ask(PRINT_JOB, *operation, job=tuple(job), data=document).code == status
    assert printer.names("all") == []


def test_a_wish_that_does_not_matter_is_ignored_and_said(printer: Client) -> None:
    wishes = (attribute("media", Tag.KEYWORD, MEDIA), attribute("copies", Tag.INTEGER, 2))
    answer = printer.ask(VALIDATE_JOB, job=wishes)
    assert answer.code == 0x0001
    assert [given.name for given in answer.group(Tag.UNSUPPORTED_GROUP).attributes] == ["copies"]


def test_one_card_at_a_time(slow_printer: Client) -> None:
    assert slow_printer.print("first").code == 0x0000
    assert slow_printer.print("second").code == 0x0507
    assert slow_printer.names("not-completed") == ["first"]
    state = slow_printer.ask(GET_PRINTER).group(Tag.PRINTER).get("printer-state")
    assert state == attribute("printer-state", Tag.ENUM, 4)


def test_a_cancel_is_a_request_and_the_state_is_the_answer(slow_printer: Client) -> None:
    slow_printer.print("first")
    number = attribute("job-id", Tag.INTEGER, 1)
    assert slow_printer.ask(CANCEL_JOB, number).code == 0x0000
    assert slow_printer.finished(1) == (CANCELED, "job-canceled-by-user")
    assert slow_printer.ask(CANCEL_JOB, number).code == 0x0404
    assert slow_printer.ask(CANCEL_JOB, attribute("job-id", Tag.INTEGER, 2)).code == 0x0406


def test_a_jam_aborts_one_card(printer: Client, tmp_path: Path) -> None:
    (tmp_path / "jam").touch()
    printer.print("first")
    assert printer.finished(1) == (ABORTED, "aborted-by-system")
    reasons = attribute("printer-state-reasons", Tag.KEYWORD, "media-jam-error")
    assert printer.ask(GET_PRINTER).group(Tag.PRINTER).get("printer-state-reasons") == reasons
    printer.print("again")
    assert printer.finished(2)[0] == COMPLETED


def test_a_killed_printer_knows_what_it_printed(tmp_path: Path) -> None:
    with started("printer", "--directory", tmp_path, "--seconds-per-card", "0") as process:
        client = Client(process)
        client.print("done")
        client.finished(1)
        process.kill()
        client.close()
    with started("printer", "--directory", tmp_path, "--seconds-per-card", "30") as process:
        client = Client(process)
        assert client.names("completed") == ["done"]
        client.print("torn")
        process.kill()
        client.close()
    with (tmp_path / "jobs.jsonl").open("a") as jobs:
        jobs.write('{"id": 2, "na')  # killed while it wrote
    with started("printer", "--directory", tmp_path) as process:
        client = Client(process)
        assert client.job(1)[0] == COMPLETED
        assert client.job(2)[0] == ABORTED
        client.print("torn")
        assert client.finished(3)[0] == COMPLETED
        client.close()


def test_a_card_printed_just_before_the_kill_is_completed(tmp_path: Path) -> None:
    with started("printer", "--directory", tmp_path, "--seconds-per-card", "30") as process:
        client = Client(process)
        client.print("almost")
        process.kill()
        client.close()
    (tmp_path / "printed" / "almost.pdf").write_bytes(CARD)  # the last step before the job is called completed
    with started("printer", "--directory", tmp_path) as process:
        client = Client(process)
        assert client.job(1)[0] == COMPLETED
        client.close()


def test_a_printer_whose_line_is_gone_prints_its_card_to_the_end(tmp_path: Path) -> None:
    with started("printer", "--directory", tmp_path, "--seconds-per-card", "0.5") as process:
        client = Client(process)
        client.print("last")
        client.close()
    with started("printer", "--directory", tmp_path) as process:  # leaving `started` closed its stdin
        client = Client(process)
        assert client.job(1)[0] == COMPLETED
        client.close()


def test_requests_that_break_the_rules_are_answered(printer: Client) -> None:
    charset, language = (
        attribute("attributes-charset", Tag.CHARSET, "utf-8"),
        attribute("attributes-natural-language", Tag.LANGUAGE, "en"),
    )
    uri = attribute("printer-uri", Tag.URI, printer.uri)
    wrong = (
        (0x0503, Message(GET_PRINTER, 1, (Group(Tag.OPERATION, (charset, language, uri)),), version=(9, 0))),
        (0x0501, Message(0x0005, 1, (Group(Tag.OPERATION, (charset, language, uri)),))),
        (0x0400, Message(GET_PRINTER, 0, (Group(Tag.OPERATION, (charset, language, uri)),))),
        (0x0400, Message(GET_PRINTER, 1, (Group(Tag.OPERATION, (language, charset, uri)),))),
        (0x0400, Message(GET_PRINTER, 1, (Group(Tag.OPERATION, (charset, language)),))),
        (0x0406, Message(GET_PRINTER, 1, (Group(Tag.OPERATION, (charset, language, attribute("printer-uri", Tag.URI,
                 "ipp://127.0.0.1/other"))),))),
        (0x040D, Message(GET_PRINTER, 1, (Group(Tag.OPERATION, (attribute("attributes-charset", Tag.CHARSET, "koi8-r"),
                 language, uri)),))),
    )  # fmt: skip
    for status, message in wrong:
        assert decode(printer.post(encode(message))).code == status


@pytest.mark.services
@pytest.mark.skipif(shutil.which("ipptool") is None, reason="cups-ipp-utils is not installed")
def test_ipptool_is_content(tmp_path: Path) -> None:
    (tmp_path / "card.test").write_text(IPPTOOL_TEST)
    (tmp_path / "card.pdf").write_bytes(CARD)
    with started("printer", "--directory", tmp_path / "printer", "--seconds-per-card", "0.3") as process:
        command = ["ipptool", "-t", "-f", str(tmp_path / "card.pdf"), process.told["uri"], str(tmp_path / "card.test")]
        judged = subprocess.run(command, check=False, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout
    assert (tmp_path / "printer" / "printed" / "J1.1.pdf").read_bytes() == CARD
