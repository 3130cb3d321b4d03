"""The images of a quantisation: those to calibrate with, and those to measure it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.data import Split, normalise, split
from nas.data.feed import load_batches
from nas.evaluation.trained_network import TrainedNetwork
from nas.export.subject import Built
from nas.records import RecordError
from nas.runs.architecture import folder_of
from nas.runs.measure_weights import check_classes, data_of, training_of
from nas.runs.transfer_trials import adapted, check_channels
from nas.training.randomness import stream

AT_ONCE = 32
"""The number of images in a batch."""


@dataclass(frozen=True, slots=True)
class QuantisationImages:
    """The images of a quantisation, as a network takes them: uint8 where it normalises them itself, else normalised."""

    split: Split
    images: int
    is_inside: bool

    def calibration(self) -> Iterator[Tensor]:
        """Yield batches (B, C, H, W) of training images, drawn with seed 0."""
        train = self.split.train
        chosen = torch.randperm(len(train), generator=stream(0, "calibration"))[: self.images]
        for x, _ in self._batches(train, chosen):
            yield x

    def top1_percent(self, run: Callable[[Tensor], Tensor]) -> tuple[float, int]:
        """Return the accuracy of a network on the test images, and their number."""
        test = self.split.open_test()
        right = seen = 0
        for x, y in self._batches(test, torch.arange(len(test))):
            right += int((run(x).argmax(1) == y).sum())
            seen += len(y)
        return 100 * right / max(1, seen), seen

    def _batches(self, images: Any, numbers: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        with closing(load_batches(images, torch.split(numbers, AT_ONCE), torch.device("cpu"))) as coming:
            for batch in coming:
                x = batch.x if self.is_inside else normalise(batch.x, self.split.mean, self.split.std)
                yield x.contiguous(), batch.y


def quantisation_images(built: Built) -> QuantisationImages:
    """Return the images of a quantisation: of the data that are asked for, or that the network was trained with.

    A folder without test images is halved. Raises RecordError where the data are not known, or have other classes or channels.
    """
    subject = built.subject
    asked, found = subject.asked, subject.found
    if asked.calibration.images < 1:
        raise RecordError(f"--calibration-images is {asked.calibration.images}: give 1 at least")
    declared = None if subject.place is None else training_of(folder_of(asked.name))
    data: Any = adapted(data_of(asked.name, asked.calibration.data, declared, found), found.input)
    if asked.calibration.data is not None and Path(asked.calibration.data).is_dir() and hasattr(data, "test"):
        data = replace(data, test=0.5)
    trained = TrainedNetwork(found, subject.weights or Path())
    images = trained.normalised(split(data, 0, 0))
    check_channels(trained, images.shape)
    check_classes(built.model, found, images)
    return QuantisationImages(images, asked.calibration.images, asked.inside)
