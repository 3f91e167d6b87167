"""Fine line patterns of the card's background: the same curves for every card, so they are computed once."""

import math
from functools import lru_cache

from reportlab.pdfgen.pathobject import PDFPathObject

CURVES = 22
POINTS_PER_CURVE = 44
ROSETTE_PETALS = (7, 11, 13)
ROSETTE_TURNS = 4
POINTS_PER_PETAL = 8


@lru_cache(maxsize=32)
def waves(width: float, height: float) -> tuple[PDFPathObject, ...]:
    """A band of crossing waves over a rectangle from the origin, sizes in points."""
    return tuple(
        _traced(
            [
                _wave(step / POINTS_PER_CURVE, 2 * math.pi * curve / CURVES, width, height)
                for step in range(POINTS_PER_CURVE + 1)
            ]
        )
        for curve in range(CURVES)
    )


@lru_cache(maxsize=32)
def rosette(width: float, height: float) -> tuple[PDFPathObject, ...]:
    """Nested rosettes in the middle of a rectangle from the origin, sizes in points."""
    radius = min(width, height) / 2
    paths = []
    for petals in ROSETTE_PETALS:
        for turn in range(ROSETTE_TURNS):
            offset = turn * math.pi / (2 * petals)
            steps = petals * POINTS_PER_PETAL
            points = (_petal(2 * math.pi * step / steps, petals, offset) for step in range(steps + 1))
            paths.append(_traced([(width / 2 + radius * x, height / 2 + radius * y) for x, y in points]))
    return tuple(paths)


def _wave(along: float, phase: float, width: float, height: float) -> tuple[float, float]:
    swing = 0.34 * math.sin(4 * math.pi * along + phase) + 0.16 * math.sin(10 * math.pi * along - 2 * phase)
    return along * width, height * (0.5 + swing)


def _petal(angle: float, petals: int, offset: float) -> tuple[float, float]:
    radius = 0.62 + 0.38 * math.cos(petals * angle + offset * petals)
    return radius * math.cos(angle), radius * math.sin(angle)


def _traced(points: list[tuple[float, float]]) -> PDFPathObject:
    """A smooth curve through the points (Catmull-Rom as Bézier pieces)."""
    path = PDFPathObject()
    path.moveTo(*_rounded(points[0]))
    for index in range(len(points) - 1):
        before, start = points[max(index - 1, 0)], points[index]
        end, after = points[index + 1], points[min(index + 2, len(points) - 1)]
        leaving = start[0] + (end[0] - before[0]) / 6, start[1] + (end[1] - before[1]) / 6
        arriving = end[0] - (after[0] - start[0]) / 6, end[1] - (after[1] - start[1]) / 6
        path.curveTo(*_rounded(leaving), *_rounded(arriving), *_rounded(end))
    return path


def _rounded(point: tuple[float, float]) -> tuple[float, float]:
    # A hundredth of a point is a twelfth of a pixel at 600 dpi; more digits only make the document larger.
    return round(point[0], 2), round(point[1], 2)
