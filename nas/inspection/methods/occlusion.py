"""Occlusion: how the probability of the class falls where a part of the image is covered."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nas.inspection.attribution import attributed
from nas.inspection.findings import Findings
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import BATCH, Subject
from nas.records import Positive, record


@record
class Occlusion(Inspection):
    """The fall of the predicted class's probability when a square of the image is covered with the mean colour.

    The square's side is the image's smaller side by `part`, and moves by a quarter of itself. Each pixel has the mean over the
    squares that cover it. Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2, where the square is grey, and the map
    has a pixel for each place of it.
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    chapter: ClassVar[Chapter] = "What it looks at"
    part: Positive = 4

    def inspect(self, subject: Subject) -> Findings:
        height, width = subject.images.shape[1:]
        side = max(1, min(height, width) // self.part)
        maps = torch.stack([occlusion(subject, place, side, max(1, side // 4)) for place in subject.samples])
        reading = (
            f"A square of {side} x {side} pixels in the mean colour covers a part of the image: red where the probability of the "
            "class falls, blue where it rises."
        )
        return attributed(subject, maps, reading, "signed", is_over=True)


def occlusion(subject: Subject, place: int, side: int, step: int) -> Tensor:
    """Return for each pixel of an image, (H, W), the mean fall of the probability over the squares that cover it."""
    x = subject.inputs([place])
    corners = [(top, left) for top in _starts(x.shape[2], side, step) for left in _starts(x.shape[3], side, step)]
    masks = torch.ones(len(corners), 1, *x.shape[2:], device=x.device)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[:, top : top + side, left : left + side] = 0
    label = int(subject.predicted[place])
    with torch.no_grad():  # 0 is the mean colour of normalised images
        covered = torch.cat(
            [
                subject.model(x * each).softmax(1)[:, label]
                for each in torch.tensor_split(masks, -(-len(masks) // BATCH))
            ]
        )
    fall = float(subject.probabilities[place, label]) - covered
    hidden = 1 - masks[:, 0]
    return ((hidden * fall[:, None, None]).sum(0) / hidden.sum(0)).cpu()


def _starts(size: int, side: int, step: int) -> list[int]:
    """Return where the squares begin; the last ends at the edge."""
    return sorted({*range(0, size - side, step), size - side})
