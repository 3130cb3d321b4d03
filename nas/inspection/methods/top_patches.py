"""Top patches: the parts of images to which single units respond most."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import ClassVar

import torch
from torch import Tensor

from nas.inspection.findings import Findings, Picture, Pictures
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.reaches import reaches_of
from nas.inspection.subject import Subject, depths, watched
from nas.records import Positive, record
from nas.tracing import Reach


@record
class TopPatches(Inspection):
    """The parts of images to which a unit responds most: one an image, as large as what the unit can see.

    The layers are the last, and at most `layers` of those whose units see no more than the image. Of each there are the `units`
    channels whose largest responses differ most between images, with `patches` patches each. Beyond the image a patch has the
    mean colour. Source: Zeiler and Fergus 2014, arXiv:1311.2901, figure 2.
    """

    name: ClassVar[str] = "top_patches"
    title: ClassVar[str] = "Patches that units respond to most"
    chapter: ClassVar[Chapter] = "What units respond to"
    layers: Positive = 3
    units: Positive = 4
    patches: Positive = 8

    def inspect(self, subject: Subject) -> Findings:
        reaches = reaches_of(subject)
        rows, numbers = [], []
        for name, found in strongest(subject, self.chosen(subject, reaches)).items():
            deviation = found.largest.std(0, correction=0)
            for unit in deviation.argsort(descending=True, stable=True)[: self.units].tolist():
                order = found.largest[:, unit].argsort(descending=True, stable=True)[: self.patches].tolist()
                patches = [Picture(patch(subject, place, reaches[name], found.at(place, unit))) for place in order]
                field = " x ".join(map(str, reaches[name].field))
                rows.append(Pictures(tuple(patches), f"{name}, unit {unit}: sees {field} pixels", self.patches))
                images = [subject.numbers[place] for place in order]
                values = found.largest[order, unit].tolist()
                numbers.append({"layer": name, "unit": unit, "images": images, "responses": values})
        reading = f"Each row: the patches of {len(subject.images):,} images to which one unit responds most, the strongest first."
        return Findings(reading, {"units": numbers}, tuple(rows))

    def chosen(self, subject: Subject, reaches: dict[str, Reach]) -> list[str]:
        """Return the names of the layers: an even selection of those whose units see a part of the image, and the last."""
        side = min(subject.images.shape[1:])
        small = [name for name, each in reaches.items() if max(each.field) <= side]
        last = [list(reaches)[-1]]
        if len(small) <= self.layers:
            return [*small, *(last if last != small[-1:] else [])]
        spread = [small[(i + 1) * len(small) // self.layers - 1] for i in range(self.layers)]
        return [*spread, *(last if last != spread[-1:] else [])]


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """The largest response of each channel of a layer in each image, (N, C), and its place in the map, of a given width."""

    largest: Tensor
    places: Tensor
    width: int

    def at(self, image: int, unit: int) -> tuple[int, int]:
        """Return the row and the column in the map of the largest response."""
        row, column = divmod(int(self.places[image, unit]), self.width)
        return row, column


def strongest(subject: Subject, names: list[str]) -> dict[str, Responses]:
    """Return the largest responses of some layers to all images."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    widths: dict[str, int] = {}
    parts = {name: part for name, part in depths(subject.model).items() if name in names}
    with torch.no_grad(), watched(parts) as maps:
        for batch in subject.batches():
            subject.model(batch)
            for name, values in maps.items():
                largest, places = values.flatten(2).max(2)
                found.setdefault(name, []).append((largest.cpu(), places.cpu()))
                widths[name] = values.shape[3]
    return {
        name: Responses(torch.cat([largest for largest, _ in each]), torch.cat([at for _, at in each]), widths[name])
        for name, each in found.items()
    }


def patch(subject: Subject, place: int, reach: Reach, unit: tuple[int, int]) -> Tensor:
    """Return what the unit at a place of a map sees of an image, (C, h, w); the whole image where it sees as much."""
    image = subject.picture(place)
    size = image.shape[1:]
    edges = [seen(reach, unit[axis], axis) for axis in (0, 1)]
    if all(last - first >= whole for (first, last), whole in zip(edges, size, strict=True)):
        return image
    (top, bottom), (left, right) = edges
    mean = subject.denormalised(torch.zeros(len(subject.mean), bottom - top, right - left))
    rows, columns = slice(max(top, 0), min(bottom, size[0])), slice(max(left, 0), min(right, size[1]))
    part = image[:, rows, columns]
    mean[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    return mean


def seen(reach: Reach, place: int, axis: int) -> tuple[int, int]:
    """Return the first pixel that a unit sees along an axis, and the one after the last; they may be beyond the image."""
    middle = place * reach.stride[axis]
    return floor(reach.first[axis] + middle), ceil(reach.last[axis] + middle) + 1
