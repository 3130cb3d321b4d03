"""Confusion matrix: which classes are taken for which."""

from __future__ import annotations

from typing import ClassVar

import torch

from nas.inspection.findings import Findings, Listing, Matrix
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject
from nas.records import Positive, record


@record
class Confusion(Inspection):
    """The number of images of each class that are taken for each class.

    Of more than `most` classes there are the most frequent pairs alone.
    """

    name: ClassVar[str] = "confusion"
    title: ClassVar[str] = "Confusion matrix"
    chapter: ClassVar[Chapter] = "Right and wrong"
    most: Positive = 20

    def inspect(self, subject: Subject) -> Findings:
        counts = confusion(subject)
        right, images = int(counts.trace()), len(subject.images)
        apart = counts.clone().fill_diagonal_(0)
        order = [divmod(i, len(counts)) for i in apart.flatten().argsort(descending=True, stable=True)[:10].tolist()]
        pairs = [(subject.classes[i], subject.classes[j], int(apart[i, j])) for i, j in order if apart[i, j]]
        listing = Listing(
            ("class", "taken for", "images"), tuple((own, other, str(n)) for own, other, n in pairs), ("images",)
        )
        names, is_small = subject.classes, len(subject.classes) <= self.most
        matrix = Matrix("class", "predicted", names, tuple(map(tuple, counts.tolist())))
        reading = f"{right:,} of {images:,} images are right, {100 * right / images:.1f} %."
        numbers = {
            "images": images,
            "right": right,
            "pairs": [{"class": own, "taken_for": other, "images": number} for own, other, number in pairs],
            **({"matrix": counts.tolist()} if is_small else {}),
        }
        return Findings(reading, numbers, (*([matrix] if is_small else []), *([listing] if pairs else [])))


def confusion(subject: Subject) -> torch.Tensor:
    """Return the number of images of class i that are taken for class j at [i, j], int64 (K, K)."""
    classes = len(subject.classes)
    return (subject.images.y * classes + subject.predicted).bincount(minlength=classes**2).view(classes, classes)
