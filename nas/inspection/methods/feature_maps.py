"""Feature maps: one image, as each layer of the network represents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nas.inspection.findings import Findings, Picture, Pictures
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject, maps_of
from nas.records import Positive, record


@record
class FeatureMaps(Inspection):
    """The maps of one image after each layer, of each the channels that vary most over the image.

    There are `channels` of them, and at most `layers` layers. Each channel has its own scale, from its least to its largest
    value.
    """

    name: ClassVar[str] = "feature_maps"
    title: ClassVar[str] = "Feature maps"
    chapter: ClassVar[Chapter] = "From layer to layer"
    channels: Positive = 12
    layers: Positive = 8

    def inspect(self, subject: Subject) -> Findings:
        place = subject.samples[0]
        maps = {name: each[0].cpu() for name, each in maps_of(subject, subject.inputs([place]), self.layers).items()}
        rows, numbers = [], []
        for name, values in maps.items():
            deviation = values.flatten(1).std(1, correction=0)
            chosen = deviation.argsort(descending=True, stable=True)[: self.channels].sort().values.tolist()
            width, height, size = values.shape[0], *values.shape[1:]
            heading = f"{name}: {min(len(chosen), width)} of {width} channels, {height} x {size} pixels"
            rows.append(Pictures(tuple(Picture(values[i], str(i), "magnitude") for i in chosen), heading))
            silent = int((deviation == 0).sum())
            numbers.append({"layer": name, "shape": list(values.shape), "shown": chosen, "constant_channels": silent})
        reading = (
            f"One image after each layer, from {_size(numbers[0])} to {_size(numbers[-1])}. "
            "Each channel has its own scale, from dark to light."
        )
        image = Pictures((Picture(subject.picture(place), subject.described(place)),))
        return Findings(reading, {"image": subject.numbers[place], "layers": numbers}, (image, *rows))


def _size(layer: Mapping[str, Any]) -> str:
    channels, height, width = layer["shape"]
    return f"{channels} channels of {height} x {width}"
