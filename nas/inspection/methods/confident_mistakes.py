"""Confident mistakes: the wrong answers of which the network is surest."""

from __future__ import annotations

from typing import ClassVar

from nas.inspection.findings import Findings, Picture, Pictures
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject
from nas.records import Positive, record


@record
class ConfidentMistakes(Inspection):
    """The misclassified images with the highest probability of their wrong class."""

    name: ClassVar[str] = "confident_mistakes"
    title: ClassVar[str] = "Most confident mistakes"
    chapter: ClassVar[Chapter] = "Right and wrong"
    most: Positive = 12

    def inspect(self, subject: Subject) -> Findings:
        wrong = (subject.predicted != subject.images.y).nonzero().flatten()
        if not len(wrong):
            return Findings(f"None of {len(subject.images):,} images is misclassified.", {"mistakes": []})
        sure = subject.probabilities.amax(1)
        order = wrong[sure[wrong].argsort(descending=True, stable=True)][: self.most].tolist()
        pictures = tuple(Picture(subject.picture(place), subject.described(place)) for place in order)
        numbers = [
            {
                "image": subject.numbers[place],
                "class": subject.classes[int(subject.images.y[place])],
                "taken_for": subject.classes[int(subject.predicted[place])],
                "probability": float(sure[place]),
            }
            for place in order
        ]
        reading = (
            f"The {len(order)} surest of {len(wrong):,} mistakes. Look for wrong labels, for images that could be either, "
            "and for what else the network may have gone by."
        )
        return Findings(reading, {"mistakes": numbers}, (Pictures(pictures),))
