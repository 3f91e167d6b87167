"""What rules look at: to-be-signed octets, read once, beside their profile and their issuer."""

from dataclasses import dataclass
from functools import lru_cache

from hsm.ports import PublicKey
from pki.certificate_reading import TbsCertificate, read_certificate, read_tbs
from pki.errors import CertificateRefused
from pki.names import Attribute, read_name
from pki.profile import CertificateProfile


@dataclass(frozen=True, slots=True)
class Linted:
    """`issuer` is the body of the issuer's certificate; of a self-signed certificate, its own.

    `attributes` are those of the subject in order; `public_key` is None when the key is on no known curve.
    """

    profile: CertificateProfile
    tbs: TbsCertificate
    issuer: TbsCertificate
    is_self_signed: bool
    attributes: tuple[Attribute, ...]
    public_key: PublicKey | None

    def text(self, name: str) -> str | None:
        """The first subject attribute of this short name."""
        return next((attribute.text for attribute in self.attributes if attribute.name == name), None)

    def value(self, oid: str) -> bytes | None:
        """The DER value of an extension."""
        found = self.tbs.extensions.get(oid)
        return None if found is None else found.value


def read_linted(profile: CertificateProfile, tbs: bytes, issuer: bytes | None) -> Linted:
    """Raises `CertificateRefused` and `DerError` when the octets are not even a certificate's."""
    body = read_tbs(tbs)
    return Linted(
        profile=profile,
        tbs=body,
        issuer=body if issuer is None else _issuer(issuer),
        is_self_signed=issuer is None,
        attributes=read_name(body.subject),
        public_key=_public_key(body),
    )


@lru_cache(maxsize=64)
def _issuer(certificate: bytes) -> TbsCertificate:
    return read_certificate(certificate).body


def _public_key(body: TbsCertificate) -> PublicKey | None:
    try:
        return body.public_key()
    except CertificateRefused:
        return None
