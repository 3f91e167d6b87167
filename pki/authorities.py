"""The authorities of a centre: whose key has which label, and under which certificate."""

import json
from dataclasses import dataclass
from pathlib import Path

from hsm.ports import KeyLabel
from pki.certificate import read_certificate
from pki.errors import AuthoritiesRefused, CertificateRefused

AUTHORITIES_FILE = "authorities.json"
AUDIT_KEY = KeyLabel("audit")
"""Signs checkpoints of the audit log; one for each token."""
CERTIFICATE_FILES = {
    "root": "root.der",
    "issuing": "issuing-ca.der",
    "csca": "csca.der",
    "document_signer": "document-signer.der",
}
"""Files of the certificates in an authorities directory, by field of `Authorities`."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A key of the token by its label, and the DER certificate it signs under."""

    label: KeyLabel
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Authorities:
    """One set: made in one ceremony, for production or for specimens alone."""

    name: str
    specimen: bool
    root: Authority
    issuing: Authority
    csca: Authority
    document_signer: Authority


def load_authorities(directory: Path) -> Authorities:
    """The set a ceremony left in `directory`. Raises `AuthoritiesRefused`."""
    try:
        listed = json.loads((directory / AUTHORITIES_FILE).read_text(encoding="utf-8"))
        members = {
            field: Authority(KeyLabel(listed[field]["label"]), (directory / file).read_bytes())
            for field, file in CERTIFICATE_FILES.items()
        }
        name, specimen = listed["name"], listed["specimen"]
    except (OSError, ValueError, KeyError, TypeError):
        raise AuthoritiesRefused("the directory does not hold a finished set of authorities") from None
    if not isinstance(name, str) or not isinstance(specimen, bool):
        raise AuthoritiesRefused("the set of authorities has no name, or does not say whether it is for specimens")
    authorities = Authorities(name, specimen, **members)
    _check_chains(authorities)
    return authorities


def authorities_json(authorities: Authorities) -> bytes:
    """What `load_authorities` reads; certificates stand in their own files."""
    listed: dict[str, object] = {"name": authorities.name, "specimen": authorities.specimen}
    for field, file in CERTIFICATE_FILES.items():
        authority: Authority = getattr(authorities, field)
        listed[field] = {"label": authority.label, "certificate": file}
    return json.dumps(listed, indent=2, ensure_ascii=False).encode() + b"\n"


def _check_chains(authorities: Authorities) -> None:
    try:
        read = {field: read_certificate(getattr(authorities, field).certificate) for field in CERTIFICATE_FILES}
    except CertificateRefused as error:
        raise AuthoritiesRefused(f"a certificate of the set: {error}") from None
    for field, issuer in (("root", "root"), ("issuing", "root"), ("csca", "csca"), ("document_signer", "csca")):
        if read[field].issuer != read[issuer].subject:
            raise AuthoritiesRefused(f"the certificate of '{field}' is not by '{issuer}' of the same set")
