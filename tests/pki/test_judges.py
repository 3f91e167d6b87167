"""Programs nobody here wrote judge the certificates: pkilint in process, OpenSSL over the chain."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pki.certificate import Subject
from tests.pki.conftest import Centre, Pair
from tests.pki.made_up import EXTREME_SUBJECTS
from tests.pki.public_linters import chain_findings, etsi_findings, pkix_findings

CERTIFICATE_TYPES = {"sign": "QCP-N-QSCD-EIDAS-FINAL-CERTIFICATE", "auth": "NCP-NATURAL-PERSON-CERTIFICATE"}
AN_INSTANT = "1780000000"  # 2026-05-28, inside every validity of these tests


@pytest.mark.parametrize("holder", EXTREME_SUBJECTS)
def test_pkilint_finds_nothing_in_certificates_of_extreme_subjects(
    holder: Subject, issue: Callable[[Subject], Pair], centre: Centre
) -> None:
    pair = issue(holder)
    for slot, type_name in CERTIFICATE_TYPES.items():
        assert etsi_findings(type_name, pair.certificates[slot]) == []
        # The chain linter knows RFC 5280's 64 characters alone; EN 319 412-2 §4.2.4 lets names be longer
        too_long = ["itu.invalid_asn1_syntax"] if len(holder.common_name) > 64 else []
        assert chain_findings(centre.issuing.certificate, pair.certificates[slot]) == too_long


def test_pkilint_does_judge(pair: Pair, centre: Centre) -> None:
    assert etsi_findings(CERTIFICATE_TYPES["sign"], pair.certificates["auth"]) != []
    assert chain_findings(centre.authorities.root.certificate, pair.certificates["auth"]) != []


def test_pkilint_finds_nothing_in_the_authorities(centre: Centre) -> None:
    root, issuing = centre.authorities.root.certificate, centre.authorities.issuing.certificate
    assert pkix_findings(root) == pkix_findings(issuing) == []
    assert chain_findings(root, issuing) == []


def pem(certificate: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(certificate).decode()}-----END CERTIFICATE-----\n"


def test_openssl_verifies_the_chain(centre: Centre, pair: Pair, tmp_path: Path) -> None:
    authorities = centre.authorities
    files = {
        "root": authorities.root.certificate,
        "issuing": authorities.issuing.certificate,
        **pair.certificates,
    }
    for name, certificate in files.items():
        (tmp_path / f"{name}.pem").write_text(pem(certificate))
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-attime", AN_INSTANT, "-CAfile", tmp_path / "root.pem"),
            *("-untrusted", tmp_path / "issuing.pem", tmp_path / "sign.pem", tmp_path / "auth.pem"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [f"{tmp_path / slot}.pem: OK" for slot in ("sign", "auth")], done.stderr
