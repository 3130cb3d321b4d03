"""Shifted images: convolutions move with the image, and pooling makes the network forget where things are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from nas.inspection.findings import Chart, Findings, left_out
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.reaches import reaches_of
from nas.inspection.subject import BATCH, Subject, depths, watched
from nas.records import Positive, record


@record
class Shifts(Inspection):
    """How much the features of each layer, and the predictions, change when the image moves to the right.

    The image is rolled: what leaves it at the right enters at the left. Three distances between the features of the moved and of
    the unmoved image are in percent of that between two images: of the map as it is; of the map moved along, 0 where the layer is
    equivariant; of the mean over the map, 0 where that is invariant. The image moves by a whole number of pixels of every map, at
    most `most`. A second chart has the share of predictions that stay, which Zhang 2019 calls consistency.
    Source: Zhang 2019, arXiv:1904.11486, sections 3.1 and 4, whose distance is by the cosine.
    """

    name: ClassVar[str] = "shifts"
    title: ClassVar[str] = "Shifted images"
    chapter: ClassVar[Chapter] = "From layer to layer"
    most: Positive = 8
    images: Positive = 128

    def inspect(self, subject: Subject) -> Findings:
        width = subject.images.shape[2]
        strides = {name: max(1, round(each.stride[1])) for name, each in reaches_of(subject).items()}
        known = {name: stride for name, stride in strides.items() if stride <= min(self.most, width // 2)}
        if not known:
            return left_out(f"the images are {width} pixels wide, too few to move them")
        step = max(known.values())
        names = [name for name in depths(subject.model, 8) if step % known.get(name, step + 1) == 0]
        x = torch.cat([subject.inputs(slice(i, i + BATCH)) for i in range(0, self.images, BATCH)])
        found = distances(subject, x, step, {name: known[name] for name in names})
        stays = {pixels: agreement(subject, x, pixels) for pixels in range(min(self.most, width // 2) + 1)}
        last = list(found.values())[-1]
        reading = (
            f"The image moves {step} pixels to the right. Of what another image changes, the last map changes "
            f"{last[KINDS[0]]:.0f} %, moved along {last[KINDS[1]]:.0f} % (0 is equivariance), and its mean "
            f"{last[KINDS[2]]:.0f} % (0 is invariance). {stays[1]:.1f} % of {len(x)} predictions stay after one pixel."
        )
        layers = [{"layer": name, "change_percent": each} for name, each in found.items()]
        moves = [{"pixels": pixels, "stay_percent": each} for pixels, each in stays.items()]
        numbers = {"pixels": step, "layers": layers, "predictions": moves}
        return Findings(reading, numbers, (_layer_chart(found), _prediction_chart(stays)))


def _layer_chart(found: Mapping[str, Mapping[str, float]]) -> Chart:
    lines = {kind: tuple((float(i), each[kind]) for i, each in enumerate(found.values())) for kind in KINDS}
    return Chart("layer", "change, %", lines, tuple(found))


def _prediction_chart(stays: Mapping[int, float]) -> Chart:
    points = tuple((float(pixels), each) for pixels, each in stays.items())
    return Chart("pixels to the right", "predictions that stay, %", {"": points})


KINDS = ("map", "map moved along", "mean over the map")


def distances(subject: Subject, x: Tensor, pixels: int, strides: dict[str, int]) -> dict[str, dict[str, float]]:
    """Return how much each layer changes when images x, (B, C, H, W), move: each of KINDS, in percent of that between images."""
    parts = {name: part for name, part in depths(subject.model).items() if name in strides}
    with torch.no_grad(), watched(parts) as maps:
        subject.model(x)
        before = dict(maps)
        subject.model(x.roll(pixels, 3))
    found = {}
    for name, after in maps.items():
        old, along = before[name], before[name].roll(pixels // strides[name], 3)
        means = after.mean((2, 3)), old.mean((2, 3))
        pairs = dict(zip(KINDS, ((after, old), (after, along), means), strict=True))
        found[name] = {kind: 100 * _relative(new, base) for kind, (new, base) in pairs.items()}
    return found


def _relative(new: Tensor, base: Tensor) -> float:
    """Return the root mean square distance of features from those of the same images, divided by that between images."""
    between = 2 * (base - base.mean(0)).square().sum()
    return float(((new - base).square().sum() / between.clamp(min=1e-12)).sqrt())


def agreement(subject: Subject, x: Tensor, pixels: int) -> float:
    """Return the share, in percent, of images x, (B, C, H, W), the first of the subject, whose prediction stays."""
    with torch.no_grad():
        after = torch.cat(
            [subject.model(each.roll(pixels, 3)).argmax(1).cpu() for each in torch.tensor_split(x, -(-len(x) // BATCH))]
        )
    return 100 * float((after == subject.predicted[: len(x)]).float().mean())
