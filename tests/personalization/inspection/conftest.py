"""Cards to judge, made without the product's code: keys and chains by `cryptography`, EF.SOD by the openssl program."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.personalization.inspection.finished_card import SpecimenCentre

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Material:
    """A small hierarchy, one holder's pair under it, and three data groups under an EF.SOD with explicit curves."""

    root: bytes
    issuing_ca: bytes
    certificates: Mapping[str, bytes]
    keys: Mapping[str, ec.EllipticCurvePrivateKey]
    csca: bytes
    foreign_csca: bytes
    data_groups: Mapping[int, bytes]
    ef_sod: bytes
    now: datetime = NOW

    def sign(self, slot: str, digest: bytes) -> bytes:
        return self.keys[slot].sign(digest, ec.ECDSA(Prehashed(hashes.SHA384())))


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[str, ec.EllipticCurvePrivateKey] | None,
    *,
    authority: bool,
) -> bytes:
    issuer_name, issuer_key = issuer or (name, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1000))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False), critical=True
        )
    )
    if issuer is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(issuer_key, hashes.SHA384()).public_bytes(Encoding.DER)


def tlv(tag: int, *parts: bytes) -> bytes:
    """DER, lengths up to 65,535 bytes."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def lds_security_object(data_groups: Mapping[int, bytes]) -> bytes:
    """ICAO 9303-10 §4.6.2.3, version 1 with SHA-256 (2.16.840.1.101.3.4.2.1)."""
    listed = [
        tlv(0x30, tlv(0x02, bytes([number])), tlv(0x04, hashlib.sha256(content).digest()))
        for number, content in data_groups.items()
    ]
    return tlv(
        0x30,
        tlv(0x02, b"\x01"),
        tlv(0x30, tlv(0x06, bytes.fromhex("608648016503040201"))),
        tlv(0x30, *listed),
        tlv(0x30, tlv(0x13, b"0108"), tlv(0x13, b"040000")),
    )


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=20)


def explicit_key(directory: Path, curve: str, name: str) -> None:
    openssl(directory, "ecparam", "-name", curve, "-param_enc", "explicit", "-genkey", "-noout", "-out", name)


def make_csca(directory: Path, name: str) -> bytes:
    explicit_key(directory, "brainpoolP384r1", f"{name}.key")
    openssl(
        directory, "req", "-x509", "-new", "-key", f"{name}.key", "-sha384", "-subj", "/C=LV/CN=Test CSCA",
        "-days", "4000", "-outform", "DER", "-out", f"{name}.der",
    )  # fmt: skip
    return (directory / f"{name}.der").read_bytes()


def make_ef_sod(directory: Path, data_groups: Mapping[int, bytes]) -> bytes:
    explicit_key(directory, "brainpoolP256r1", "ds.key")
    openssl(directory, "req", "-new", "-key", "ds.key", "-subj", "/C=LV/CN=Test DS", "-out", "ds.csr")
    openssl(
        directory, "x509", "-req", "-in", "ds.csr", "-CA", "csca.der", "-CAkey", "csca.key", "-sha384",
        "-days", "3900", "-set_serial", "5", "-out", "ds.pem",
    )  # fmt: skip
    (directory / "lds").write_bytes(lds_security_object(data_groups))
    openssl(
        directory, "cms", "-sign", "-in", "lds", "-binary", "-nodetach", "-nosmimecap", "-signer", "ds.pem",
        "-inkey", "ds.key", "-md", "sha256", "-econtent_type", "2.23.136.1.1.1", "-outform", "DER", "-out", "sod",
    )  # fmt: skip
    return tlv(0x77, (directory / "sod").read_bytes())


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    directory = tmp_path_factory.mktemp("authorities")
    root_key, issuing_key, auth_key, sign_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(4))
    holder = "PARAUDZIŅA ANNA"
    issuing = ("Test issuing CA", issuing_key)
    data_groups = {1: tlv(0x61, os.urandom(93)), 2: tlv(0x75, os.urandom(900)), 3: tlv(0x63, os.urandom(53))}
    return Material(
        root=certificate("Test root", root_key, None, authority=True),
        issuing_ca=certificate("Test issuing CA", issuing_key, ("Test root", root_key), authority=True),
        certificates={
            "auth": certificate(holder, auth_key, issuing, authority=False),
            "sign": certificate(holder, sign_key, issuing, authority=False),
        },
        keys={"auth": auth_key, "sign": sign_key},
        csca=make_csca(directory, "csca"),
        foreign_csca=make_csca(directory, "foreign"),
        data_groups=data_groups,
        ef_sod=make_ef_sod(directory, data_groups),
    )


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> SpecimenCentre:
    return SpecimenCentre.opened(tmp_path_factory.mktemp("specimen-authorities"))
