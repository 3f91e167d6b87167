"""The report of one inspection as one HTML page for people: nothing is loaded from anywhere.

It shows what was read from the card, so it holds personal data: the engine seals it.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Iterable
from html import escape
from io import BytesIO

from PIL import Image

from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.lds import parse_dg2
from card_profiles.codecs.tlv import Tlv, TlvError, decode_all
from personalization.inspection.findings import InspectionReport, milliseconds
from personalization.inspection.reading import TRAVEL, CardFiles
from personalization.inspection.steps import JudgeReport
from pki.certificate_reading import Certificate, read_certificate
from pki.errors import CertificateRefused
from pki.names import read_name

_TREE_DEPTH = 6
_SHOWN_BYTES = 24
_TRAVEL_NAMES = {0x011E: "EF.COM", 0x011D: "EF.SOD"}
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:68rem;padding:0 1.5rem;color:#1b1b1f}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.1rem;margin:2rem 0 .6rem;border-bottom:2px solid #8e1f33;padding-bottom:.2rem}
header{display:flex;gap:1.5rem;align-items:flex-start}header img{width:9.5rem;border:1px solid #c9c3c8}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:.6rem 0}dt{color:#5c5660}dd{margin:0}
table{border-collapse:collapse;width:100%;margin-bottom:1rem}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e3dde0;vertical-align:top}
code,.tree{font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
.tree ul{list-style:none;margin:0;padding-left:1.2rem;border-left:1px solid #dcd5d8}.tree>ul{border:0;padding:0}
.ok,.failed,.not-applicable{font-weight:600;white-space:nowrap}
.ok{color:#17663a}.failed{color:#b00020}.not-applicable{color:#6b6570}summary{cursor:pointer;padding:.15rem 0}
"""


def report_to_html(report: InspectionReport) -> bytes:
    """A page of its own, UTF-8."""
    files = report.files
    body = "".join(
        (
            _header(report),
            "<h2>What the judges said</h2>",
            *(_judgement(judge) for judge in report.judges),
            "<h2>Travel document</h2>",
            *(_file(_file_name(fid), content) for fid, content in sorted(files.files.get(TRAVEL, {}).items())),
            "<h2>Certificates</h2>",
            "".join(_certificate(slot, der) for slot, der in report.certificates.items())
            or "<p>None on this card.</p>",
            "<h2>Files of the eID</h2>",
            _eid_files(files),
        )
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>Inspection of {escape(report.document_number)}</title><style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )
    return page.encode("utf-8")


def _header(report: InspectionReport) -> str:
    facts = (
        ("Document number", escape(report.document_number)),
        ("Chip serial", f"<code>{escape(report.chip_serial)}</code>"),
        ("Job", escape(report.job_id)),
        ("Inspected at", escape(report.inspected_at.isoformat(sep=" ", timespec="seconds"))),
        ("Verdict", _verdict(report.verdict)),
    )
    return f"<header>{_portrait(report.files)}<div><h1>Inspection of a finished card</h1>{_facts(facts)}</div></header>"


def _portrait(files: CardFiles) -> str:
    try:
        data = parse_dg2(files.data_groups.get(2, b"")).data
        with Image.open(BytesIO(data)) as picture:
            out = BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=90)
    except (CodecError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "<p>The portrait does not decode.</p>"
    # Browsers do not show JPEG 2000: the page has a copy, the files below are as read.
    return f'<img alt="portrait of DG2" src="data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}">'


def _judgement(report: JudgeReport) -> str:
    rows = "".join(
        f"<tr><td>{step.number}</td><td>{escape(step.name)}</td><td>{_verdict(step.verdict)}</td>"
        f"<td>{escape(step.sentence)}</td></tr>"
        for step in report.steps
    )
    head = f"{escape(report.judge)}: {_verdict(report.verdict)} in {milliseconds(report.duration)} ms"
    return f"<details open><summary>{head}</summary><table>{rows}</table></details>"


def _file(name: str, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    head = f"{escape(name)}: {len(content)} bytes, SHA-256 <code>{digest}</code>"
    return f'<details><summary>{head}</summary><div class="tree"><ul>{_tree(content, 0)}</ul></div></details>'


def _file_name(fid: int) -> str:
    return _TRAVEL_NAMES.get(fid, f"DG{fid & 0xFF}")


def _tree(data: bytes, depth: int) -> str:
    try:
        objects = decode_all(data)
    except TlvError:
        return f"<li>{_shown(data)}</li>"
    return "".join(_node(found, depth) for found in objects)


def _node(found: Tlv, depth: int) -> str:
    head = f"<b>{found.tag:02X}</b> [{len(found.value)}]"
    if found.is_constructed and depth < _TREE_DEPTH:
        return f"<li>{head}<ul>{_tree(found.value, depth + 1)}</ul></li>"
    return f"<li>{head} {_shown(found.value)}</li>"


def _shown(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and all(unicodedata.category(letter)[0] not in "C" for letter in text):
        return f"“{escape(text)}”"
    more = " …" if len(value) > _SHOWN_BYTES else ""
    return value[:_SHOWN_BYTES].hex(" ").upper() + more


def _certificate(slot: str, der: bytes) -> str:
    try:
        read = read_certificate(der)
        facts = tuple(_certificate_facts(read))
    except (CertificateRefused, CodecError):
        facts = (("Certificate", "cannot be read"),)
    digest = hashlib.sha256(der).hexdigest()
    return f"<h3>{escape(slot)}</h3>{_facts((*facts, ('SHA-256', f'<code>{digest}</code>')))}"


def _certificate_facts(read: Certificate) -> Iterable[tuple[str, str]]:
    yield "Subject", escape(_name(read.subject))
    yield "Issuer", escape(_name(read.issuer))
    yield "Serial number", f"<code>{read.serial:X}</code>"
    yield "Valid", f"{read.not_before:%Y-%m-%d %H:%M:%S} to {read.not_after:%Y-%m-%d %H:%M:%S} UTC"
    yield "Public key", escape(read.public_key().curve.value)
    yield "Signature algorithm", escape(read.body.signature_algorithm)
    yield (
        "Extensions",
        escape(", ".join(f"{one.oid}{' (critical)' if one.critical else ''}" for one in read.body.listed)),
    )


def _name(name: bytes) -> str:
    return ", ".join(f"{part.name or part.oid}={part.text}" for part in read_name(name))


def _eid_files(files: CardFiles) -> str:
    rows = "".join(
        f"<tr><td>{escape(application)}</td><td><code>{fid:04X}</code></td><td>{len(content)} bytes</td>"
        f"<td><code>{hashlib.sha256(content).hexdigest()}</code></td></tr>"
        for application, found in files.files.items()
        if application != TRAVEL
        for fid, content in found.items()
    )
    return f"<table>{rows}</table>"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts) + "</dl>"


def _verdict(verdict: str) -> str:
    return f'<span class="{verdict}">{verdict}</span>'
