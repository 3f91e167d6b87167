"""Makes the released font files from Debian's packages; run by hand, only when a new art version needs it.

    python card_profiles/art/fonts/make_fonts.py

Inputs: fonts-ocr-b 0.3~dfsg1-1 (OCRB.otf) and fonts-noto-core 20201225-1 (NotoSans-Regular.ttf, NotoSans-Bold.ttf).
OCRB is converted from cubic (CFF) to quadratic (glyf) outlines, because the PDF writer takes no CFF fonts; Noto Sans
is cut down to Latin, Greek and Cyrillic. The same inputs give the same bytes. Published art names each file's SHA-256:
never change one in place, add a file under a new name.
"""

from pathlib import Path

from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable

DEBIAN_FONTS = Path("/usr/share/fonts")
HERE = Path(__file__).parent
LARGEST_DEVIATION = 0.5  # in units of the em square (1000)
LETTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x250),  # Latin-1, Latin Extended-A and -B
    *range(0x300, 0x362),  # combining marks
    *range(0x370, 0x530),  # Greek and Cyrillic: places of birth come in them
    *range(0x1E00, 0x1F00),  # Latin Extended Additional
    *range(0x2010, 0x2040),  # dashes, quotation marks
    0x20AC,  # euro
]


def convert_ocrb(source: Path, target: Path) -> None:
    """CFF outlines to glyf, metrics and character map as they were."""
    font = TTFont(source, recalcTimestamp=False)
    order = font.getGlyphOrder()
    glyphs = font.getGlyphSet()
    quadratic = {}
    for name in order:
        pen = TTGlyphPen(None)
        glyphs[name].draw(Cu2QuPen(pen, LARGEST_DEVIATION, reverse_direction=True))
        quadratic[name] = pen.glyph()
    glyf = newTable("glyf")
    glyf.glyphOrder = order
    glyf.glyphs = quadratic
    font["loca"] = newTable("loca")
    font["glyf"] = glyf
    for name, (advance, _) in font["hmtx"].metrics.items():
        quadratic[name].recalcBounds(glyf)
        font["hmtx"].metrics[name] = (advance, getattr(quadratic[name], "xMin", 0))
    font["maxp"] = _truetype_maxp(len(order))
    font["post"].formatType = 2.0
    font["post"].extraNames = []
    font["post"].mapping = {}
    font["head"].glyphDataFormat = 0
    for tag in ("CFF ", "FFTM", "GDEF", "GPOS", "GSUB"):
        if tag in font:
            del font[tag]
    font.sfntVersion = "\x00\x01\x00\x00"
    font.save(target)


def _truetype_maxp(glyph_count: int) -> object:
    table = newTable("maxp")
    table.tableVersion = 0x00010000
    table.numGlyphs = glyph_count
    table.maxZones = 1
    for name in (
        "maxTwilightPoints",
        "maxStorage",
        "maxFunctionDefs",
        "maxInstructionDefs",
        "maxStackElements",
        "maxSizeOfInstructions",
        "maxComponentElements",
        "maxComponentDepth",
    ):
        setattr(table, name, 0)
    return table


def cut_noto(source: Path, target: Path) -> None:
    """Only European letters, without hinting and layout tables; names and licence entries stay."""
    font = TTFont(source, recalcTimestamp=False)
    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.notdef_outline = True
    options.name_IDs = ["*"]
    options.recalc_timestamp = False
    worker = subset.Subsetter(options)
    worker.populate(unicodes=LETTERS)
    worker.subset(font)
    font.save(target)


if __name__ == "__main__":
    convert_ocrb(DEBIAN_FONTS / "opentype/ocr-b/OCRB.otf", HERE / "OCRB.ttf")
    cut_noto(DEBIAN_FONTS / "truetype/noto/NotoSans-Regular.ttf", HERE / "NotoSans-Regular.ttf")
    cut_noto(DEBIAN_FONTS / "truetype/noto/NotoSans-Bold.ttf", HERE / "NotoSans-Bold.ttf")
