"""Whether a finished card is locked for good: nothing can be written, and the personalization key is dead."""

from card_profiles.model import ChipImage, Function
from personalization.inspection.key_proof import CardTalk
from personalization.inspection.reading import EF_SOD, TRAVEL, select_application
from personalization.inspection.steps import InspectionFailed
from personalization.station.apdu import CommandApdu
from personalization.station.contact import Contact
from personalization.station.ports import Command
from personalization.station.session import select_card_manager

_ANY_STATUS = frozenset(range(0x10000))
_CONDITIONS = 0x6985
HOST_CHALLENGE_BYTES = 8


def check_locked(talk: CardTalk, image: ChipImage, contact: Contact) -> str:
    """Card secured, applications personalized, every way of writing refused. Raises `InspectionFailed`."""
    if not contact.secured:
        raise InspectionFailed("The card is not in the state secured.")
    unlocked = {application.aid for application in image.applications if application.files}
    unlocked -= contact.locked_applications()
    if unlocked:
        names = [application.name for application in image.applications if application.aid in unlocked]
        raise InspectionFailed(f"Not locked: {', '.join(names)}.")
    _check_store_data(talk)
    _check_perso_key(talk)
    for application in image.applications:
        _check_update(talk, application.name, application.aid)
    return (
        "The card is secured and its applications are personalized; STORE DATA and UPDATE BINARY without a channel "
        "are refused, and the PERSO key opens no channel any more."
    )


def _check_store_data(talk: CardTalk) -> None:
    # A last block with an empty EF.SOD: what it would do is seen at once, and it belongs to nobody.
    store = CommandApdu(0x80, 0xE2, 0x88, 0x00, EF_SOD.to_bytes(2, "big") + b"\x00")
    install = CommandApdu(0x80, 0xE6, 0x20, 0x00, b"\x00\x00\x07" + talk.aid(TRAVEL) + b"\x00\x00\x00", 256)
    commands = (
        select_card_manager(talk.profile.chip),
        Command(install.encode(), "INSTALL without a channel", _ANY_STATUS),
        Command(store.encode(), "STORE DATA without a channel", _ANY_STATUS),
    )
    for answer in talk.play("lock/store", commands)[1:]:
        _refused(answer.status, "INSTALL or STORE DATA without a channel")


def _check_perso_key(talk: CardTalk) -> None:
    version = talk.profile.chip.key_versions[Function.PERSO]
    update = CommandApdu(0x80, 0x50, version, 0x00, bytes(HOST_CHALLENGE_BYTES), 256)
    commands = (
        select_card_manager(talk.profile.chip),
        Command(update.encode(), "INITIALIZE UPDATE with the PERSO key", _ANY_STATUS),
    )
    # Data sheet §2: 6985 once the card is secured; anything else would be another fault.
    if talk.play("lock/perso", commands)[-1].status != _CONDITIONS:
        raise InspectionFailed("INITIALIZE UPDATE with the PERSO key is not refused as on a secured card.")


def _check_update(talk: CardTalk, application: str, aid: bytes) -> None:
    update = CommandApdu(0x00, 0xD6, 0x00, 0x00, b"\x00")
    by_identifier = CommandApdu(0x00, 0xD6, 0x81, 0x00, b"\x00")
    commands = (
        select_application(aid),
        Command(update.encode(), "UPDATE BINARY", _ANY_STATUS),
        Command(by_identifier.encode(), "UPDATE BINARY by short identifier", _ANY_STATUS),
    )
    for answer in talk.play(f"lock/update/{application}", commands)[1:]:
        _refused(answer.status, f"UPDATE BINARY in {application}")


def _refused(status: int, what: str) -> None:
    # ISO/IEC 7816-4 table 6: 64 to 6F are errors; 90, 61 worked, 62 and 63 are warnings after something was done.
    if not 0x6400 <= status <= 0x6FFF:
        raise InspectionFailed(f"{what} is not refused.")
