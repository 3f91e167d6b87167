"""What the simulated card printer can do, as IPP attributes (RFC 8011 §5.2 and §5.4, PWG 5100.7 media-col)."""

from simulators.ipp_wire import Attribute, Range, Resolution, Tag, Value

MEDIA = "iso_id-1_53.98x85.6mm"
MEDIA_SIZE = (5398, 8560)  # hundredths of a millimetre (PWG 5100.7 media-size)
FORMATS = {"application/pdf": b"%PDF-", "image/pwg-raster": b"RaS2"}
"""The document formats taken, and how their files begin."""


def attribute(
    name: str, tag: Tag, *contents: str | int | bool | Resolution | Range | dict[str, Attribute]
) -> Attribute:
    """An attribute all of whose values have the same tag."""
    return Attribute(name, tuple(Value(tag, content) for content in contents))


def _media_size() -> Attribute:
    x, y = (attribute(f"{axis}-dimension", Tag.INTEGER, size) for axis, size in zip("xy", MEDIA_SIZE, strict=True))
    return attribute("media-size", Tag.BEGIN_COLLECTION, {x.name: x, y.name: y})


_SIZE = _media_size()
_MEDIA_COL: dict[str, Attribute] = {_SIZE.name: _SIZE} | {
    f"media-{side}-margin": attribute(f"media-{side}-margin", Tag.INTEGER, 0)
    for side in ("bottom", "left", "right", "top")
}
_RESOLUTIONS = (Resolution(300, 300, 3), Resolution(600, 600, 3))

JOB_TEMPLATE = (
    attribute("copies-default", Tag.INTEGER, 1),
    attribute("copies-supported", Tag.RANGE, Range(1, 1)),
    attribute("finishings-default", Tag.ENUM, 3),
    attribute("finishings-supported", Tag.ENUM, 3),
    attribute("media-default", Tag.KEYWORD, MEDIA),
    attribute("media-supported", Tag.KEYWORD, MEDIA),
    attribute("media-ready", Tag.KEYWORD, MEDIA),
    attribute("media-col-default", Tag.BEGIN_COLLECTION, _MEDIA_COL),
    attribute("media-col-ready", Tag.BEGIN_COLLECTION, _MEDIA_COL),
    attribute("media-col-supported", Tag.KEYWORD, *_MEDIA_COL),
    attribute("media-size-supported", Tag.BEGIN_COLLECTION, _SIZE.first),  # type: ignore[arg-type]  # a collection
    *(attribute(f"media-{side}-margin-supported", Tag.INTEGER, 0) for side in ("bottom", "left", "right", "top")),
    attribute("orientation-requested-default", Tag.ENUM, 3),
    attribute("orientation-requested-supported", Tag.ENUM, 3),
    attribute("output-bin-default", Tag.KEYWORD, "auto"),
    attribute("output-bin-supported", Tag.KEYWORD, "auto"),
    attribute("print-color-mode-default", Tag.KEYWORD, "color"),
    attribute("print-color-mode-supported", Tag.KEYWORD, "color", "monochrome", "auto"),
    attribute("print-quality-default", Tag.ENUM, 5),
    attribute("print-quality-supported", Tag.ENUM, 4, 5),
    attribute("printer-resolution-default", Tag.RESOLUTION, _RESOLUTIONS[0]),
    attribute("printer-resolution-supported", Tag.RESOLUTION, *_RESOLUTIONS),
    attribute("sides-default", Tag.KEYWORD, "two-sided-long-edge"),
    attribute("sides-supported", Tag.KEYWORD, "one-sided", "two-sided-long-edge", "two-sided-short-edge"),
)
_TEMPLATE = {described.name: described for described in JOB_TEMPLATE}
CREATION_ATTRIBUTES = tuple(name.removesuffix("-default") for name in _TEMPLATE if name.endswith("-default"))

DESCRIPTION = (
    attribute("charset-configured", Tag.CHARSET, "utf-8"),
    attribute("charset-supported", Tag.CHARSET, "utf-8", "us-ascii"),
    attribute("color-supported", Tag.BOOLEAN, True),
    attribute("compression-supported", Tag.KEYWORD, "none"),
    attribute("document-format-default", Tag.MIME_TYPE, "application/pdf"),
    attribute("document-format-supported", Tag.MIME_TYPE, *FORMATS),
    attribute("generated-natural-language-supported", Tag.LANGUAGE, "en"),
    attribute("ipp-versions-supported", Tag.KEYWORD, "1.1", "2.0"),
    attribute("job-creation-attributes-supported", Tag.KEYWORD, "job-name", *CREATION_ATTRIBUTES),
    attribute("natural-language-configured", Tag.LANGUAGE, "en"),
    attribute("operations-supported", Tag.ENUM, 0x02, 0x04, 0x08, 0x09, 0x0A, 0x0B),
    attribute("pages-per-minute", Tag.INTEGER, 60),
    attribute("pages-per-minute-color", Tag.INTEGER, 60),
    attribute("pdl-override-supported", Tag.KEYWORD, "attempted"),
    attribute("printer-device-id", Tag.TEXT, "MFG:Simulated;MDL:ID-1 card printer;CMD:PDF,PWGRaster;"),
    attribute("printer-info", Tag.TEXT, "Simulated card printer"),
    attribute("printer-location", Tag.TEXT, "Loopback"),
    attribute("printer-is-accepting-jobs", Tag.BOOLEAN, True),
    attribute("printer-make-and-model", Tag.TEXT, "Simulated ID-1 card printer"),
    attribute("printer-name", Tag.NAME, "Simulated card printer"),
    attribute("pwg-raster-document-resolution-supported", Tag.RESOLUTION, *_RESOLUTIONS),
    attribute("pwg-raster-document-sheet-back", Tag.KEYWORD, "normal"),
    attribute("pwg-raster-document-type-supported", Tag.KEYWORD, "srgb_8", "sgray_8"),
    attribute("uri-authentication-supported", Tag.KEYWORD, "none"),
    attribute("uri-security-supported", Tag.KEYWORD, "none"),
    attribute("which-jobs-supported", Tag.KEYWORD, "completed", "not-completed", "all"),
)


def unsupported(given: Attribute) -> Attribute | None:
    """What of a job attribute this printer cannot do: the same attribute, or None when it can do all of it."""
    if given.name == "media-col":
        members = given.first if isinstance(given.first, dict) else {}
        size = members.get("media-size", _SIZE)
        fits = set(members) <= set(_MEDIA_COL) and size.first == _SIZE.first
        return None if fits else given
    supported = _TEMPLATE.get(f"{given.name}-supported")
    if supported is None:
        # RFC 8011 §5.1.1: an attribute that is not known at all is answered with the value "unsupported"
        return Attribute(given.name, (Value(Tag.UNSUPPORTED, None),))
    allowed = [value.content for value in supported.values]
    for value in given.values:
        in_range = any(isinstance(a, Range) and a.lower == value.content for a in allowed)
        if value.content not in allowed and not in_range:
            return given
    return None
