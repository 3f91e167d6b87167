"""What can go wrong in the PKI room. Messages name fields, steps and rules; they never quote a holder's values."""

from pki.findings import Finding


class PkiError(Exception):
    """Base of this room's errors."""


class ProfileRefused(PkiError):
    """A certificate profile is not known, or its file is not a profile."""


class PlanRefused(PkiError):
    """A ceremony plan is not one that may be held."""


class CeremonyRefused(PkiError):
    """The token or the directory does not agree with the plan: nothing was made over it."""


class CertificateRefused(PkiError):
    """Octets are not a certificate of the kinds this centre issues."""


class AuthoritiesRefused(PkiError):
    """A directory does not hold a set of authorities that belong together."""


class SubjectRefused(PkiError):
    """A subject cannot stand in a certificate; the message names the attribute."""


class ValidityRefused(PkiError):
    """There is no validity period in which the certificate could be good."""


class LintRefused(PkiError):
    """To-be-signed octets break rules; `findings` says which."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("; ".join(f"{finding.rule} ({finding.citation})" for finding in findings))
        self.findings = findings


class SignatureInvalid(PkiError):
    """A signature does not verify under the public key it is said to be by."""


class DocumentSignerNotUsable(PkiError):
    """The document signer's key may not sign now, or not this EF.SOD."""


class SodRefused(PkiError):
    """An EF.SOD fails; `step` is the step of `pki.sod.verify_ef_sod`, `reason` one sentence."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason
