"""Explicit curve parameters, judged by OpenSSL's own tables and by a key OpenSSL made."""

import subprocess

import pytest

from card_profiles.codecs import der
from card_profiles.codecs.curves import CURVES
from card_profiles.codecs.ec_parameters import (
    EcParametersError,
    explicit_parameters,
    has_explicit_parameters,
    public_key_info,
    read_parameters,
    read_public_key_info,
)

OPENSSL_NAMES = {"secp256r1": "prime256v1"}


def openssl(*arguments: str, standard_input: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=standard_input, capture_output=True, check=True).stdout


def base_point(curve: str) -> bytes:
    domain = CURVES[curve]
    return domain.encode_point(domain.x, domain.y)


def without_seed(parameters: bytes) -> bytes:
    """OpenSSL writes the optional seed of the NIST curves; this centre does not."""
    version, field, curve, *rest = der.children(der.parse(parameters))
    a, b = der.children(curve)[:2]
    return der.sequence(version.whole, field.whole, der.sequence(a.whole, b.whole), *(part.whole for part in rest))


@pytest.mark.parametrize("curve", CURVES)
def test_parameters_are_what_openssl_writes(curve: str) -> None:
    name = OPENSSL_NAMES.get(curve, curve)
    theirs = openssl(
        "ecparam", "-name", name, "-param_enc", "explicit", "-conv_form", "uncompressed", "-outform", "DER"
    )
    assert without_seed(theirs) == explicit_parameters(curve)
    assert read_parameters(der.parse(theirs)) == curve


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("form", ["explicit", "named_curve"])
def test_keys_of_openssl_are_read(curve: str, form: str) -> None:
    name = OPENSSL_NAMES.get(curve, curve)
    private = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{name}",
                      "-pkeyopt", f"ec_param_enc:{form}")  # fmt: skip
    public = openssl("pkey", "-pubout", "-outform", "DER", standard_input=private)
    found, point = read_public_key_info(public)
    assert found == curve
    assert has_explicit_parameters(public) == (form == "explicit")
    assert openssl("pkey", "-pubin", "-inform", "DER", "-noout", "-text", "-in", "/dev/stdin",
                   standard_input=public_key_info(curve, point, explicit=True))  # fmt: skip


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("explicit", [True, False])
def test_what_was_written_is_read(curve: str, explicit: bool) -> None:
    data = public_key_info(curve, base_point(curve), explicit)
    assert read_public_key_info(data) == (curve, base_point(curve))


@pytest.mark.parametrize("changed", ["p", "a", "b", "G", "n", "h"])
def test_one_number_that_differs_is_another_curve(changed: str) -> None:
    """CVE-2020-0601: a curve known by its public key alone could have any base point."""
    domain = CURVES["brainpoolP384r1"]
    size = domain.field_bytes
    bump = {name: int(name == changed) for name in ("p", "a", "b", "G", "n", "h")}
    base = domain.encode_point(domain.x, domain.p - domain.y if bump["G"] else domain.y)
    parameters = der.sequence(
        der.integer(1),
        der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(domain.p - 2 * bump["p"])),
        der.sequence(
            der.octet_string((domain.a + bump["a"]).to_bytes(size, "big")),
            der.octet_string((domain.b + bump["b"]).to_bytes(size, "big")),
        ),
        der.octet_string(base),
        der.integer(domain.n + bump["n"]),
        der.integer(1 + bump["h"]),
    )
    with pytest.raises(EcParametersError, match="no known curve"):
        read_parameters(der.parse(parameters))


def test_the_cofactor_is_not_optional() -> None:
    parts = der.children(der.parse(explicit_parameters("secp384r1")))
    with pytest.raises(EcParametersError, match="cofactor"):
        read_parameters(der.parse(der.sequence(*(part.whole for part in parts[:5]))))


def test_points_off_the_curve_are_refused() -> None:
    point = base_point("secp256r1")
    for wrong in (point[:-1] + b"\x00", point[:-1], b"\x02" + point[1:33], b"\x00"):
        with pytest.raises(EcParametersError, match="point"):
            public_key_info("secp256r1", wrong, explicit=True)


def test_other_keys_are_refused() -> None:
    rsa = openssl("pkey", "-pubout", "-outform", "DER", standard_input=openssl("genpkey", "-algorithm", "RSA"))
    with pytest.raises(EcParametersError, match="not an elliptic curve key"):
        read_public_key_info(rsa)
    with pytest.raises(EcParametersError, match="not known"):
        explicit_parameters("secp256k1")
