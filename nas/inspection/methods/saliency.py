"""Saliency: the pixels whose change would change the score of the class most."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nas.inspection.attribution import attributed, class_scores
from nas.inspection.findings import Findings
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject
from nas.records import record


@record
class Saliency(Inspection):
    """The absolute gradient of the predicted class's logit by each pixel, the largest over the channels.

    The gradient is by the normalised pixel. Source: Simonyan et al. 2013, arXiv:1312.6034, section 3.1.
    """

    name: ClassVar[str] = "saliency"
    title: ClassVar[str] = "Saliency"
    chapter: ClassVar[Chapter] = "What it looks at"

    def inspect(self, subject: Subject) -> Findings:
        maps = saliency(subject, subject.samples)
        reading = (
            "Bright pixels change the logit of the predicted class most: the absolute gradient, largest over channels."
        )
        return attributed(subject, maps, reading, "magnitude")


def saliency(subject: Subject, places: tuple[int, ...]) -> Tensor:
    """Return the saliency maps (B, H, W) of images."""
    x = subject.inputs(places).requires_grad_()
    (gradient,) = torch.autograd.grad(class_scores(subject, x, places), x)
    return gradient.abs().amax(1)
