"""A trained network: its weights in a file, and the description inside that file or in the .json next to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from nas.building import build
from nas.data import Split
from nas.evaluation.results import read_test
from nas.family import StackedNetwork
from nas.plain import read
from nas.preprocessing import Preprocessing
from nas.records import RecordError, digest, import_all
from nas.training import seeded
from nas.training.checkpoint import read_description
from nas.training.foreign_weights import load_any


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A stacked network and the file of its weights: those of this project, or a state dict from elsewhere."""

    stacked: StackedNetwork
    weights: Path

    def model(self) -> nn.Module:
        """Build the network with its weights. Raises RecordError where they belong to another network."""
        network = self.stacked.tree()
        with seeded(0):  # keeps the caller's random state: the initial weights are replaced below
            model = build(network, self.stacked.input)
        load_any(model, self.weights, self.stacked.input, digest(network))
        return model

    def normalised(self, images: Split) -> Split:
        """Return the images with the mean and standard deviation of the network's training, where these are known."""
        known = self.stacked.preprocessing
        return replace(images, mean=known.mean, std=known.std) if known is not None and known.mean else images


def trained_in(path: Path) -> TrainedNetwork:
    """Return the trained network of a run folder or of its .safetensors file, as the description in the weights says.

    Raises RecordError where there are no weights, or they have no description.
    """
    weights = path / "best.safetensors" if path.is_dir() else path
    if not weights.is_file():
        raise RecordError(f"there are no weights {weights}: give a run folder whose training has ended, or its weights")
    text = read_description(weights)
    for package in ("nas.layers", "nas.operations", "nas.topology", "nas.modules"):
        import_all(package)
    inside = read(json.loads(text), str(weights), StackedNetwork) if text else None
    return TrainedNetwork(describe_weights(weights, inside, None), weights)


def describe_weights(weights: Path, inside: StackedNetwork | None, beside: StackedNetwork | None) -> StackedNetwork:
    """Return the description of weights, from inside their file and from the .json next to it, where they exist.

    Weights of version 0.1 have no description inside; their test result, in the .test.json next to them, has classes,
    mean and standard deviation. Raises RecordError where there is no description, or the two contradict each other.
    """
    found = beside or inside
    if found is None:
        raise RecordError(
            f"{weights} has no description of its network, neither inside nor in a .json next to it: give weights with one"
        )
    if inside is not None and beside is not None and digest(inside.architecture) == digest(beside.architecture):
        _check_agreement(weights, inside, beside)
        found = replace(beside, classes=inside.classes, preprocessing=inside.preprocessing)
    if not found.classes and (measured := read_test(weights)) is not None:
        known = Preprocessing(measured.mean, measured.std) if measured.mean else None
        found = replace(found, classes=measured.classes, preprocessing=found.preprocessing or known)
    return found


def _check_agreement(weights: Path, inside: StackedNetwork, beside: StackedNetwork) -> None:
    """Raise RecordError where both descriptions have classes or preprocessing and these differ."""
    for name in ("classes", "preprocessing"):
        mine, theirs = getattr(inside, name), getattr(beside, name)
        if mine and theirs and mine != theirs:
            raise RecordError(
                f"{weights} and {weights.with_suffix('.json').name} next to it have different {name}: {mine} and {theirs}; "
                "remove the .json: the weights file has its own description"
            )


def unknown_of(found: StackedNetwork) -> str:
    """Return in words which facts about their use weights lack; empty where they lack none."""
    missing = {
        "its classes": not found.classes,
        "the mean and standard deviation of its training": found.preprocessing is None or not found.preprocessing.mean,
    }
    return " nor ".join(what for what, is_missing in missing.items() if is_missing)
