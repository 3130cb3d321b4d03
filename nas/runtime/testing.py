"""Testing: what trained weights are worth on the test images of a data set."""

from __future__ import annotations

from pathlib import Path

import torch

from nas.data import Data, split
from nas.evaluation.training import measure_on_test
from nas.evaluation.transfer import Trained, adapted, check_channels
from nas.record import RecordError
from nas.runtime.architecture import find_checkpoint
from nas.runtime.full_training import load_training
from nas.runtime.transfer import data_named
from nas.training import Execution, Recipe
from nas.training.measure import Measured


def measure_weights(checkpoint: str, on: str | None) -> Measured:
    """Measure the weights of a checkpoint on the test images of a data set; without one, of that it was trained with.

    Raises RecordError where the data set has other classes or channels, or is not known.
    """
    found, weights = find_checkpoint(checkpoint)
    images = split(adapted(_data(checkpoint, on), found.input), 0, 0)
    trained = Trained(found.family, found.architecture, weights, found.network, found.input)
    check_channels(trained, images.shape)
    model = trained.model()
    with torch.no_grad():
        classes = model.eval()(torch.zeros(1, *found.input)).shape[1]
    if classes != len(images.classes):
        raise RecordError(
            f"the network tells {classes} classes apart, and the data have {len(images.classes)}: give data of the classes that "
            f"it was trained with, or a new head by nas transfer {checkpoint}"
        )
    return measure_on_test(model, None, images, Recipe(), Execution())


def _data(checkpoint: str, on: str | None) -> Data:
    if on is not None:
        return data_named(on)
    if (Path(checkpoint) / "training.yaml").is_file():
        return load_training(Path(checkpoint)).evaluator.data
    raise RecordError(f"what {checkpoint} was trained with is not known: give --on, a folder or a data set's name")
