"""Inspections of trained weights, on test images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.inspection.findings import Findings
from nas.inspection.inspection import Inspection, inspections
from nas.inspection.subject import make_subject
from nas.runs.measure_weights import TestedWeights, find_tested
from nas.training.step import best_device

IMAGES = 1000
"""The number of test images by default: enough for the curves, and inspected in less than a minute for a small network."""


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """What to inspect: a checkpoint, a data set (by default that of the training), and how many of its test images.

    `image` is the number of the test image for the methods about single images, `only` the names of the methods to use.
    """

    checkpoint: str
    on: str | None = None
    images: int = IMAGES
    image: int | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was inspected, in words, on how many of the test images, and the findings of each method."""

    checkpoint: str
    network: str
    images: int
    test_images: int
    source: str
    found: tuple[tuple[Inspection, Findings], ...]

    @property
    def inspected_on(self) -> str:
        """The number of images, of how many, and where they are from, in words."""
        of = f" of {self.test_images:,}" if self.images < self.test_images else ""
        return f"Inspected on {self.images:,}{of} images" + (f": {self.source}" if self.source else "")

    def as_plain(self) -> Mapping[str, Any]:
        """Return the numbers as plain data, as for JSON."""
        numbers = {each.name: findings.numbers for each, findings in self.found}
        of = {"images": self.images, "test_images": self.test_images, "source": self.source}
        return {"checkpoint": self.checkpoint, "network": self.network, **of, "inspections": numbers}


def inspect_weights(asked: InspectRequest, say: Callable[[str], None]) -> Inspected:
    """Inspect a checkpoint; `say` is told what is done next.

    Raises RecordError as `find_tested` does, and where there is no such method or image.
    """
    methods: Sequence[Inspection] = inspections(asked.only)
    say("reading the weights and the images")
    tested = find_tested([asked.checkpoint], asked.on)
    images = tested.images
    test = images.open_test()
    model = tested.model.to(best_device())
    say(f"classifying {min(asked.images, len(test)):,} images")
    subject = make_subject(model, test, images.classes, (images.mean, images.std), asked.images, asked.image)
    found = []
    for number, each in enumerate(methods):
        say(f"{number + 1} of {len(methods)}: {each.title.lower()}")
        found.append((each, each.inspect(subject)))
    network = _described(tested)
    return Inspected(asked.checkpoint, network, len(subject.images), len(test), images.test_source, tuple(found))


def _described(tested: TestedWeights) -> str:
    size = "x".join(map(str, tested.images.shape))
    params = sum(each.numel() for each in tested.model.parameters())
    return f"{tested.network.family}, {params:,} parameters, images of {size}"
