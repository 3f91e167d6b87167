"""All judges over one card in a station: our own steps, OpenSC through the same reader, OpenSSL on what was read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from personalization.inspection import opensc, openssl
from personalization.inspection.key_proof import RandomBytes
from personalization.inspection.own import Expected, OwnReport, inspect_card
from personalization.inspection.steps import JudgeReport, NotApplicable, run_steps
from personalization.station.ports import Terminal
from pki.certificate import read_certificate


@dataclass(frozen=True, slots=True)
class Bar:
    """Where judges meet a card: the terminal, and the PC/SC socket that other programs reach its reader by, if any."""

    terminal: Terminal
    pcsc_socket: Path | None


def judge_card(
    bar: Bar,
    expected: Expected,
    *,
    pins: Mapping[str, bytes] | None,
    random_bytes: RandomBytes,
    script_prefix: str,
    fence: int,
    now: datetime,
) -> tuple[OwnReport, list[JudgeReport]]:
    """What every judge says; the card is left released. `pins`: name -> ASCII digits, None where nobody knows them.

    Raises what `inspect_card` raises: a card that cannot be read at all is no verdict.
    """
    own = inspect_card(
        bar.terminal, expected, pins=pins, random_bytes=random_bytes, script_prefix=script_prefix, fence=fence
    )
    bar.terminal.release()
    by_opensc = _opensc(bar, expected, pins, random_bytes)
    signatures = {**own.report.signatures, **by_opensc.signatures}
    # A document may be issued ahead of its first day: its chain is judged at the first moment at which it is valid.
    begins = [read_certificate(der).not_before for der in expected.certificates.values()]
    by_openssl = openssl.judge(
        certificates=own.files.certificates(expected.profile),
        issuing_ca=expected.issuing_ca,
        root=expected.root,
        csca=expected.csca,
        ef_sod=own.files.ef_sod,
        data_groups=own.files.data_groups,
        card_signatures=signatures,
        at=max([now, *begins]),
    )
    return own, [own.report, by_opensc, by_openssl]


def _opensc(bar: Bar, expected: Expected, pins: Mapping[str, bytes] | None, random_bytes: RandomBytes) -> JudgeReport:
    if bar.pcsc_socket is None or bar.terminal.reader_name is None:
        return _not_applicable("There is no PC/SC here, and OpenSC reaches cards through nothing else.")
    if pins is None:
        return _not_applicable("The PINs are blocked, so the card signs for nobody.")
    return opensc.judge(
        reader_name=bar.terminal.reader_name,
        pcsc_socket=str(bar.pcsc_socket),
        other_readers=bar.terminal.other_readers(),
        atr=expected.atr,
        certificates=expected.certificates,
        pins=pins,
        random_bytes=random_bytes,
    )


def _not_applicable(why: str) -> JudgeReport:
    def check() -> str:
        raise NotApplicable(why)

    return JudgeReport("opensc", run_steps([("card", check)]))
