"""Card profiles: from the released TOML files to checked `CardProfile` values."""

from functools import cache

from card_profiles.art_layout import load_art
from card_profiles.chip_layout import ChipLayout, PinSlot, load_chip_layout
from card_profiles.errors import ProfileRefused
from card_profiles.model import CardProfile, KeyOrigin, KeySpec, MrzSpec, PinSpec, PinState, ProfileId
from card_profiles.released import Kind, read_released, released_ids
from card_profiles.table import Table

_RELEASED_NAME = r"[a-z0-9-]+@[1-9][0-9]*"
_SPECIMEN = "specimen"
_PRODUCTION = "production"


def published() -> tuple[ProfileId, ...]:
    """Ids of all published card profiles."""
    return tuple(ProfileId(identifier) for identifier in released_ids(Kind.PROFILE))


def profile_for(document_type: str, *, specimen: bool) -> CardProfile | None:
    """The newest published version for a document type, or None when the centre makes no such card."""
    found = [load_profile(identifier) for identifier in published()]
    fitting = [one for one in found if one.document_type == document_type and one.specimen == specimen]
    return max(fitting, key=lambda one: int(one.id.partition("@")[2]), default=None)


@cache
def load_profile(profile_id: str) -> CardProfile:
    """The published profile `name@version`. Raises `UnknownProfile` or `ProfileRefused`."""
    values = read_released(Kind.PROFILE, profile_id)
    return read_profile(profile_id, Table(values, f"card profile {profile_id}"))


def read_profile(profile_id: str, table: Table) -> CardProfile:
    """Checks a profile as written, with the chip layout and the art it names. Raises `ProfileRefused`."""
    document_type = table.text("document_type", r"[a-z0-9-]+")
    specimen = table.flag(_SPECIMEN)
    if profile_id.partition("@")[0] != document_type + ("-specimen" if specimen else ""):
        raise table.refuse("the file is not named after its document type")
    layout = load_chip_layout(table.text("chip", _RELEASED_NAME))
    with table.table("title") as title:
        title_lv, title_en = title.text("lv"), title.text("en")
    profile = CardProfile(
        id=ProfileId(profile_id),
        document_type=document_type,
        specimen=specimen,
        title_lv=title_lv,
        title_en=title_en,
        number_prefixes=table.texts("number_prefixes", r"[A-Z]{2}"),
        certificate_authorities=table.text("certificate_authorities", f"{_PRODUCTION}|{_SPECIMEN}"),
        chip=layout.chip,
        applications=layout.applications,
        keys=_read_keys(table, layout),
        pins=_read_pins(table, layout, specimen),
        mrz=_read_mrz(table),
        portrait_maximum_bytes=table.number("portrait_maximum_bytes", 4_000, 60_000),
        face=load_art(table.text("art", _RELEASED_NAME), {"title_lv": title_lv, "title_en": title_en}),
    )
    table.finish()
    _check_apart(table, profile)
    return profile


def _read_keys(table: Table, layout: ChipLayout) -> tuple[KeySpec, ...]:
    keys = []
    with table.table("keys") as slots:
        for slot in layout.keys:
            with slots.table(slot.slot) as values:
                key = KeySpec(
                    slot=slot.slot,
                    application=slot.application,
                    reference=slot.reference,
                    curve=values.text("curve"),
                    origin=values.choice("origin", KeyOrigin),
                    certificate_profile=values.text("certificate_profile", _RELEASED_NAME),
                    certificate_file=slot.certificate_file,
                )
                if key.curve not in layout.chip.key_algorithms:
                    raise values.refuse(f"the chip has no keys on {key.curve}")
            keys.append(key)
    return tuple(keys)


def _read_pins(table: Table, layout: ChipLayout, specimen: bool) -> tuple[PinSpec, ...]:
    pins = []
    with table.table("pins") as names:
        for slot in layout.pins:
            with names.table(slot.name) as values:
                pins.append(_read_pin(values, slot, specimen))
    return tuple(pins)


def _read_pin(values: Table, slot: PinSlot, specimen: bool) -> PinSpec:
    state = values.choice("final_state", PinState)
    value = values.text("value", r"[0-9]+") if "value" in values else None
    if value is not None and not specimen:
        raise values.refuse("value: only specimens have PINs that are known")
    if value is not None and not slot.minimum_digits <= len(value) <= slot.maximum_digits:
        raise values.refuse("value has too few or too many digits")
    if state is PinState.ACTIVE and value is None:
        raise values.refuse("an active PIN that nobody knows is of no use")
    return PinSpec(
        slot.name, slot.reference, slot.minimum_digits, slot.maximum_digits, slot.maximum_tries, state, value
    )


def _read_mrz(table: Table) -> MrzSpec:
    with table.table("mrz") as values:
        return MrzSpec(
            format=values.text("format", "TD1"),
            # ICAO 9303-5 §4.2.2: A, C or I; V never stands second
            document_code=values.text("document_code", r"[ACI][A-UW-Z<]"),
            issuing_state=values.text("issuing_state", r"[A-Z<]{3}"),
        )


def _check_apart(table: Table, profile: CardProfile) -> None:
    """Specimen and production never share authorities, and a specimen says so on both sides."""
    if profile.certificate_authorities != (_SPECIMEN if profile.specimen else _PRODUCTION):
        raise table.refuse("certificate_authorities of the other kind")
    marked = {item.side for item in profile.face.items if item.kind == _SPECIMEN}
    if marked != ({"front", "back"} if profile.specimen else set()):
        raise ProfileRefused(f"{table.where}: specimens, and only they, carry the specimen mark on both sides")
