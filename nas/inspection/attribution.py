"""Attribution: the score of a class as a function of the image, and maps of it next to the images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nas.inspection.findings import Findings, Look, Picture, Pictures
from nas.inspection.subject import Subject


def class_scores(subject: Subject, x: Tensor, places: Sequence[int]) -> Tensor:
    """Return the sum of the logits that normalised images x, (B, C, H, W), give to the predicted classes of `places`.

    An image's gradient is its own, as in evaluation no image depends on another.
    """
    predicted = subject.predicted[list(places)].to(x.device)
    logits: Tensor = subject.model(x)
    return logits.gather(1, predicted[:, None]).sum()


def attributed(subject: Subject, maps: Tensor, reading: str, look: Look, is_over: bool = False) -> Findings:
    """Return the findings of a method that gives a map (H, W) to each sample: `maps` is (B, H, W)."""
    pictures, numbers = [], []
    for place, values in zip(subject.samples, maps.detach().cpu(), strict=True):
        image = subject.picture(place)
        pictures += [Picture(image, subject.described(place)), Picture(values, "", look, image if is_over else None)]
        top = int(values.argmax())
        numbers.append(
            {
                "image": subject.numbers[place],
                "class": subject.classes[int(subject.predicted[place])],
                "largest": float(values.max()),
                "largest_at": [top // values.shape[1], top % values.shape[1]],
            }
        )
    return Findings(reading, {"images": numbers}, (Pictures(tuple(pictures), columns=4),))
