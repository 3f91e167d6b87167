"""Every rule name that a receipt can hold, and in one sentence when it is raised.

A source builds on these names: one that was published keeps its meaning. `docs/document-systems.md` is the same list
with the pointers and with what to do; a test compares both with the code that raises them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from personalization.rules.dates import LAST_ISSUE_DAY, LONGEST_TERM_YEARS, SHORT_TERM_BELOW_AGE, SHORT_TERM_YEARS
from personalization.rules.document import HIGHEST_REVISION
from personalization.rules.fingerprints import EXEMPT_BELOW_AGE
from personalization.rules.images import FINGERPRINT_DPI, PORTRAIT_HEIGHT_PX, PORTRAIT_WIDTH_PX
from personalization.rules.json_shape import MAXIMUM_DEPTH, MAXIMUM_VALUES

_PORTRAIT = f"{PORTRAIT_WIDTH_PX[0]}x{PORTRAIT_HEIGHT_PX[0]} to {PORTRAIT_WIDTH_PX[-1]}x{PORTRAIT_HEIGHT_PX[-1]} pixels"

RULES: Mapping[str, str] = MappingProxyType(
    {
        # The order of the record, whatever it holds
        "superseded": "A higher revision of this record was delivered before, were it accepted or refused.",
        "withdrawn": "The order of this record was withdrawn; that is final for every revision.",
        "other-source": "Another document information system has delivered a record of this identifier before.",
        "too-large": "A pushed line is longer than a record may be.",
        "failures-many": "The record has more failures than one receipt lists; the first are listed.",
        # Is it JSON
        "json/form": "What was delivered is text that does not parse as JSON, is too large or is nested too deeply.",
        "json/type": "A value is of no type that JSON has.",
        "json/text": "A text holds a lone surrogate, which is no Unicode.",
        "json/number": "A number has no finite value (NaN, Infinity, or too many digits).",
        "json/repeated-name": "An object names a member twice.",
        "json/name": "The name of a member is not Unicode text.",
        "json/depth": f"The record is nested more than {MAXIMUM_DEPTH} levels deep.",
        "json/size": f"The record holds more than {MAXIMUM_VALUES} values.",
        # Is it of the schema
        "schema/required": "A member that must be given is missing.",
        "schema/additionalProperties": "An object has a member that the schema does not know.",
        "schema/type": "A value is of another type than the schema says.",
        "schema/oneOf": "A value is of none of the forms that may stand there.",
        "schema/enum": "A value is none of the known ones.",
        "schema/pattern": "A text is not of the expected form.",
        "schema/format": "A text is not a date, instant or e-mail address as the schema wants it.",
        "schema/minLength": "A text is too short.",
        "schema/maxLength": "A text is too long.",
        "schema/minimum": "A number is too small.",
        "schema/maximum": "A number is too large.",
        "schema/maxItems": "A list has too many items.",
        "revision-range": f"The revision is higher than {HIGHEST_REVISION}.",
        # Who approved it
        "approval-utc": "The approval instant is not written in UTC.",
        "approval-future": "The approval instant lies in the future.",
        "officer-blank": "The identifier of an officer holds nothing that can be seen.",
        "four-eyes": "Officer and second officer are the same.",
        # Dates
        "date-real": "A date is on no calendar.",
        "birth-future": "The birth date lies in the future.",
        "birth-after-approval": "The birth date lies after the approval or the issue date.",
        "issue-before-approval": "The issue date lies before the day of approval in Riga.",
        "issue-too-late": f"The issue date lies more than {LAST_ISSUE_DAY} days after the day of approval in Riga.",
        "expiry-required": "A document with a chip has no expiry date.",
        "expiry-after-issue": "The expiry date does not lie after the issue date.",
        "expiry-too-late": f"The expiry date lies more than {LONGEST_TERM_YEARS} years after the issue date.",
        "expiry-under-five": (
            f"The holder is under {SHORT_TERM_BELOW_AGE} on the issue date and the expiry date lies more than "
            f"{SHORT_TERM_YEARS} years after it."
        ),
        # The holder
        "personal-code-required": "Certificates are wanted and there is no personal code.",
        "personal-code-check-digit": "The check digit of an old-form personal code is wrong.",
        "personal-code-birth-date": "An old-form personal code and the birth date disagree.",
        "nationality": "The nationality is no code of ICAO 9303-3 section 5.",
        "surname-required": "The surname holds no letter.",
        "given-names-blank": "The given names are there and hold no letter.",
        "name-letters": "A name holds a character that names may not have.",
        "text-nfc": "A text is not in Unicode normalization form C.",
        "text-control": "A text holds a control or other invisible character.",
        # Images
        "image-base64": "An image is not base64 as RFC 4648 section 4 has it.",
        "image-digest": "The digest is not the SHA-256 of the image's bytes.",
        "image-type": "The bytes of an image are not of the stated type.",
        "image-size": "An image declares more pixels than are decoded.",
        "image-decode": "An image does not decode in full.",
        "portrait-type": "The portrait is neither JPEG nor JPEG 2000.",
        "portrait-size": f"The portrait is not of {_PORTRAIT}.",
        "portrait-upright": "The portrait is not higher than wide, or an EXIF orientation turns it.",
        "portrait-colour": "The portrait is neither grey nor RGB of 8 bits a channel.",
        "signature-type": "The signature is WSQ, which is for fingerprints.",
        "fingerprint-type": "A fingerprint is not WSQ.",
        "fingerprint-resolution": f"A fingerprint does not say in its comment that it is of {FINGERPRINT_DPI} dpi.",
        "fingerprint-count": "There is one fingerprint where there must be two or none.",
        "fingerprint-required": "A document with a chip has neither fingerprints nor an exemption.",
        "fingerprint-exemption": (
            f"There are fingerprints and an exemption, or the holder is not below {EXEMPT_BELOW_AGE} on the issue date "
            "and the exemption says under-age."
        ),
        "fingerprint-different": "Both fingerprints are of the same finger, or the same picture.",
        "fingerprint-chipless": "A card without a chip has fingerprints.",
        # What goes together
        "certificates-type": "Certificates are wanted on a type of document that has none.",
        "badge-type": "A badge is wanted with another document than the wwii-participant-card.",
        "delivery-place": "The delivery code is none of the places of its kind on the centre's list.",
    }
)
"""Rule -> when it is raised."""
