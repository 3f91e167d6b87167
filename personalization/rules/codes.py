"""Nationality: the codes of ICAO 9303-3 (8th edition) section 5.

Part A is ISO 3166-1 (`data/iso-3166-1-alpha-3.txt`, 249 codes from Debian's iso-codes) with D in place of DEU and with
the British classes and Kosovo; parts B to E follow. Part F (ANT, NTZ: withdrawn), part G (UTO: specimen) and part H
(IAO: master lists) name nobody who can be given a document now, so they are refused.
"""

from collections.abc import Iterator
from importlib import resources

from personalization.approved_record import Failure
from personalization.rules.view import RecordView

ISO_3166_1 = frozenset(
    resources.files("personalization.rules").joinpath("data/iso-3166-1-alpha-3.txt").read_text("ascii").split()
)
PART_A_OTHERS = frozenset({"D", "GBD", "GBN", "GBO", "GBP", "GBS", "RKS"})
PART_B_RESERVED = frozenset({"EUE"})
PART_C_UNITED_NATIONS = frozenset({"UNO", "UNA", "UNK"})
PART_D_ORGANIZATIONS = frozenset({"XBA", "XIM", "XCC", "XCE", "XCO", "XEC", "XPO", "XES", "XMP", "XOM", "XDC"})
PART_E_WITHOUT_NATIONALITY = frozenset({"XXA", "XXB", "XXC", "XXX"})
NATIONALITIES = (
    ISO_3166_1 - {"DEU"}
    | PART_A_OTHERS
    | PART_B_RESERVED
    | PART_C_UNITED_NATIONS
    | PART_D_ORGANIZATIONS
    | PART_E_WITHOUT_NATIONALITY
)


def nationality_failures(view: RecordView) -> Iterator[Failure]:
    """Failures of /holder/nationality."""
    nationality = view.text("/holder/nationality")
    if nationality is None or nationality in NATIONALITIES:
        return
    # The sentence is the same for every wrong code: one that fitted the code would tell it.
    yield Failure(
        "/holder/nationality",
        "nationality",
        "The nationality is not a code of ICAO 9303-3 section 5 (where Germany is D and a stateless person XXA).",
    )
