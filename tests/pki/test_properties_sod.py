"""Passive authentication refuses, and never breaks at, an EF.SOD that is not the one signed."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pki.errors import SodRefused
from pki.sod import build_ef_sod, verify_ef_sod
from tests.fuzz.mutations import any_bytes
from tests.pki.conftest import Centre
from tests.pki.made_up import LAST_DAY, NOW

MRZ = "IDLVAPA99990013<<<<<<<<<<<<<<<" + "9001011F3103019LVA<<<<<<<<<<<4" + "KALNINA<<LIGA<<<<<<<<<<<<<<<<<"
DATA_GROUPS = {1: bytes.fromhex("615d5f1f5a") + MRZ.encode(), 2: b"\x75" + b"\x01" * 900, 3: b"\x63\x04none"}


def test_every_other_security_object_is_refused(centre: Centre) -> None:
    ef_sod = build_ef_sod(centre.signer, centre.authorities.document_signer, DATA_GROUPS, now=NOW)
    csca = centre.authorities.csca.certificate
    verify_ef_sod(ef_sod, DATA_GROUPS, csca, document_type_code="ID", expires=LAST_DAY)

    @settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
    @given(any_bytes([ef_sod]))
    def refused(data: bytes) -> None:
        assume(data != ef_sod)
        with pytest.raises(SodRefused):
            verify_ef_sod(data, DATA_GROUPS, csca, document_type_code="ID", expires=LAST_DAY)

    refused()

    @settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(sorted(DATA_GROUPS)), st.data())
    def refused_with_another_file(number: int, data: st.DataObject) -> None:
        other = data.draw(any_bytes([DATA_GROUPS[number]]))
        assume(other != DATA_GROUPS[number])
        with pytest.raises(SodRefused):
            verify_ef_sod(ef_sod, DATA_GROUPS | {number: other}, csca, document_type_code="ID", expires=LAST_DAY)

    refused_with_another_file()
