"""The openssl program as a judge: certificate chains, the card's signatures and EF.SOD down to the CSCA.

A verdict rests on the sentence that openssl prints for a success, never on its exit status. `openssl verify` refuses
the explicit curve parameters that ICAO 9303-12 §4.1.6 demands of a DS (error 94), so the DS is judged by its
to-be-signed bytes, cut where `openssl asn1parse` says they stand, and `openssl pkeyutl -verify` with the CSCA.
"""

import base64
import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from personalization.inspection.programs import Bench, Run
from personalization.inspection.steps import (
    CardSignature,
    Check,
    InspectionFailed,
    JudgeReport,
    NotApplicable,
    Stopwatch,
    run_steps,
)

_SIGNATURE_OK = b"Signature Verified Successfully"
_LINE = re.compile(
    r"^\s*(\d+):d=(\d+)\s+hl=(\d+)\s+l=\s*(\d+)\s+(?:cons|prim):\s+([A-Z ]*?)\s*(?:\[HEX DUMP\])?(?::(.*))?$"
)
_DIGEST_OF_ECDSA = {f"ecdsa-with-SHA{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)}


def judge(
    *,
    certificates: Mapping[str, bytes],
    issuing_ca: bytes,
    root: bytes,
    csca: bytes,
    ef_sod: bytes,
    data_groups: Mapping[int, bytes],
    card_signatures: Mapping[str, CardSignature],
    at: datetime,
) -> JudgeReport:
    """Judge what was read from a card.

    `certificates` (slot -> DER) and `data_groups` (number -> whole EF) are as read; `issuing_ca`, `root` and `csca`
    are DER; `at` (aware) is the moment at which the holder's chain must be valid. With no certificates only EF.SOD
    is judged. Never raises on bad input: the step fails.
    """
    watch = Stopwatch()
    with Bench() as bench:
        chain = _start_chain(bench, certificates, issuing_ca, root, at) if certificates else None
        signatures = {
            slot: _start_signature(bench, certificates[slot], made)
            for slot, made in card_signatures.items()
            if slot in certificates
        }
        signed = _SignedObject(bench, ef_sod)
        checks: list[tuple[str, Check]] = [
            ("EF.SOD signature", signed.check_signature),
            ("data group hashes", lambda: _check_hashes(bench, signed, data_groups)),
            ("document signer under the CSCA", lambda: _check_document_signer(bench, signed, csca)),
        ]
        if chain is not None:
            checks.append(("certificate chains", lambda: _check_chain(chain, len(certificates))))
            checks.append(("card signatures", lambda: _check_signatures(signatures, certificates)))
        return JudgeReport("openssl", run_steps(checks), duration=watch.elapsed())


class _SignedObject:
    """EF.SOD as openssl sees it: its content and its signer's certificate (DER)."""

    def __init__(self, bench: Bench, ef_sod: bytes) -> None:
        self._content = bench.file()
        self._signer = bench.file()
        message = bench.file(_inside_tag_77(ef_sod))
        # -noverify: the chain is judged apart, the signature of the signer is still checked.
        self._run = bench.start(
            "openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", message,
            "-out", self._content, "-signer", self._signer,
        )  # fmt: skip

    def check_signature(self) -> str:
        """Raises `InspectionFailed`."""
        _, said = self._run.finish()
        if "CMS Verification successful" not in said:
            raise InspectionFailed("openssl cms does not verify the signature of EF.SOD.")
        return "openssl cms: CMS Verification successful."

    def content(self) -> bytes:
        """The LDS security object; raises `InspectionFailed` unless the signature verified."""
        self.check_signature()
        return self._content.content()

    def signer(self) -> bytes:
        """DER of the certificate that verified EF.SOD; raises `InspectionFailed`."""
        self.check_signature()
        pem = self._signer.content().decode("ascii", "replace")
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
        if len(blocks) != 1:
            raise InspectionFailed("EF.SOD does not have exactly one signer.")
        return base64.b64decode(blocks[0])


def _start_chain(bench: Bench, certificates: Mapping[str, bytes], issuing_ca: bytes, root: bytes, at: datetime) -> Run:
    return bench.start(
        "openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-attime", str(int(at.timestamp())),
        "-CAfile", bench.file(_pem(root)), "-untrusted", bench.file(_pem(issuing_ca)),
        *(bench.file(_pem(certificate)) for certificate in certificates.values()),
    )  # fmt: skip


def _check_chain(chain: Run, count: int) -> str:
    said, _ = chain.finish()
    if len(re.findall(rb"^/proc/self/fd/\d+: OK$", said, re.MULTILINE)) != count:
        raise InspectionFailed("openssl verify refuses the chain of a certificate read from the card.")
    return f"openssl verify: {count} chains OK under issuing CA and root."


def _start_signature(bench: Bench, certificate: bytes, made: CardSignature) -> Run:
    return bench.start(
        "openssl", "pkeyutl", "-verify", "-certin", "-inkey", bench.file(_pem(certificate)),
        "-in", bench.file(made.digest), "-sigfile", bench.file(made.signature),
    )  # fmt: skip


def _check_signatures(runs: Mapping[str, Run], certificates: Mapping[str, bytes]) -> str:
    if not runs:
        raise NotApplicable("The card was not asked for signatures.")
    if missing := sorted(certificates.keys() - runs.keys()):
        raise InspectionFailed(f"The card made no signature with the key of slot {', '.join(missing)}.")
    for slot, run in runs.items():
        if _SIGNATURE_OK not in run.finish()[0]:
            raise InspectionFailed(f"openssl pkeyutl does not verify the signature made by slot {slot}.")
    return f"openssl pkeyutl: {len(runs)} signatures of the card verified."


def _check_hashes(bench: Bench, signed: _SignedObject, data_groups: Mapping[int, bytes]) -> str:
    lines = _parsed(bench, signed.content())
    algorithms = [line.value for line in lines if line.kind == "OBJECT"]
    # LDSSecurityObject, ICAO 9303-10 §4.6.2.3: { version, algorithm, SEQUENCE OF { number, hash }, … }
    listed = {
        int(number.value, 16): digest.value.lower()
        for number, digest in pairwise(lines)
        if (number.depth, number.kind) == (3, "INTEGER") and (digest.depth, digest.kind) == (3, "OCTET STRING")
    }
    if len(algorithms) != 1 or algorithms[0] not in ("sha224", "sha256", "sha384", "sha512"):
        raise InspectionFailed("EF.SOD does not name one hash algorithm of the SHA-2 family.")
    computed = {number: hashlib.new(algorithms[0], content).hexdigest() for number, content in data_groups.items()}
    if listed.keys() != computed.keys():
        raise InspectionFailed("EF.SOD lists other data groups than the card holds.")
    if wrong := sorted(number for number, digest in computed.items() if listed[number] != digest):
        raise InspectionFailed(f"The hash of DG{', DG'.join(map(str, wrong))} differs from EF.SOD.")
    return f"The hashes of {len(computed)} data groups stand in what openssl cms took out of EF.SOD."


def _check_document_signer(bench: Bench, signed: _SignedObject, csca: bytes) -> str:
    certificate = signed.signer()
    parts = [line for line in _parsed(bench, certificate) if line.depth <= 2]
    top = [line for line in parts if line.depth == 1]
    # Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }, RFC 5280 §4.1
    if [line.kind for line in top] != ["SEQUENCE", "SEQUENCE", "BIT STRING"]:
        raise InspectionFailed("The document signer's certificate is not an X.509 certificate.")
    algorithm = next((line.value for line in parts if line.kind == "OBJECT" and line.start > top[1].start), "")
    if algorithm not in _DIGEST_OF_ECDSA:
        raise InspectionFailed("The document signer's certificate is not signed by ECDSA with SHA-2.")
    run = bench.start(
        "openssl", "pkeyutl", "-verify", "-certin", "-inkey", bench.file(_pem(csca)),
        "-rawin", "-digest", _DIGEST_OF_ECDSA[algorithm],
        "-in", bench.file(certificate[top[0].start : top[0].end]),
        "-sigfile", bench.file(certificate[top[2].value_start + 1 : top[2].end]),
    )  # fmt: skip
    if _SIGNATURE_OK not in run.finish()[0]:
        raise InspectionFailed("openssl pkeyutl does not verify the document signer under the CSCA.")
    return "openssl pkeyutl: the document signer's certificate verified with the key of the CSCA."


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of `openssl asn1parse`: where a value stands and what it is."""

    start: int
    depth: int
    value_start: int
    end: int
    kind: str
    value: str


def _parsed(bench: Bench, der: bytes) -> tuple[_Line, ...]:
    said, _ = bench.start("openssl", "asn1parse", "-inform", "DER", "-in", bench.file(der)).finish()
    lines = []
    for text in said.decode("utf-8", "replace").splitlines():
        if found := _LINE.match(text):
            start, depth, header, length = (int(found[group]) for group in (1, 2, 3, 4))
            value_start = start + header
            lines.append(_Line(start, depth, value_start, value_start + length, found[5], found[6] or ""))
    if not lines:
        raise InspectionFailed("openssl asn1parse cannot read a part of EF.SOD.")
    return tuple(lines)


def _inside_tag_77(ef_sod: bytes) -> bytes:
    # ICAO 9303-10 §4.6.2: EF.SOD is tag 77 around the CMS message, with a definite length.
    if len(ef_sod) < 2 or ef_sod[0] != 0x77:
        return b""
    return ef_sod[2 + (ef_sod[1] & 0x7F if ef_sod[1] & 0x80 else 0) :]


def _pem(certificate: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(certificate).encode("ascii")
