"""Our own inspection of a finished card, step by step (ICAO 9303-10, 9303-11 and the card profile).

Every step runs whatever the others found; a card that is lost on the way is no verdict but a `CardLost`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from io import BytesIO

from PIL import Image

from card_profiles.codecs.errors import CodecError
from card_profiles.codecs.lds import LDS_VERSION, UNICODE_VERSION, parse_dg1, parse_dg2, parse_dg3, parse_ef_com
from card_profiles.codecs.mrz import parse_td1
from card_profiles.model import CardProfile, ChipImage
from personalization.inspection.certificates import check_certificates
from personalization.inspection.key_proof import CardTalk, RandomBytes, check_final_pin_state, prove_keys
from personalization.inspection.locks import check_locked
from personalization.inspection.reading import CardFiles, read_card
from personalization.inspection.steps import (
    CardSignature,
    Check,
    InspectionFailed,
    JudgeReport,
    NotApplicable,
    Stopwatch,
    run_steps,
)
from personalization.station.contact import Contact, read_contact
from personalization.station.ports import Terminal
from pki.errors import SodRefused
from pki.sod_reading import read_ef_sod, read_security_object
from pki.sod_verification import verify_ef_sod

__all__ = ["Expected", "OwnReport", "check_final_pin_state", "inspect_card"]

FILLER_BYTES = 53


@dataclass(frozen=True, slots=True)
class Expected:
    """What this card must be.

    `atr`, `chip_serial`, `cplc` as bound to the job; `mrz` as printed; `certificates`: slot -> DER as issued, empty
    where none are wanted; `issuing_ca`, `root`, `csca`: DER; `portrait_digest`: SHA-256 of the portrait ordered for
    the chip, `portrait_reencoded`: whether that is another encoding than the record brought; `fingerprints`: ISO/IEC
    19794-2 position -> SHA-256 of the WSQ file; `expires`: the document's last day.
    """

    profile: CardProfile
    image: ChipImage
    atr: bytes
    chip_serial: str
    cplc: bytes
    mrz: tuple[str, ...]
    certificates: Mapping[str, bytes]
    issuing_ca: bytes
    root: bytes
    csca: bytes
    portrait_digest: bytes
    portrait_reencoded: bool
    fingerprints: Mapping[int, bytes]
    expires: date


@dataclass(frozen=True, slots=True)
class OwnReport:
    """Our verdict, what was read, and the signatures that the card made (slot -> digest and signature)."""

    report: JudgeReport
    files: CardFiles


def inspect_card(
    terminal: Terminal,
    expected: Expected,
    *,
    pins: Mapping[str, bytes] | None,
    random_bytes: RandomBytes,
    script_prefix: str,
    fence: int,
) -> OwnReport:
    """Power the card up, read all of it and judge it; `pins`: name -> ASCII digits, None where they are not at hand.

    Leaves PIN counters full. Raises `CardAbsent`, `ReaderGone`, `CardLost`, `ChipRefused` and `AnswerUnreadable` when
    the card cannot be read at all, `StaleFence`.
    """
    watch = Stopwatch()
    contact = read_contact(terminal, expected.profile.chip, script_prefix=f"{script_prefix}/inspect", fence=fence)
    files = read_card(terminal, expected.profile, script_prefix=script_prefix, fence=fence)
    talk = CardTalk(terminal, expected.profile, f"{script_prefix}/inspect", fence)
    proof = _KeyProof(talk, expected, pins, random_bytes)
    checks: tuple[tuple[str, Check], ...] = (
        ("chip identity", lambda: _check_identity(contact, expected)),
        ("EF.COM and EF.SOD lists", lambda: _check_lists(files)),
        ("DG1 is the MRZ", lambda: _check_mrz(files, expected)),
        ("EF.SOD", lambda: _check_sod(files, expected)),
        ("files are the image", lambda: _check_image(files, expected)),
        ("portrait", lambda: _check_portrait(files, expected)),
        ("fingerprints", lambda: _check_fingerprints(files, expected)),
        (
            "certificates",
            lambda: check_certificates(
                files.certificates(expected.profile), expected.certificates, expected.issuing_ca, expected.mrz
            ),
        ),
        ("keys and PINs", proof.check),
        ("locked", lambda: check_locked(talk, expected.image, contact)),
        ("access control", _check_access_control),
    )
    steps = run_steps(checks)
    return OwnReport(JudgeReport("own", steps, proof.signatures, watch.elapsed()), files)


class _KeyProof:
    """Step 9, which also keeps what the card signed for the judges that come after."""

    def __init__(
        self, talk: CardTalk, expected: Expected, pins: Mapping[str, bytes] | None, random_bytes: RandomBytes
    ) -> None:
        self._talk = talk
        self._expected = expected
        self._pins = pins
        self._random_bytes = random_bytes
        self.signatures: dict[str, CardSignature] = {}

    def check(self) -> str:
        if not self._expected.certificates:
            raise NotApplicable("No certificates were ordered, so the card has no keys of the holder.")
        if self._pins is None:
            raise NotApplicable("The PIN values are not at hand.")
        self.signatures.update(prove_keys(self._talk, self._expected.certificates, self._pins, self._random_bytes))
        return (
            f"{len(self.signatures)} keys signed a fresh challenge after their PIN and verify under their "
            f"certificates; of {len(self._pins)} PINs a wrong value was refused and the right one restored the counter."
        )


def _check_identity(contact: Contact, expected: Expected) -> str:
    if contact.atr != expected.atr or contact.atr != expected.profile.chip.atr:
        raise InspectionFailed("The ATR is not the one of the blank and of the profile.")
    if contact.chip_serial != expected.chip_serial:
        raise InspectionFailed("Another chip stands in the reader than the one that the job is bound to.")
    if contact.cplc != expected.cplc:
        raise InspectionFailed("The chip's production data differs from that of the blank.")
    return "ATR, chip serial and production data are those of the blank that the job is bound to."


def _check_lists(files: CardFiles) -> str:
    try:
        common = parse_ef_com(files.ef_com)
        listed = read_security_object(read_ef_sod(files.ef_sod).content)
    except CodecError:
        raise InspectionFailed("EF.COM or EF.SOD cannot be read.") from None
    present = sorted(files.data_groups)
    if list(common.data_groups) != present:
        raise InspectionFailed("EF.COM does not list the data groups that are there.")
    if sorted(listed.hashes) != present:
        raise InspectionFailed("EF.SOD does not list the data groups that are there.")
    versions = {(common.lds_version, common.unicode_version), (listed.lds_version, listed.unicode_version)}
    if versions != {(LDS_VERSION, UNICODE_VERSION)}:
        raise InspectionFailed("The LDS or Unicode versions of EF.COM and EF.SOD are not those of this centre.")
    names = ", ".join(f"DG{number}" for number in present)
    return f"EF.COM, EF.SOD and the files present agree on {names}; LDS {LDS_VERSION}, Unicode {UNICODE_VERSION}."


def _check_mrz(files: CardFiles, expected: Expected) -> str:
    try:
        lines = parse_dg1(files.data_groups.get(1, b""))
        parse_td1(lines)
    except CodecError:
        raise InspectionFailed("DG1 is not a machine readable zone with right check digits.") from None
    if lines != expected.mrz:
        raise InspectionFailed("DG1 differs from the printed machine readable zone.")
    return "DG1 is the printed machine readable zone; its check digits are right."


def _check_sod(files: CardFiles, expected: Expected) -> str:
    try:
        verify_ef_sod(
            files.ef_sod,
            files.data_groups,
            expected.csca,
            document_type_code=expected.profile.mrz.document_code,
            expires=expected.expires,
        )
    except SodRefused as refused:
        raise InspectionFailed(f"EF.SOD fails at step {refused}.") from None
    return "Every hash agrees; EF.SOD is signed by a document signer under the CSCA that may sign this document."


def _check_image(files: CardFiles, expected: Expected) -> str:
    ordered = {
        (application.name, file.fid): (file.name, file.content)
        for application in expected.image.applications
        for file in application.files
    }
    read = {(name, fid): content for name, found in files.files.items() for fid, content in found.items()}
    if missing := [name for place, (name, _) in ordered.items() if place not in read]:
        raise InspectionFailed(f"Missing on the card: {', '.join(missing)}.")
    if len(read) != len(ordered):
        raise InspectionFailed("The card holds a file that was not ordered.")
    if wrong := [name for place, (name, content) in ordered.items() if read[place] != content]:
        raise InspectionFailed(f"Not as ordered: {', '.join(wrong)}.")
    size_bytes = sum(len(content) for content in read.values())
    return f"{len(read)} files, {size_bytes} bytes, are byte for byte the chip image that was ordered."


def _check_portrait(files: CardFiles, expected: Expected) -> str:
    try:
        portrait = parse_dg2(files.data_groups.get(2, b""))
        with Image.open(BytesIO(portrait.data)) as picture:
            picture.load()
            size = picture.size
    except (CodecError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InspectionFailed("The portrait of DG2 does not decode in full.") from None
    if size != (portrait.width_px, portrait.height_px):
        raise InspectionFailed("The portrait has another size than DG2's header says.")
    if hashlib.sha256(portrait.data).digest() != expected.portrait_digest:
        raise InspectionFailed("The portrait is not the one that was ordered for the chip.")
    how = "encoded anew from the record's portrait, which was too large" if expected.portrait_reencoded else "unchanged"
    return f"The portrait decodes, {size[0]} x {size[1]} pixels as its header says, and is the one ordered ({how})."


def _check_fingerprints(files: CardFiles, expected: Expected) -> str:
    try:
        template = parse_dg3(files.data_groups.get(3, b""))
    except CodecError:
        raise InspectionFailed("DG3 cannot be read.") from None
    found = {finger.position: hashlib.sha256(finger.data).digest() for finger in template.fingerprints}
    if found != dict(expected.fingerprints) or len(found) != len(template.fingerprints):
        raise InspectionFailed("DG3 does not hold the fingerprints of the order.")
    if found:
        return f"DG3 holds the {len(found)} fingerprints of the order, unchanged."
    if len(template.filler) != FILLER_BYTES:
        raise InspectionFailed(f"DG3 is empty but not filled with {FILLER_BYTES} random bytes.")
    return f"DG3 is the empty template with {FILLER_BYTES} bytes of filler: no fingerprints were ordered."


def _check_access_control() -> str:
    raise NotApplicable("This profile's travel document reads openly; access control comes with a later version.")
