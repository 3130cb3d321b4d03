"""Grad-CAM: the places of the deepest map that speak for the class."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nas.inspection.attribution import attributed, class_scores
from nas.inspection.findings import Findings, left_out
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject, depths, maps_of, watched
from nas.records import record


@record
class GradCam(Inspection):
    """The channels of the deepest map, each weighted by the mean gradient of the predicted class's logit by it, and rectified.

    The map is the last before the head that has more than one pixel, scaled bilinearly to the image.
    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
    """

    name: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    chapter: ClassVar[Chapter] = "What it looks at"

    def inspect(self, subject: Subject) -> Findings:
        shapes = {name: each.shape for name, each in maps_of(subject, subject.inputs(slice(1))).items()}
        spatial = [name for name, shape in shapes.items() if shape[2:].numel() > 1]
        if not spatial:
            return left_out("no map of the network has more than one pixel")
        part = spatial[-1]
        maps = grad_cam(subject, subject.samples, part)
        height, width = shapes[part][2:]
        reading = f"Where the last map, {part} of {height} x {width} pixels, speaks for the predicted class."
        scaled = functional.interpolate(maps[:, None], subject.images.shape[1:], mode="bilinear", align_corners=False)
        return attributed(subject, scaled[:, 0], reading, "magnitude", is_over=True)


def grad_cam(subject: Subject, places: tuple[int, ...], part: str) -> Tensor:
    """Return the class activation maps (B, h, w) of images, in the size of the map of a part of the network."""
    x = subject.inputs(places).requires_grad_()
    with watched({part: depths(subject.model)[part]}) as maps:
        score = class_scores(subject, x, places)
        (gradient,) = torch.autograd.grad(score, maps[part])
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * maps[part]).sum(1).relu().detach()
