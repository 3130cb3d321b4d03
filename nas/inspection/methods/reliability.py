"""Reliability: whether the network is right as often as it says."""

from __future__ import annotations

from typing import ClassVar

from nas.inspection.findings import Chart, Findings
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject
from nas.records import record
from nas.training.calibration import BINS, calibration_of, count_by_confidence


@record
class Reliability(Inspection):
    """The accuracy of the images in each of 15 bins of confidence, and the expected calibration error.

    Source: Guo et al. 2017, arXiv:1706.04599, figure 1 and equation 3.
    """

    name: ClassVar[str] = "calibration"
    title: ClassVar[str] = "Calibration"
    chapter: ClassVar[Chapter] = "Right and wrong"

    def inspect(self, subject: Subject) -> Findings:
        found = calibration_of(count_by_confidence(subject.logits, subject.predicted == subject.images.y))
        accuracy = 100 * sum(found.right) / sum(found.images)
        sure = 100 * sum(found.confidence) / sum(found.images)
        filled = [i for i, images in enumerate(found.images) if images]
        points = tuple(
            (100 * found.confidence[i] / found.images[i], 100 * found.right[i] / found.images[i]) for i in filled
        )
        bars = tuple((100 * (i + 0.5) / BINS, float(images)) for i, images in enumerate(found.images))
        chart = Chart("confidence, %", "accuracy, %", {"the network": points}, diagonal=True, bars=bars)
        tends = "more" if sure > accuracy else "less"
        reading = (
            f"Expected calibration error {found.error_percent:.2f} %: on average the network is {sure:.1f} % sure and "
            f"{accuracy:.1f} % right, {tends} sure than right. Below the diagonal it is too sure. Bars: images."
        )
        bins = [
            {"images": images, "right": right, "mean_confidence_percent": 100 * sure / images}
            for images, right, sure in zip(found.images, found.right, found.confidence, strict=True)
            if images
        ]
        return Findings(reading, {"calibration_error_percent": found.error_percent, "bins": bins}, (chart,))
