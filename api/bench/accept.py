"""Accepting records (all of `Intake.pull`, its full check included) beside decoding their pictures alone."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy
import wsq  # noqa: F401 - Pillow learns the format of fingerprints by it
from PIL import Image

from api.bench.figure import Turns
from api.bench.records import Numbers, makeable, take_in
from api.bench.workbench import Bench, Spent, spend


def accepting(bench: Bench, folder: Path, numbers: Numbers, cards: int, rounds: int) -> dict[str, object]:
    """Both sides in turns over the same records, in this process."""
    pictures = [list(_pictures(record)) for record in makeable(folder)]
    ours: list[Spent] = []
    reference: list[Spent] = []
    for _ in range(rounds):
        first = numbers.take(cards)
        ours.append(take_in(bench, folder, first, cards))
        reference.append(_decode([pictures[number % len(pictures)] for number in range(first, first + cards)]))
    turns = Turns(tuple(ours), tuple(reference))
    return {"unit": "ms a record", "reference": "Pillow and wsq decoding the same pictures", **turns.to_json()}


def _decode(records: list[list[bytes]]) -> Spent:
    def work() -> int:
        for pictures in records:
            for data in pictures:
                with Image.open(io.BytesIO(data)) as image:
                    numpy.asarray(image)
        return len(records)

    return spend(work)


def _pictures(record: Any) -> list[bytes]:
    images = record["images"]
    found = [images["portrait"], images.get("signature"), *(finger["image"] for finger in images["fingerprints"])]
    return [base64.b64decode(each["data"]) for each in found if each]
