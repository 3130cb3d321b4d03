"""Tests of trained weights on the test images of a data set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.data import Data, Split, evaluation_split, split
from nas.data.layout import list_images
from nas.data.preprocessing import folder_read_alike
from nas.evaluation.ensemble import AveragedLogits
from nas.evaluation.ensemble_training import EnsembleTraining
from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.trained_network import TrainedNetwork, unknown_of
from nas.evaluation.training import Training, measure_on_test
from nas.family import StackedNetwork
from nas.fields import shown
from nas.records import RecordError
from nas.runs.architecture import find_checkpoint, folder_of
from nas.runs.declared import load_declared
from nas.runs.full_training import FullTraining
from nas.runs.run import load_run
from nas.runs.run_data import check_places, find_data, read_data
from nas.runs.transfer import data_named
from nas.runs.transfer_trials import adapted, check_channels
from nas.training import Execution, Recipe, best_device
from nas.training.measure import TestResult, measure_speed
from nas.training.views import Views


@dataclass(frozen=True, slots=True)
class TestedWeights:
    """Checkpoints with the images to test them on: the network, or the mean of several, and what is known of the first.

    `recipe` is that of its training, if known.
    """

    model: nn.Module
    network: StackedNetwork
    weights: Path
    images: Split
    recipe: Recipe


def measure_weights(checkpoints: Sequence[str], on: str | None = None, views: Views | None = None) -> TestResult:
    """Measure a checkpoint, or the mean of several networks' logits, on test images.

    `views` replaces the recipe's `test_views`. Raises RecordError as `find_tested` does.
    """
    found = find_tested(checkpoints, on)
    recipe = replace(found.recipe, test_views=views or found.recipe.test_views)
    measured = measure_on_test(found.model, None, found.images, recipe, Execution())
    return replace(measured, speed=measure_speed(found.model, found.images.shape, recipe, best_device(), recipe.batch))


def find_tested(checkpoints: Sequence[str], on: str | None) -> TestedWeights:
    """Return the network of a checkpoint, or the mean of several networks' logits, and the images to test it on.

    The images are those of the data set `on`; by default, of the one that the first checkpoint was trained with. If `on` is a
    folder, all its images are test images, unless it has a test subfolder. Images are preprocessed as in the training: with its
    settings for reading a folder, and its mean and standard deviation. Warns about those that a checkpoint does not record.
    Raises RecordError where the data set is unknown, or has other classes or channels than a network, or where networks were
    trained on images of other shapes or statistics.
    """
    found, weights = find_checkpoint(checkpoints[0])
    trained = [TrainedNetwork(found, weights), *(TrainedNetwork(*find_checkpoint(name)) for name in checkpoints[1:])]
    folder = folder_of(checkpoints[0])
    declared = training_of(folder)
    data = adapted(data_of(checkpoints[0], on, declared, found), found.input)
    if on is None:
        _hold_to_data(folder, declared)
    images = trained[0].normalised(split(data, 0, 0) if on is None else evaluation_split(data))
    _warn_of_training_images(on, declared)
    for other in trained[1:]:
        _check_alike(trained[0].stacked, other.stacked, other.weights)
    models = [model_for(each, images) for each in trained]
    model = models[0] if len(models) == 1 else AveragedLogits(models)
    return TestedWeights(model, found, weights, images, declared.recipe if declared is not None else Recipe())


def _check_alike(first: StackedNetwork, other: StackedNetwork, weights: Path) -> None:
    """Raise RecordError where two networks cannot take the same images: of other shapes, or normalised otherwise."""
    for name in ("input", "preprocessing"):
        own, theirs = getattr(first, name), getattr(other, name)
        if own != theirs:
            raise RecordError(
                f"{weights} has {name} {shown(theirs)}, and the first network {shown(own)}: an ensemble takes networks that were "
                "trained on the same data"
            )


def model_for(trained: TrainedNetwork, images: Split) -> nn.Module:
    """Build a network with its weights. Raises RecordError where the images have other channels or classes."""
    check_channels(trained, images.shape)
    model = trained.model()
    check_classes(model, trained.stacked, images)
    if unknown := unknown_of(trained.stacked):
        warnings.warn(f"{trained.weights} does not say {unknown}: those of the data are taken", stacklevel=3)
    return model


def training_of(folder: Path) -> FullTraining | None:
    """Return the training of a run folder's weights: its only one, or the final one of a search; None where there is none."""
    if (file := folder / "training.yaml").is_file():
        return load_declared(file, (), FullTraining)
    if not (folder / "experiment.yaml").is_file():
        return None
    experiment = load_run(folder)
    final = experiment.final.evaluator if experiment.final is not None else None
    parts = parts_in(final or experiment.evaluator)
    trainings = [each for each in parts if isinstance(each, Training | EnsembleTraining)]
    if not trainings:
        return None
    last = trainings[-1]
    return FullTraining(
        last.data, last.recipe, validation=last.validation, images=last.images, split_seed=last.split_seed
    )


def data_of(checkpoint: str, on: str | None, declared: FullTraining | None, found: StackedNetwork) -> Data:
    """Return the data set `on`, read as in the training of a checkpoint; without it, the data of that training.

    Raises RecordError where that is not known.
    """
    if on is None and declared is None:
        raise RecordError(
            f"what {checkpoint} was trained with is not known: give a folder or a data set's name, by --on (nas export: --data)"
        )
    if on is None:
        assert declared is not None, "known, or there is --on"
        return declared.evaluator().data
    if not Path(on).is_dir():
        return data_named(on)
    if declared is not None and hasattr(declared.data, "path"):
        read_alike: Any = declared.evaluator().data
        there: Data = replace(read_alike, path=on)
        return there
    return folder_read_alike(on, found.preprocessing)


def _hold_to_data(folder: Path, declared: FullTraining | None) -> None:
    """Raise RecordError where the images of a run are missing, or are not those that it was trained with."""
    check_places(folder, declared)
    before = read_data(folder)
    if before is not None and declared is not None and not before.holds(find_data({"data": declared.evaluator()})):
        raise RecordError(
            f"{folder} was trained with other images than are there now, and may have learnt from some that are test images "
            "now: put them back, or give a folder of test images, as --on FOLDER"
        )


def _warn_of_training_images(on: str | None, declared: FullTraining | None) -> None:
    """Warn where `on` is the folder of the training and has no test subfolder, so that training images are tested too."""
    path = getattr(declared.data, "path", None) if declared is not None else None
    if on is None or path is None or not Path(on).is_dir() or Path(on).resolve() != Path(path).expanduser().resolve():
        return
    if list_images(Path(on)).test is None:
        warnings.warn(
            f"the network was trained with most images of {on}: without --on those held out are tested", stacklevel=3
        )


def check_classes(model: nn.Module, found: StackedNetwork, images: Split) -> None:
    """Raise RecordError where the images have other classes than the network."""
    if found.classes and found.classes != images.classes:
        raise RecordError(
            f"the network tells {_named(found.classes)} apart, and the data have {_named(images.classes)}: give data of the "
            "classes that it was trained with, or a new head by nas transfer"
        )
    with torch.no_grad():
        classes = model.eval()(torch.zeros(1, *found.input)).shape[1]
    if classes != len(images.classes):
        raise RecordError(
            f"the network tells {classes} classes apart, and the data have {len(images.classes)}: give data of the classes "
            "that it was trained with, or a new head by nas transfer"
        )


def _named(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:3]) + (f" and {len(classes) - 3} more" if len(classes) > 3 else "")
