"""Fine line patterns of the card's background: the same curves for every card, so they are computed once.

A curve that is another one turned is written as that, so that its numbers are the same and compress to nearly nothing:
the patterns are in every card's face, and would be most of it.
"""

import math
from functools import lru_cache

from personalization.pdf import numbers

CURVES = 22
POINTS_PER_CURVE = 44
ROSETTE_PETALS = (7, 11, 13)
ROSETTE_TURNS = 4
POINTS_PER_PETAL = 8


@lru_cache(maxsize=32)
def waves(width: float, height: float) -> str:
    """A band of crossing waves over a rectangle from the origin, sizes in points: operators that stroke it."""
    strokes = []
    for curve in range(CURVES // 2 + 1):
        phase = 2 * math.pi * curve / CURVES
        steps = range(POINTS_PER_CURVE + 1)
        path = _traced([_wave(step / POINTS_PER_CURVE, phase, width, height) for step in steps])
        strokes.append(f"{path} S")
        if 0 < curve < CURVES / 2:  # the curve of the opposite phase is this one, turned by half around the middle
            strokes.append(f"q -1 0 0 -1 {_numbers((width, height))} cm {path} S Q")
    return "\n".join(strokes)


@lru_cache(maxsize=32)
def rosette(width: float, height: float) -> str:
    """Nested rosettes in the middle of a rectangle from the origin, sizes in points: operators that stroke them."""
    radius = min(width, height) / 2
    strokes = []
    for petals in ROSETTE_PETALS:
        steps = petals * POINTS_PER_PETAL
        points = (_petal(2 * math.pi * step / steps, petals) for step in range(steps + 1))
        path = _traced([(radius * x, radius * y) for x, y in points])
        for turn in range(ROSETTE_TURNS):
            cosine, sine = math.cos(turn * math.pi / (2 * petals)), -math.sin(turn * math.pi / (2 * petals))
            turned = f"{cosine:.6f} {sine:.6f} {-sine:.6f} {cosine:.6f}"
            strokes.append(f"q {turned} {_numbers((width / 2, height / 2))} cm {path} S Q")
    return "\n".join(strokes)


def _wave(along: float, phase: float, width: float, height: float) -> tuple[float, float]:
    swing = 0.34 * math.sin(4 * math.pi * along + phase) + 0.16 * math.sin(10 * math.pi * along - 2 * phase)
    return along * width, height * (0.5 + swing)


def _petal(angle: float, petals: int) -> tuple[float, float]:
    radius = 0.62 + 0.38 * math.cos(petals * angle)
    return radius * math.cos(angle), radius * math.sin(angle)


def _traced(points: list[tuple[float, float]]) -> str:
    """A smooth curve through the points (Catmull-Rom as Bézier pieces; ISO 32000-1 §8.5.2)."""
    pieces = [f"{_numbers(points[0])} m"]
    for index in range(len(points) - 1):
        before, start = points[max(index - 1, 0)], points[index]
        end, after = points[index + 1], points[min(index + 2, len(points) - 1)]
        leaving = start[0] + (end[0] - before[0]) / 6, start[1] + (end[1] - before[1]) / 6
        arriving = end[0] - (after[0] - start[0]) / 6, end[1] - (after[1] - start[1]) / 6
        pieces.append(f"{_numbers(leaving, arriving, end)} c")
    return " ".join(pieces)


def _numbers(*points: tuple[float, float]) -> str:
    # A hundredth of a point is a twelfth of a pixel at 600 dpi; more digits only make the document larger.
    return numbers(*(round(value, 2) for point in points for value in point))
