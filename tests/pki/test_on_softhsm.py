"""The ceremony and what follows it on a real token: SoftHSM2 through `hsm.pkcs11`."""

import subprocess
from pathlib import Path

import pytest

from hsm.pkcs11 import open_ceremony, open_hsm
from hsm.ports import CardFunction, Curve
from hsm.settings import TokenSettings
from pki.authorities import load_authorities
from pki.ceremony import AUDIT_KEY, hold_ceremony, load_plan, plan_file
from pki.issuance import new_serial, prepare_pair, sign_certificate, validity
from pki.sod import build_ef_sod, verify_ef_sod
from tests.hsm import chip_maker
from tests.pki.made_up import ISSUED, LAST_DAY, NOW, PROFILES, subject
from tests.pki.public_linters import etsi_findings

pytestmark = pytest.mark.services
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "13572468"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenSettings:
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\n")
    (tmp_path / "pin").write_text(PIN)
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "pki", "--pin", PIN, "--so-pin", "87654321"],
        check=True,
        capture_output=True,
    )
    return TokenSettings(MODULE, "pki", tmp_path / "pin", tmp_path / "lock")


def test_both_ceremonies_then_a_pair_and_an_ef_sod(settings: TokenSettings, tmp_path: Path) -> None:
    ceremony = open_ceremony(settings)
    try:
        for name in ("production-demo", "specimen"):
            plan = load_plan(plan_file(name))
            hold_ceremony(plan, ceremony, now=NOW, directory=tmp_path / name, key_letter=chip_maker.letter_bytes)
        assert {f"master-{function}" for function in CardFunction} <= ceremony.labels()
    finally:
        ceremony.close()
    authorities = load_authorities(tmp_path / "production-demo")
    data_groups = {1: bytes.fromhex("615d5f1f5a") + b"IDLVA" + b"<" * 85, 2: b"face", 3: b"fingers"}
    hsm = open_hsm(settings)
    try:
        assert hsm.public_key(AUDIT_KEY).curve is Curve.P256
        keys = {slot: hsm.make_card_keys(Curve.P384, 1)[0].public for slot in PROFILES}
        not_before, not_after = validity(ISSUED, LAST_DAY, PROFILES["sign"], NOW)
        pair = prepare_pair(
            PROFILES,
            authorities.issuing,
            subject=subject(),
            public_keys=keys,
            serials={slot: new_serial(hsm.random_bytes(20)) for slot in PROFILES},
            not_before=not_before,
            not_after=not_after,
        )
        certificates = {slot: sign_certificate(hsm, authorities.issuing, tbs) for slot, tbs in pair.items()}
        ef_sod = build_ef_sod(hsm, authorities.document_signer, data_groups, now=NOW)
    finally:
        hsm.close()
    assert etsi_findings("QCP-N-QSCD-EIDAS-FINAL-CERTIFICATE", certificates["sign"]) == []
    assert etsi_findings("NCP-NATURAL-PERSON-CERTIFICATE", certificates["auth"]) == []
    csca = authorities.csca.certificate
    verify_ef_sod(ef_sod, data_groups, csca, document_type_code="ID", expires=LAST_DAY)
