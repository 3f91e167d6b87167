"""The token: it opens with the line's PIN, and its keys are those of the certificates."""

from collections.abc import Sequence

from api.apart import run_apart_within
from api.doctor.finding import Finding, failed, ok
from api.doctor.looking import PinWrong, look_at_token
from api.doctor.patient import Patient
from api.failure import CommandFailed
from api.token import TokenMissing, token_settings
from hsm.inventory import Inventory
from hsm.labels import FIXED_LABELS, master_label
from hsm.ports import CardFunction, KeyLabel, PublicKey
from pki.audit_key import evidenced_audit_key
from pki.authorities import AUDIT_KEY, CERTIFICATE_FILES, Authority, load_authorities
from pki.certificate import read_certificate
from pki.errors import PkiError

TOKEN_SECONDS = 30.0
MASTERS = frozenset(master_label(function) for function in CardFunction)


def check_token(patient: Patient) -> Sequence[Finding]:
    """The module loads and the token opens, in a process of its own; then its keys."""
    state = patient.state
    if not state.softhsm_conf.exists():
        return [failed("token", "no token was made here", "`perso ceremony FILE.toml`, or `perso run`")]
    expected = _expected(patient)
    try:
        settings = token_settings(state)
        found = run_apart_within(
            TOKEN_SECONDS, patient.environment, look_at_token, settings, [label for label, _ in expected]
        )
    except TokenMissing as error:
        return [failed("token", str(error), "install it; the token's files in the state directory stay as they are")]
    except CommandFailed as error:
        what_to_do = f"look at the module, at {state.softhsm_conf}, {state.token_directory} and the PIN file"
        return [failed("token", str(error), what_to_do)]
    if isinstance(found, PinWrong):
        what_to_do = f"do not try again, a token locks after a few tries: bring the right {state.pin_file} back first"
        return [failed("token", found.sentence, what_to_do)]
    token = found.token
    sentence = f"{token.manufacturer} {token.model}, serial {token.serial}, firmware {token.firmware}, opens"
    return [ok("token", sentence), _keys(found, expected)]


def _expected(patient: Patient) -> Sequence[tuple[KeyLabel, PublicKey]]:
    """Signing keys with their labels, as certificates and evidence have them; none of a ceremony that is not whole."""
    try:
        authorities = load_authorities(patient.authorities)
        expected = [(AUDIT_KEY, evidenced_audit_key(patient.authorities).public)]
        for field in CERTIFICATE_FILES:
            authority: Authority = getattr(authorities, field)
            expected.append((authority.label, read_certificate(authority.certificate).public_key()))
    except PkiError:
        return ()  # told by the check of the certificates
    return expected


def _keys(found: Inventory, expected: Sequence[tuple[KeyLabel, PublicKey]]) -> Finding:
    check = "token keys"
    missing = sorted((FIXED_LABELS | {AUDIT_KEY} | {label for label, _ in expected}) - found.labels)
    if missing and MASTERS.issuperset(missing):
        what_to_do = "no card can be made: `perso ceremony FILE.toml --key-letter FILE` with the chip maker's letter"
        return failed(check, f"card masters are missing: {', '.join(missing)}", what_to_do)
    if missing:
        what_to_do = (
            "this is another token than the ceremony's, or keys were deleted: bring the right token, or its backup"
        )
        return failed(check, f"missing on the token: {', '.join(missing)}", what_to_do)
    others = sorted({label for label, public in expected if found.public_keys.get(label) != public})
    if others:
        what_to_do = "stop: token and certificates are not of the same ceremony; bring the right ones together"
        return failed(check, f"another key than its certificate's: {', '.join(others)}", what_to_do)
    return ok(check, f"{len(FIXED_LABELS)} keys of every centre, {len(expected)} signing keys as certified")
