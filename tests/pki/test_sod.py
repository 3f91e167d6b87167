"""EF.SOD: our own steps, and OpenSSL and asn1crypto as judges."""

import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest
from asn1crypto import algos, cms, core

from card_profiles.codecs import der
from hsm.errors import SignatureMismatch
from hsm.ports import Curve, KeyLabel
from pki import object_identifiers as oids
from pki.authorities import Authorities
from pki.certificate import read_certificate
from pki.errors import DocumentSignerNotUsable, SodRefused
from pki.sod import build_ef_sod, security_object, verify_ef_sod
from tests.pki.altered import Change, altered, name, replaced, without
from tests.pki.conftest import Centre
from tests.pki.made_up import LAST_DAY, NOW
from tests.pki.software_signer import SoftwareSigner

MRZ = "IDLVAPA99990013<<<<<<<<<<<<<<<" + "9001011F3103019LVA<<<<<<<<<<<4" + "KALNINA<<LIGA<<<<<<<<<<<<<<<<<"
DG1 = bytes.fromhex("615d5f1f5a") + MRZ.encode()
DATA_GROUPS = {1: DG1, 2: b"\x75" + b"\x01" * 900, 3: b"\x63\x04none"}


@pytest.fixture(scope="module")
def ef_sod(centre: Centre) -> bytes:
    return build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=NOW)


def check(ef_sod: bytes, authorities: Authorities, **changed: object) -> None:
    values: dict[str, object] = {
        "data_groups": DATA_GROUPS,
        "csca": authorities.csca.certificate,
        "document_type_code": "ID",
        "expires": LAST_DAY,
        **changed,
    }
    verify_ef_sod(ef_sod, values.pop("data_groups"), values.pop("csca"), **values)  # type: ignore[arg-type]


def refused_at(ef_sod: bytes, authorities: Authorities, **changed: object) -> str:
    with pytest.raises(SodRefused) as refused:
        check(ef_sod, authorities, **changed)
    return refused.value.step


def test_what_we_build_we_verify(ef_sod: bytes, centre: Centre) -> None:
    check(ef_sod, centre.authorities)
    check(ef_sod, centre.authorities, document_type_code="I<")


# --- what the standard asks for, read by another library ----------------------------------------------------------


def signed_data(ef_sod: bytes) -> cms.SignedData:
    return cms.ContentInfo.load(der.parse(ef_sod).content, strict=True)["content"]


def test_another_library_reads_the_form_of_the_standard(ef_sod: bytes, centre: Centre) -> None:
    read = signed_data(ef_sod)
    signer = read["signer_infos"][0]
    assert read["version"].native == "v3"
    assert read["encap_content_info"]["content_type"].dotted == "2.23.136.1.1.1"
    assert len(read["certificates"]) == len(read["signer_infos"]) == 1
    assert read["certificates"][0].dump() == centre.authorities.document_signer.certificate
    assert read["crls"].native is None
    assert (signer["version"].native, signer["sid"].name) == ("v1", "issuer_and_serial_number")
    assert [attribute["type"].native for attribute in signer["signed_attrs"]] == [
        "content_type",
        "signing_time",
        "message_digest",
    ]
    assert signer["signed_attrs"][1]["values"][0].native == NOW.replace(microsecond=0)
    assert signer["signature_algorithm"]["algorithm"].native == "sha256_ecdsa"


def test_no_algorithm_has_parameters(ef_sod: bytes) -> None:
    read = signed_data(ef_sod)
    signer = read["signer_infos"][0]
    identifiers = [read["digest_algorithms"][0], signer["digest_algorithm"], signer["signature_algorithm"]]
    for identifier in identifiers:
        assert len(der.children(der.parse(identifier.dump()))) == 1
    assert bytes.fromhex("300d06096086480165030402010500") not in ef_sod  # SHA-256 with NULL


class DataGroupHash(core.Sequence):  # type: ignore[misc]
    _fields = [("number", core.Integer), ("value", core.OctetString)]  # noqa: RUF012


class DataGroupHashes(core.SequenceOf):  # type: ignore[misc]
    _child_spec = DataGroupHash


class LdsVersion(core.Sequence):  # type: ignore[misc]
    _fields = [("lds", core.PrintableString), ("unicode", core.PrintableString)]  # noqa: RUF012


class SecurityObject(core.Sequence):  # type: ignore[misc]
    """ICAO Doc 9303-10 §4.6.2.3, written down a second time."""

    _fields = [  # noqa: RUF012
        ("version", core.Integer),
        ("algorithm", algos.DigestAlgorithm),
        ("hashes", DataGroupHashes),
        ("versions", LdsVersion),
    ]


def test_the_security_object_is_version_1(ef_sod: bytes) -> None:
    content = signed_data(ef_sod)["encap_content_info"]["content"].native
    read = SecurityObject.load(content, strict=True)
    assert read["version"].native == 1
    assert [item["number"].native for item in read["hashes"]] == [1, 2, 3]
    assert read["versions"].native == {"lds": "0108", "unicode": "040000"}


@pytest.mark.parametrize("numbers", [[1], [], [0, 1], [1, 17], list(range(1, 18))])
def test_data_groups_are_2_to_16(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="data groups"):
        security_object("sha256", dict.fromkeys(numbers, b""))


# --- OpenSSL ------------------------------------------------------------------------------------------------------


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_openssl_verifies_the_signature_and_gives_the_content(ef_sod: bytes, tmp_path: Path) -> None:
    (tmp_path / "message.der").write_bytes(der.parse(ef_sod).content)
    done = openssl(
        *("cms", "-verify", "-noverify", "-binary", "-inform", "DER"),
        *("-in", tmp_path / "message.der", "-out", tmp_path / "content"),
    )
    assert "CMS Verification successful" in done.stderr, done.stderr
    assert (tmp_path / "content").read_bytes() == security_object("sha256", DATA_GROUPS)


def test_openssl_refuses_a_changed_signature(ef_sod: bytes, tmp_path: Path) -> None:
    (tmp_path / "message.der").write_bytes(der.parse(ef_sod[:-1] + bytes([ef_sod[-1] ^ 1])).content)
    done = openssl(
        *("cms", "-verify", "-noverify", "-binary", "-inform", "DER"),
        *("-in", tmp_path / "message.der", "-out", tmp_path / "content"),
    )
    assert "CMS Verification successful" not in done.stderr


@pytest.mark.parametrize("field", ["csca", "document_signer"])
def test_openssl_verifies_the_certificate_under_the_csca(field: str, centre: Centre, tmp_path: Path) -> None:
    """`openssl verify` ends in error 94 for explicit parameters: the signature is judged over the octets instead."""
    certificate = getattr(centre.authorities, field).certificate
    for file, data in (("signed.der", certificate), ("csca.der", centre.authorities.csca.certificate)):
        (tmp_path / file).write_bytes(data)
    # Octets signed are the first element inside the certificate; the signature is the content of its last one
    openssl("asn1parse", "-inform", "DER", "-in", tmp_path / "signed.der", "-strparse", "4", "-out", tmp_path / "tbs")
    assert (tmp_path / "tbs").read_bytes() == read_certificate(certificate).tbs
    (tmp_path / "signature").write_bytes(read_certificate(certificate).signature)
    key = openssl("x509", "-inform", "DER", "-in", tmp_path / "csca.der", "-noout", "-pubkey")
    (tmp_path / "csca.pem").write_text(key.stdout)
    done = openssl(
        *("dgst", "-sha384", "-verify", tmp_path / "csca.pem", "-signature", tmp_path / "signature"),
        tmp_path / "tbs",
    )
    assert done.stdout == "Verified OK\n", done.stderr


# --- each step refuses --------------------------------------------------------------------------------------------


def test_step_1_structure(ef_sod: bytes, centre: Centre) -> None:
    for damaged in (b"", ef_sod[:-1], b"\x78" + ef_sod[1:], ef_sod + b"\x00", b"\x77\x02\x30\x00"):
        assert refused_at(damaged, centre.authorities) == "1-structure"
    assert refused_at(ef_sod, centre.authorities, csca=b"\x30\x00") == "1-structure"


def test_no_damaged_octet_is_accepted_or_fails(ef_sod: bytes, centre: Centre) -> None:
    for place in range(0, len(ef_sod), 7):
        damaged = ef_sod[:place] + bytes([ef_sod[place] ^ 0x41]) + ef_sod[place + 1 :]
        assert refused_at(damaged, centre.authorities)


def test_step_1_refuses_a_digest_algorithm_with_null(ef_sod: bytes, centre: Centre) -> None:
    info = signed_data(ef_sod)
    info["digest_algorithms"][0]["parameters"] = core.Null()
    whole = cms.ContentInfo({"content_type": "signed_data", "content": info}).dump(force=True)
    assert refused_at(der.encode(0x77, whole), centre.authorities) == "1-structure"


def test_step_2_security_object(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    old_version = der.sequence(der.printable("0107"), der.printable("040000"))
    monkeypatch.setattr("pki.sod._LDS_VERSION", old_version)
    sod = build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=NOW)
    assert refused_at(sod, centre.authorities) == "2-security-object"


def test_step_3_data_groups(ef_sod: bytes, centre: Centre) -> None:
    changed = {**DATA_GROUPS, 2: DATA_GROUPS[2] + b"\x00"}
    fewer = {1: DATA_GROUPS[1], 2: DATA_GROUPS[2]}
    more = {**DATA_GROUPS, 14: b"\x6e\x00"}
    for groups in (changed, fewer, more):
        assert refused_at(ef_sod, centre.authorities, data_groups=groups) == "3-data-groups"


def test_step_4_signed_attributes(ef_sod: bytes, centre: Centre) -> None:
    """A content that another signature covered: the hashes fit the files, the message digest does not fit them."""
    other = {**DATA_GROUPS, 2: b"\x75\x00"}
    mixed = ef_sod.replace(security_object("sha256", DATA_GROUPS), security_object("sha256", other))
    assert refused_at(mixed, centre.authorities, data_groups=other) == "4-signed-attributes"


def test_step_5_signer_named(ef_sod: bytes, centre: Centre) -> None:
    serial = der.integer(read_certificate(centre.authorities.document_signer.certificate).serial)
    place = ef_sod.rindex(serial)
    mixed = ef_sod[: place + len(serial) - 1] + bytes([serial[-1] ^ 1]) + ef_sod[place + len(serial) :]
    assert refused_at(mixed, centre.authorities) == "5-signer-named"


def test_step_6_signature(ef_sod: bytes, centre: Centre) -> None:
    assert refused_at(ef_sod[:-1] + bytes([ef_sod[-1] ^ 1]), centre.authorities) == "6-signature"


def test_step_7_chain(ef_sod: bytes, centre: Centre) -> None:
    assert refused_at(ef_sod, centre.authorities, csca=centre.authorities.root.certificate) == "7-chain"


def test_step_7_refuses_a_document_signer_that_the_csca_did_not_sign(centre: Centre) -> None:
    stranger = SoftwareSigner(dict(centre.signer.keys))
    stranger.make("csca-2026", Curve.BRAINPOOL_P384)
    assert refused_at(*with_signer(centre, stranger, bytes)) == "7-chain"


def with_signer(centre: Centre, signer: SoftwareSigner, change: Change) -> tuple[bytes, Authorities]:
    """An EF.SOD under a document signer certificate that was changed and signed again by the CSCA's key."""
    from dataclasses import replace

    from pki.certificate import assemble
    from pki.ecdsa import digest

    authorities = centre.authorities
    tbs = change(read_certificate(authorities.document_signer.certificate).tbs)
    signature = signer.sign(authorities.csca.label, digest("sha384", tbs))
    changed = replace(authorities.document_signer, certificate=assemble(tbs, "ecdsa-with-SHA384", signature))
    return build_ef_sod(signer, changed, DATA_GROUPS, now=NOW), authorities


def at(moment: str) -> bytes:
    return der.implicit(1, moment.encode())


@pytest.mark.parametrize(
    ("step", "change"),
    [
        ("7-chain", lambda t: without(t, oids.AUTHORITY_KEY_IDENTIFIER)),
        ("7-chain", lambda t: replaced(t, oids.AUTHORITY_KEY_IDENTIFIER, b"\x04\x00")),
        ("9-key-usage", lambda t: replaced(t, oids.KEY_USAGE, der.named_bits([0, 1]))),
        ("9-key-usage", lambda t: without(t, oids.PRIVATE_KEY_USAGE_PERIOD)),
        ("10-document-type", lambda t: without(t, oids.DOCUMENT_TYPE)),
        ("11-country", lambda t: altered(t, subject=name((oids.ATTRIBUTES["C"], der.printable("EE"))))),
        ("11-country", lambda t: without(t, oids.SUBJECT_ALT_NAME)),
    ],
)
def test_steps_7_to_11_look_at_the_document_signer(step: str, change: Change, centre: Centre) -> None:
    assert refused_at(*with_signer(centre, centre.signer, change)) == step


def test_step_8_authority(centre: Centre) -> None:
    """A certificate that is no CA, with the CSCA's name and key."""
    from pki.certificate import assemble
    from pki.ecdsa import digest

    tbs = without(read_certificate(centre.authorities.csca.certificate).tbs, oids.BASIC_CONSTRAINTS)
    signature = centre.signer.sign(centre.authorities.csca.label, digest("sha384", tbs))
    sod = build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=NOW)
    assert refused_at(sod, centre.authorities, csca=assemble(tbs, "ecdsa-with-SHA384", signature)) == "8-authority"


def test_step_9_signing_time(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the usage period nothing is signed; one that was signed all the same is refused."""
    late = NOW + timedelta(days=100)
    with pytest.raises(DocumentSignerNotUsable):
        build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=late)
    with pytest.raises(DocumentSignerNotUsable):
        early = NOW - timedelta(seconds=1)
        build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=early)
    monkeypatch.setattr("pki.sod._check_key_use", lambda *_: None)
    for moment in (late, NOW + timedelta(days=5000)):
        sod = build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=moment)
        assert refused_at(sod, centre.authorities) == "9-key-usage"


def test_step_10_document_type(ef_sod: bytes, centre: Centre) -> None:
    assert refused_at(ef_sod, centre.authorities, document_type_code="P<") == "10-document-type"


@pytest.mark.parametrize("data_group", [DG1.replace(b"IDLVA", b"IDEST"), b"\x61\x00"])
def test_step_11_the_mrz_is_of_the_same_country(data_group: bytes, centre: Centre) -> None:
    groups = {**DATA_GROUPS, 1: data_group}
    sod = build_ef_sod(centre.signer, centre.authorities.document_signer, groups, now=NOW)
    assert refused_at(sod, centre.authorities, data_groups=groups) == "11-country"


def test_step_12_outlives(ef_sod: bytes, centre: Centre) -> None:
    check(ef_sod, centre.authorities, expires=date(2036, 6, 1))
    assert refused_at(ef_sod, centre.authorities, expires=date(2036, 6, 2)) == "12-outlives"


def test_a_signature_that_does_not_verify_halts(centre: Centre) -> None:
    wrong = SoftwareSigner()
    wrong.make(centre.authorities.document_signer.label, Curve.BRAINPOOL_P256)
    with pytest.raises(SignatureMismatch):
        build_ef_sod(wrong, centre.authorities.document_signer, DATA_GROUPS, now=NOW)


def test_only_a_digest_reaches_the_signer(centre: Centre) -> None:
    seen: list[bytes] = []

    class Watched(SoftwareSigner):
        def sign(self, label: KeyLabel, digest: bytes) -> bytes:
            seen.append(digest)
            return super().sign(label, digest)

    build_ef_sod(Watched(centre.signer.keys), centre.authorities.document_signer, DATA_GROUPS, now=NOW)
    assert [len(digest) for digest in seen] == [32]
