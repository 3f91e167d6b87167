"""A token's inventory, on SoftHSM."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hsm.errors import HsmUnavailable, PinRefused
from hsm.labels import FIXED_LABELS
from hsm.pkcs11_inventory import take_inventory
from hsm.ports import Curve, KeyLabel
from tests.hsm.conftest import Token

pytestmark = pytest.mark.services


def test_labels_and_public_halves_are_told(token_environment: Token, label_of: Callable[[Curve], KeyLabel]) -> None:
    wanted = [label_of(Curve.P384), KeyLabel("nobody's")]
    found = take_inventory(token_environment.settings, wanted)
    assert found.labels == FIXED_LABELS | {label_of(curve) for curve in Curve}
    assert found.public_keys == {label_of(Curve.P384): token_environment.signing_keys[Curve.P384]}
    assert "SoftHSM" in found.token.manufacturer


def test_the_session_is_given_back(token_environment: Token) -> None:
    assert take_inventory(token_environment.settings, ()) == take_inventory(token_environment.settings, ())


def test_a_token_without_keys_is_an_empty_inventory(fresh_token: Token) -> None:
    assert take_inventory(fresh_token.settings, [KeyLabel("audit")]).labels == frozenset()


def test_a_wrong_pin_is_refused(fresh_token: Token) -> None:
    fresh_token.settings.pin_file.write_text("000000")
    with pytest.raises(PinRefused):
        take_inventory(fresh_token.settings, ())


def test_another_token_is_not_opened(fresh_token: Token) -> None:
    with pytest.raises(HsmUnavailable):
        take_inventory(replace(fresh_token.settings, token_label="another"), ())
