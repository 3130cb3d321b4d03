"""Receptive field: the part of the image that a unit in the middle of each layer sees."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nas.inspection.findings import Findings, Outlines, Picture, Pictures, Rectangle
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.reaches import reaches_of
from nas.inspection.subject import Subject, depths, watched
from nas.records import Positive, record
from nas.tracing import Reach


@record
class ReceptiveField(Inspection):
    """The receptive field of the middle unit of each layer, drawn on an image, and how strongly it sees each pixel.

    The frame is what the unit can see by its kernels and strides. The map is the effective receptive field: the absolute
    gradient of the middle unit, summed over its channels, largest over the image's channels and averaged over the samples.
    Source: Luo et al. 2016, arXiv:1701.04128, equation 1; the paper has images of noise as well.
    """

    name: ClassVar[str] = "receptive_field"
    title: ClassVar[str] = "Receptive field"
    chapter: ClassVar[Chapter] = "From layer to layer"
    layers: Positive = 6

    def inspect(self, subject: Subject) -> Findings:
        names, reaches = list(depths(subject.model, self.layers)), reaches_of(subject)
        effective = effective_fields(subject, names)
        shapes = {name: shape for name, (_, shape) in effective.items()}
        frames = [frame(name, reaches[name], shapes[name]) for name in shapes]
        pictures = [
            Picture(values, _caption(name, reaches[name]), "magnitude") for name, (values, _) in effective.items()
        ]
        numbers = [
            {
                "layer": name,
                "field": list(reaches[name].field),
                "stride": [round(each) for each in reaches[name].stride],
            }
            for name in shapes
        ]
        reading = (
            "Frames: the pixels that the middle unit of a layer can see. "
            "Maps: how strongly it does; the middle of a frame counts more than its edges."
        )
        figures = (Outlines(subject.picture(subject.samples[0]), tuple(frames)), Pictures(tuple(pictures)))
        return Findings(reading, {"layers": numbers}, figures)


def _caption(name: str, reach: Reach) -> str:
    return f"{name}, {reach.field[0]} x {reach.field[1]}"


def frame(name: str, reach: Reach, shape: tuple[int, int]) -> Rectangle:
    """Return what the middle unit of a map of `shape` (h, w) sees; edges are between pixels."""
    edges = []
    for axis in (1, 0):
        middle = shape[axis] // 2 * reach.stride[axis]
        edges.append((reach.first[axis] + middle, reach.last[axis] + middle + 1))
    (left, right), (top, bottom) = edges
    return (_caption(name, reach), left, top, right, bottom)


def effective_fields(subject: Subject, names: list[str]) -> dict[str, tuple[Tensor, tuple[int, int]]]:
    """Return the effective receptive field (H, W) of the middle unit of some layers, with the size (h, w) of their maps."""
    x = subject.inputs(subject.samples).requires_grad_()
    found = {}
    with watched({name: part for name, part in depths(subject.model).items() if name in names}) as maps:
        subject.model(x)
        for name, values in maps.items():
            height, width = values.shape[2:]
            unit = values[:, :, height // 2, width // 2].sum()
            (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
            found[name] = (gradient.abs().amax(1).mean(0).cpu(), (height, width))
    return found
