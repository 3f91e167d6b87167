"""The ceremony on a fresh token, and key letters good and bad."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pkcs11 import Attribute, ObjectClass

from hsm.ceremony import KeyLetter, TokenIdentity
from hsm.errors import KeyAlreadyExists, KeyLetterRefused, KeyNotFound
from hsm.labels import FIXED_LABELS
from hsm.pkcs11_ceremony import Pkcs11Ceremony
from hsm.ports import Curve, KeyLabel
from tests.hsm import chip_maker

pytestmark = pytest.mark.services

ROOT = KeyLabel("root-2026")
MASTERS = {"master-PERSO", "master-PIN", "master-KEY", "master-CERT"}


def test_every_key_is_made_once(ceremony: Pkcs11Ceremony) -> None:
    assert ceremony.labels() == frozenset()
    public = ceremony.make_signing_key(ROOT, Curve.P384)
    assert ceremony.signer().public_key(ROOT) == public
    assert ceremony.signer().sign(ROOT, bytes(48))
    with pytest.raises(KeyAlreadyExists):
        ceremony.make_signing_key(ROOT, Curve.P256)
    for make in (ceremony.make_storage_key, ceremony.make_record_key, ceremony.make_exchange_key):
        made = make()
        with pytest.raises(KeyAlreadyExists):
            make()
    assert made == ceremony.exchange_public_key()
    assert ceremony.labels() == {ROOT, "storage-key", "record-key", "exchange-key"}


@pytest.mark.parametrize("label", ["", *sorted(FIXED_LABELS)])
def test_fixed_labels_are_not_for_signing_keys(ceremony: Pkcs11Ceremony, label: KeyLabel) -> None:
    with pytest.raises(ValueError, match="labelled"):
        ceremony.make_signing_key(label, Curve.P256)


def test_token_identity_and_randomness(ceremony: Pkcs11Ceremony) -> None:
    identity = ceremony.token()
    assert identity == TokenIdentity("SoftHSM project", "SoftHSM v2", identity.serial, identity.firmware)
    assert len(identity.serial) == 16
    assert identity.firmware.startswith("2.")
    assert len(ceremony.random_bytes(8)) == 8


def test_public_half_that_a_power_cut_left_is_replaced(ceremony: Pkcs11Ceremony) -> None:
    ceremony.make_signing_key(ROOT, Curve.P256)
    with ceremony._session.calls():
        (private,) = ceremony._session.search({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: ROOT})
        private.destroy()
    ceremony._session._keys.clear()
    ceremony._signer._pairs.clear()  # as a new process would start
    assert ceremony.labels() == frozenset()
    ceremony.make_signing_key(ROOT, Curve.P384)
    assert ceremony.signer().sign(ROOT, bytes(48))


def test_exchange_key_is_rsa_3072(ceremony: Pkcs11Ceremony) -> None:
    with pytest.raises(KeyNotFound):
        ceremony.exchange_public_key()
    public = load_der_public_key(ceremony.make_exchange_key())
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (3072, 65537)


def test_masters_come_in_once(ceremony: Pkcs11Ceremony) -> None:
    exchange = ceremony.make_exchange_key()
    letter = KeyLetter.from_json(chip_maker.letter_bytes(exchange))
    ceremony.import_masters(letter)
    assert ceremony.labels() == MASTERS | {"exchange-key"}
    with pytest.raises(KeyAlreadyExists, match="all masters"):
        ceremony.import_masters(letter)


def test_no_exchange_key_no_masters(ceremony: Pkcs11Ceremony) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(KeyNotFound):
        ceremony.import_masters(KeyLetter.from_json(chip_maker.letter_bytes(spki)))


def test_broken_off_import_goes_on_but_takes_no_other_master(ceremony: Pkcs11Ceremony) -> None:
    exchange = ceremony.make_exchange_key()
    letter = KeyLetter.from_json(chip_maker.letter_bytes(exchange))
    ceremony.import_masters(letter)
    for label in ("master-KEY", "master-CERT"):
        with ceremony._session.calls():
            (master,) = ceremony._session.search({Attribute.LABEL: label})
            master.destroy()
        ceremony._session._keys.clear()
    others = {function: bytes(reversed(master)) for function, master in chip_maker.MASTERS.items()}
    with pytest.raises(KeyAlreadyExists, match="another master-PERSO"):
        ceremony.import_masters(KeyLetter.from_json(json.dumps(chip_maker.letter(exchange, others)).encode()))
    ceremony.import_masters(letter)
    assert ceremony.labels() == MASTERS | {"exchange-key"}


@pytest.mark.parametrize("function", ["PERSO", "CERT"])
def test_letter_with_one_bad_master_leaves_nothing(ceremony: Pkcs11Ceremony, function: str) -> None:
    exchange = ceremony.make_exchange_key()
    good = chip_maker.letter(exchange)

    def changed(**members: str) -> dict[str, Any]:
        return good | {"keys": good["keys"] | {function: good["keys"][function] | members}}

    wrapped = bytearray(base64.b64decode(good["keys"][function]["wrapped"]))
    wrapped[100] ^= 1
    short = base64.b64encode(chip_maker.oaep(exchange, bytes(5))).decode()
    letters = {
        "check value": changed(check_value="000000"),
        "open": changed(wrapped=base64.b64encode(wrapped).decode()),
        "AES-256": changed(wrapped=short),
    }
    for complaint, letter in letters.items():
        with pytest.raises(KeyLetterRefused, match=complaint) as refusal:
            ceremony.import_masters(KeyLetter.from_json(json.dumps(letter).encode()))
        assert function in str(refusal.value)
        assert refusal.value.__cause__ is None
    with ceremony._session.calls() as driver:
        assert not list(driver.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
    ceremony.import_masters(KeyLetter.from_json(json.dumps(good).encode()))


ENTRY = {"wrapped": "AAAA", "check_value": "010203"}
LETTER: dict[str, Any] = {
    "maker": "M",
    "diversification": "CBC-DATA-1",
    "keys": {"PERSO": ENTRY, "PIN": ENTRY, "KEY": ENTRY, "CERT": ENTRY},
}


@pytest.mark.parametrize(
    ("letter", "complaint"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        ([], "not an object"),
        ({"maker": "M", "diversification": "CBC-DATA-1"}, "lacks keys"),
        (LETTER | {"note": ""}, "unknown note"),
        (LETTER | {"maker": 1}, "no maker"),
        (LETTER | {"diversification": "VISA2"}, "not CBC-DATA-1"),
        (LETTER | {"keys": {"PERSO": ENTRY}}, "lacks CERT, KEY, PIN"),
        (LETTER | {"keys": LETTER["keys"] | {"PIN": ENTRY | {"wrapped": "*"}}}, "PIN is not base64"),
        (LETTER | {"keys": LETTER["keys"] | {"PIN": ENTRY | {"wrapped": None}}}, "PIN is not base64"),
        (LETTER | {"keys": LETTER["keys"] | {"PIN": ENTRY | {"wrapped": ""}}}, "PIN has a length"),
        (LETTER | {"keys": LETTER["keys"] | {"KEY": ENTRY | {"check_value": "01"}}}, "KEY has a length"),
        (LETTER | {"keys": LETTER["keys"] | {"KEY": ENTRY | {"check_value": 7}}}, "KEY is not base64"),
        (LETTER | {"keys": LETTER["keys"] | {"KEY": {"wrapped": "AAAA"}}}, "lacks check_value"),
    ],
)
def test_letters_that_are_not_of_the_data_sheet(letter: object, complaint: str) -> None:
    data = letter if isinstance(letter, bytes) else json.dumps(letter).encode()
    with pytest.raises(KeyLetterRefused, match=complaint):
        KeyLetter.from_json(data)
