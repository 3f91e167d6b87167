"""The printer client: against answers made by hand, and against the simulated printer, which has a codec of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from personalization.station.errors import AnswerLost, PrinterBusy, PrinterRefused, StationUnavailable
from personalization.station.ipp import Group, GroupTag, Message, Operation, Tag, attribute, encode
from personalization.station.ipp_decode import decode
from personalization.station.ports import PrintJob, PrintJobState
from personalization.station.printer import IppPrinter

URI = "ipp://printer.example:8631/ipp/print"
Answer = Callable[[Message], httpx.Response]


def printer(*answers: Answer) -> tuple[IppPrinter, list[Message]]:
    """A printer that gives these answers one after the other, and what it was asked."""
    asked: list[Message] = []
    left = iter(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://printer.example:8631/ipp/print"
        assert request.headers["content-type"] == "application/ipp"
        asked.append(decode(request.content))
        return next(left)(asked[-1])

    return IppPrinter(URI, poll=timedelta(0), transport=httpx.MockTransport(handle)), asked


def job_group(job_id: int, state: int, name: str, *reasons: str) -> Group:
    return Group(
        GroupTag.JOB,
        (
            attribute("job-id", Tag.INTEGER, job_id),
            attribute("job-name", Tag.NAME, name),
            attribute("job-state", Tag.ENUM, state),
            attribute("job-state-reasons", Tag.KEYWORD, *(reasons or ("none",))),
        ),
    )


def told(*groups: Group, status: int = 0) -> Answer:
    return lambda request: httpx.Response(
        200, content=encode(Message(status, request.request_id, (Group(GroupTag.OPERATION, ()), *groups)))
    )


def fails(error: type[httpx.TransportError]) -> Answer:
    def fail(_: Message) -> httpx.Response:
        raise error("made up")

    return fail


def test_what_is_asked_of_a_printer() -> None:
    client, asked = printer(told(job_group(7, 5, "job-1/1")))
    assert client.submit("job-1/1", b"%PDF-1.7") == PrintJob(7, "job-1/1", 5, ("none",))
    (request,) = asked
    operation = request.group(GroupTag.OPERATION)
    assert request.code == Operation.PRINT_JOB
    assert request.data == b"%PDF-1.7"
    assert [each.name for each in operation.attributes][:4] == [
        "attributes-charset",
        "attributes-natural-language",
        "printer-uri",
        "requesting-user-name",
    ]
    assert operation.first("printer-uri") == URI
    assert operation.first("job-name") == "job-1/1"
    assert operation.first("ipp-attribute-fidelity") is True
    assert operation.first("document-format") == "application/pdf"
    job = request.group(GroupTag.JOB)
    assert (job.first("media"), job.first("sides")) == ("iso_id-1_53.98x85.6mm", "two-sided-long-edge")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (told(status=0x0507), PrinterBusy),
        (told(status=0x0506), PrinterBusy),
        (told(status=0x0502), StationUnavailable),
        (told(status=0x040B), PrinterRefused),
        (told(status=0x0501), PrinterRefused),
        (fails(httpx.ConnectError), StationUnavailable),
        (fails(httpx.ConnectTimeout), StationUnavailable),
        (fails(httpx.ReadTimeout), AnswerLost),
        (fails(httpx.RemoteProtocolError), AnswerLost),
        (fails(httpx.WriteError), AnswerLost),
        (lambda _: httpx.Response(403), PrinterRefused),
        (lambda _: httpx.Response(500), AnswerLost),
        (lambda _: httpx.Response(200, content=b"<html>"), AnswerLost),
        (lambda request: httpx.Response(200, content=encode(Message(0, request.request_id + 1, ()))), AnswerLost),
        (told(), AnswerLost),
    ],
)
def test_what_becomes_of_a_print_job_and_it_is_sent_once(answer: Answer, error: type[Exception]) -> None:
    client, asked = printer(answer)
    with pytest.raises(error):
        client.submit("job-1/1", b"%PDF-1.7")
    assert len(asked) == 1


def test_jobs_are_found_by_name_in_both_lists_and_the_later_state_counts() -> None:
    client, asked = printer(
        told(job_group(7, 5, "job-1/1"), job_group(8, 3, "job-2/1")),
        told(job_group(7, 9, "job-1/1", "job-completed-successfully"), job_group(3, 8, "job-1/1", "aborted-by-system")),
    )
    assert client.find("job-1/1") == (
        PrintJob(7, "job-1/1", 9, ("job-completed-successfully",)),
        PrintJob(3, "job-1/1", 8, ("aborted-by-system",)),
    )
    assert [each.group(GroupTag.OPERATION).first("which-jobs") for each in asked] == ["not-completed", "completed"]


@pytest.mark.parametrize(
    "answer",
    [fails(httpx.ReadTimeout), *(told(job_group(7, 5, "job-1/1"), status=code) for code in (0x0502, 0x0506, 0x0507))],
)
def test_a_question_that_is_not_answered_may_be_asked_again(answer: Answer) -> None:
    asks: list[Callable[[IppPrinter], object]] = [
        lambda client: client.find("job-1/1"),
        lambda client: client.wait(PrintJob(7, "job-1/1", 5, ()), 1),
    ]
    for ask in asks:
        client, _ = printer(answer)
        with pytest.raises(StationUnavailable):
            ask(client)


def test_waiting_ends_with_a_final_state_or_with_the_time() -> None:
    job = PrintJob(7, "job-1/1", 3, ())
    client, asked = printer(told(job_group(7, 5, "job-1/1")), told(job_group(7, 8, "job-1/1", "aborted-by-system")))
    assert client.wait(job, 10).state == PrintJobState.ABORTED
    assert asked[0].group(GroupTag.OPERATION).attributes[3].name == "job-id"
    client, _ = printer(told(job_group(7, 5, "job-1/1")))
    assert client.wait(job, 0).state == PrintJobState.PROCESSING


@pytest.mark.parametrize("uri", ["http://localhost/ipp/print", "ipp:", "localhost:631"])
def test_a_printer_has_an_ipp_uri(uri: str) -> None:
    with pytest.raises(ValueError, match="ipp"):
        IppPrinter(uri)


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[IppPrinter]:
    command = [sys.executable, "-m", "simulators.printer", "--directory", str(tmp_path), "--seconds-per-card", "0.3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        client = IppPrinter(json.loads(process.stdout.readline())["uri"])
        yield client
        client.close()
        process.stdin.close() if process.stdin else None
        process.wait(10)


@pytest.mark.services
def test_a_card_is_printed(simulated: IppPrinter) -> None:
    assert simulated.find("job-1/1") == ()
    job = simulated.submit("job-1/1", b"%PDF-1.7\n%%EOF\n")
    assert job.state in (PrintJobState.PENDING, PrintJobState.PROCESSING)
    with pytest.raises(PrinterBusy):
        simulated.submit("job-2/1", b"%PDF-1.7\n%%EOF\n")
    assert [each.printer_job_id for each in simulated.find("job-1/1")] == [job.printer_job_id]
    assert simulated.wait(job, 0).state == PrintJobState.PROCESSING
    assert simulated.wait(job, 10).state == PrintJobState.COMPLETED
    assert [each.state for each in simulated.find("job-1/1")] == [PrintJobState.COMPLETED]
    with pytest.raises(PrinterRefused):
        simulated.submit("job-3/1", b"this is no PDF")
    assert simulated.find("job-3/1") == ()
