"""Bad vectors: good to-be-signed octets with one part replaced."""

from collections.abc import Callable

from card_profiles.codecs import der

Item = tuple[str, bool, bytes]
"""An extension: dotted type, critical, DER value."""
Change = Callable[[bytes], bytes]
FIELDS = ("serial", "algorithm", "issuer", "validity", "subject", "key")


def altered(tbs: bytes, **parts: bytes) -> bytes:
    """`tbs` with whole DER parts replaced; `version` is the tagged one, `after_key` is put in after the key."""
    read = list(der.children(der.parse(tbs)))
    version = parts.pop("version", read[0].whole)
    after_key = parts.pop("after_key", b"")
    fields = [parts.pop(name, element.whole) for name, element in zip(FIELDS, read[1:7], strict=True)]
    extensions = parts.pop("extensions", read[7].whole)
    assert not parts
    return der.sequence(version, *fields, after_key, extensions)


def extensions_of(tbs: bytes) -> list[Item]:
    wrapped = der.children(der.parse(tbs))[7]
    items = []
    for element in der.children(der.children(wrapped)[0]):
        parts = der.children(element)
        items.append((der.read_oid(parts[0]), len(parts) == 3, parts[-1].content))
    return items


def with_extensions(tbs: bytes, items: list[Item]) -> bytes:
    written = [
        der.sequence(der.oid(oid), *((der.boolean(True),) if critical else ()), der.octet_string(value))
        for oid, critical, value in items
    ]
    return altered(tbs, extensions=der.explicit(3, der.sequence(*written)))


def without(tbs: bytes, oid: str) -> bytes:
    kept = [item for item in extensions_of(tbs) if item[0] != oid]
    assert len(kept) < len(extensions_of(tbs))
    return with_extensions(tbs, kept)


def replaced(tbs: bytes, oid: str, value: bytes, *, critical: bool | None = None) -> bytes:
    items = extensions_of(tbs)
    assert any(item[0] == oid for item in items)
    changed = [(o, c if critical is None else critical, value) if o == oid else (o, c, v) for o, c, v in items]
    return with_extensions(tbs, changed)


def added(tbs: bytes, oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return with_extensions(tbs, [*extensions_of(tbs), (oid, critical, value)])


def name(*attributes: tuple[str, bytes]) -> bytes:
    """A Name of (dotted type, DER value)."""
    return der.sequence(*[der.encode(der.SET, der.sequence(der.oid(oid), value)) for oid, value in attributes])
