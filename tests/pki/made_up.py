"""Made-up holders and moments."""

import base64
import json
from datetime import UTC, date, datetime

from pki.certificate import Subject, holder_subject
from pki.profile import load_certificate_profile

NOW = datetime(2026, 3, 2, 9, 30, 15, 250000, tzinfo=UTC)
ISSUED = date(2026, 3, 2)
LAST_DAY = date(2031, 3, 1)
PROFILES = {
    "sign": load_certificate_profile("sign-citizen@1"),
    "auth": load_certificate_profile("auth-citizen@1"),
}


def subject(surname: str | None = "KALNIŅA", given_names: str | None = "LĪGA", code: str = "320000-00017") -> Subject:
    return holder_subject("LV", surname, given_names, code)


EXTREME_SUBJECTS = (
    subject(),
    subject(surname="ŠĶĒRNIŅŠ-ČAKSTIŅŠ", given_names="ĀŪĪĒ ĢŖŽ"),
    subject(surname=None, given_names="SUKARNO"),
    subject(surname="SUKARNO", given_names=None),
    subject(surname="A", given_names="B"),
    subject(surname="Ņ" * 36, given_names="Ī" * 32),  # the longest a document has; 137 characters together
    subject(surname="O’NEILL-D'ARC", given_names="JEAN-LUC ANNE-MARIE"),
    subject(surname="Müller-Łódź ÆØÅ", given_names="ẞẽñ Œuvre"),
    subject(surname="S\u0323\u030cA", given_names="Le\u0304na"),  # decomposed in, composed out
    subject(surname="SOLOV\u02bcJOV", given_names="ANNA"),
    subject(surname="A, O=B+CN=C\\#", given_names='"<>;'),
)


def key_letter(exchange_key: bytes) -> bytes:
    """A letter of the right form; the software ceremony does not open it."""
    assert exchange_key
    wrapped = {"wrapped": base64.b64encode(bytes(384)).decode(), "check_value": "000000"}
    keys = dict.fromkeys(("PERSO", "PIN", "KEY", "CERT"), wrapped)
    return json.dumps({"maker": "tests", "diversification": "CBC-DATA-1", "keys": keys}).encode()
