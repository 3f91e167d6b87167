"""Nationality: the codes of ICAO 9303-3 (8th edition) section 5.

Part A is ISO 3166-1 (taken from Debian's iso-codes 4.x, 249 entries) with D in place of DEU and with the British
classes and Kosovo; parts B to E follow. Part F (ANT, NTZ: withdrawn), part G (UTO: specimen) and part H (IAO: master
lists) name nobody who can be given a document now, so they are refused.
"""

from collections.abc import Iterator

from personalization.approved_record import Failure
from personalization.rules.view import RecordView

ISO_3166_1 = frozenset(
    ["ABW", "AFG", "AGO", "AIA", "ALA", "ALB", "AND", "ARE", "ARG", "ARM", "ASM", "ATA", "ATF", "ATG", "AUS", "AUT", "AZE", "BDI", "BEL", "BEN", "BES", "BFA", "BGD", "BGR", "BHR", "BHS", "BIH", "BLM", "BLR", "BLZ", "BMU", "BOL", "BRA", "BRB", "BRN", "BTN", "BVT", "BWA", "CAF", "CAN", "CCK", "CHE", "CHL", "CHN", "CIV", "CMR", "COD", "COG", "COK", "COL", "COM", "CPV", "CRI", "CUB", "CUW", "CXR", "CYM", "CYP", "CZE", "DJI", "DMA", "DNK", "DOM", "DZA", "ECU", "EGY", "ERI", "ESH", "ESP", "EST", "ETH", "FIN", "FJI", "FLK", "FRA", "FRO", "FSM", "GAB", "GBR", "GEO", "GGY", "GHA", "GIB", "GIN", "GLP", "GMB", "GNB", "GNQ", "GRC", "GRD", "GRL", "GTM", "GUF", "GUM", "GUY", "HKG", "HMD", "HND", "HRV", "HTI", "HUN", "IDN", "IMN", "IND", "IOT", "IRL", "IRN", "IRQ", "ISL", "ISR", "ITA", "JAM", "JEY", "JOR", "JPN", "KAZ", "KEN", "KGZ", "KHM", "KIR", "KNA", "KOR", "KWT", "LAO", "LBN", "LBR", "LBY", "LCA", "LIE", "LKA", "LSO", "LTU", "LUX", "LVA", "MAC", "MAF", "MAR", "MCO", "MDA", "MDG", "MDV", "MEX", "MHL", "MKD", "MLI", "MLT", "MMR", "MNE", "MNG", "MNP", "MOZ", "MRT", "MSR", "MTQ", "MUS", "MWI", "MYS", "MYT", "NAM", "NCL", "NER", "NFK", "NGA", "NIC", "NIU", "NLD", "NOR", "NPL", "NRU", "NZL", "OMN", "PAK", "PAN", "PCN", "PER", "PHL", "PLW", "PNG", "POL", "PRI", "PRK", "PRT", "PRY", "PSE", "PYF", "QAT", "REU", "ROU", "RUS", "RWA", "SAU", "SDN", "SEN", "SGP", "SGS", "SHN", "SJM", "SLB", "SLE", "SLV", "SMR", "SOM", "SPM", "SRB", "SSD", "STP", "SUR", "SVK", "SVN", "SWE", "SWZ", "SXM", "SYC", "SYR", "TCA", "TCD", "TGO", "THA", "TJK", "TKL", "TKM", "TLS", "TON", "TTO", "TUN", "TUR", "TUV", "TWN", "TZA", "UGA", "UKR", "UMI", "URY", "USA", "UZB", "VAT", "VCT", "VEN", "VGB", "VIR", "VNM", "VUT", "WLF", "WSM", "YEM", "ZAF", "ZMB", "ZWE"]
)
PART_A_OTHERS = frozenset({"D", "GBD", "GBN", "GBO", "GBP", "GBS", "RKS"})
PART_B_RESERVED = frozenset({"EUE"})
PART_C_UNITED_NATIONS = frozenset({"UNO", "UNA", "UNK"})
PART_D_ORGANIZATIONS = frozenset(
    {"XBA", "XIM", "XCC", "XCE", "XCO", "XEC", "XPO", "XES", "XMP", "XOM", "XDC"}
)
PART_E_WITHOUT_NATIONALITY = frozenset({"XXA", "XXB", "XXC", "XXX"})
NATIONALITIES = (
    ISO_3166_1
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
