"""Testing: what trained weights are worth on the test images of a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.building import Shape
from nas.data import Data, Split, split
from nas.evaluation.results import read_test
from nas.evaluation.training import Training, measure_on_test
from nas.evaluation.transfer import Trained, adapted, check_channels
from nas.records import RecordError
from nas.runtime.architecture import find_checkpoint, folder_of
from nas.runtime.declared import load_declared
from nas.runtime.full_training import FullTraining
from nas.runtime.run import load_run
from nas.runtime.transfer import data_named
from nas.training import Execution, Recipe, best_device
from nas.training.measure import Measured, measure_speed


def measure_weights(checkpoint: str, on: str | None) -> Measured:
    """Measure the weights of a checkpoint on the test images of a data set; without one, of that it was trained with.

    Images are prepared as in the training: by its way of reading where they are a folder's, and with its mean and deviation.
    Raises RecordError where the data set has other classes or channels, or is not known.
    """
    found, weights = find_checkpoint(checkpoint)
    declared = _declared(folder_of(checkpoint))
    images = split(adapted(_data(checkpoint, on, declared), found.input), 0, 0)
    if (before := read_test(weights)) is not None and before.mean:
        images = replace(images, mean=before.mean, std=before.std)
    trained = Trained(found.family, found.architecture, weights, found.network, found.input)
    check_channels(trained, images.shape)
    model = trained.model()
    _check_classes(model, found.input, images, before)
    recipe = declared.recipe if declared is not None else Recipe()
    measured = measure_on_test(model, None, images, recipe, Execution())
    return replace(measured, speed=measure_speed(model, images.shape, recipe, best_device(), recipe.batch))


def _declared(folder: Path) -> FullTraining | None:
    """Return what a run folder says of the training of its weights: the only one, or the final one of a search."""
    if (file := folder / "training.yaml").is_file():
        return load_declared(file, (), FullTraining)
    if not (folder / "experiment.yaml").is_file():
        return None
    experiment = load_run(folder)
    final = experiment.final.evaluator if experiment.final is not None else None
    trained = final or experiment.evaluator
    return FullTraining(trained.data, trained.recipe) if isinstance(trained, Training) else None


def _data(checkpoint: str, on: str | None, declared: FullTraining | None) -> Data:
    if on is None and declared is None:
        raise RecordError(f"what {checkpoint} was trained with is not known: give --on, a folder or a data set's name")
    if on is None or declared is None:
        return data_named(on or "") if declared is None else declared.evaluator().data
    if Path(on).is_dir() and hasattr(declared.data, "path"):
        read_alike: Any = declared.evaluator().data
        there: Data = replace(read_alike, path=on)
        return there
    return data_named(on)


def _check_classes(model: nn.Module, shape: Shape, images: Split, before: Measured | None) -> None:
    """Raise RecordError where the images are of other classes than those that the network tells apart."""
    if before is not None and before.classes != images.classes:
        raise RecordError(
            f"the network tells {_named(before.classes)} apart, and the data have {_named(images.classes)}: give data of the "
            "classes that it was trained with, or a new head by nas transfer"
        )
    with torch.no_grad():
        classes = model.eval()(torch.zeros(1, *shape)).shape[1]
    if classes != len(images.classes):
        raise RecordError(
            f"the network tells {classes} classes apart, and the data have {len(images.classes)}: give data of the classes "
            "that it was trained with, or a new head by nas transfer"
        )


def _named(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:3]) + (f" and {len(classes) - 3} more" if len(classes) > 3 else "")
