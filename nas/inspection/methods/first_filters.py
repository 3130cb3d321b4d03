"""First filters: the kernels of the first convolution, which see the pixels themselves."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from nas.inspection.findings import Findings, Picture, Pictures, left_out
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject
from nas.records import Positive, record


@record
class FirstFilters(Inspection):
    """The kernels of the first convolution: in colour where it reads three channels, else the first channel's, signed.

    Each kernel has its own scale, with grey for 0. At most `most` are shown. As in Krizhevsky et al. 2012,
    doi:10.1145/3065386, figure 3.
    """

    name: ClassVar[str] = "first_filters"
    title: ClassVar[str] = "Filters of the first convolution"
    chapter: ClassVar[Chapter] = "What units respond to"
    most: Positive = 64

    def inspect(self, subject: Subject) -> Findings:
        found = next(((n, each) for n, each in subject.model.named_modules() if isinstance(each, nn.Conv2d)), None)
        if found is None:
            return left_out("the network has no convolution")
        name, convolution = found
        weights = convolution.weight.detach().float().cpu()
        number, channels, height, width = weights.shape
        shown = weights[: self.most]
        scaled = shown / shown.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
        pictures = [
            Picture(each / 2 + 0.5, str(i)) if channels == 3 else Picture(each[0], str(i), "signed")
            for i, each in enumerate(scaled)
        ]
        norms = weights.flatten(1).norm(dim=1)
        reading = (
            f"{len(shown)} of {number} kernels of {height} x {width} for {channels} channel{'s' * (channels > 1)}, in {name}. "
            "Trained ones look like edges and spots; noise is a sign of too little training."
        )
        numbers = {"layer": name, "shape": list(weights.shape), "norms": norms.tolist()}
        return Findings(reading, numbers, (Pictures(tuple(pictures)),))
