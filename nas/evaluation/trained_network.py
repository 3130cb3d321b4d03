"""A trained network: its weights in a file, and the description inside that file or in the .json next to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from nas.building import build
from nas.data import Split
from nas.evaluation.results import read_test
from nas.family import StackedNetwork
from nas.preprocessing import Preprocessing
from nas.records import RecordError, digest
from nas.training import load_weights, seeded


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A stacked network and the file of its weights."""

    stacked: StackedNetwork
    weights: Path

    def model(self) -> nn.Module:
        """Build the network with its weights. Raises RecordError where they are another network's."""
        network = self.stacked.tree()
        with seeded(0):
            model = build(network, self.stacked.input)
        load_weights(model, self.weights, digest(network))
        return model

    def normalised(self, images: Split) -> Split:
        """Return images that are normalised by the mean and deviation of its training, where these are known."""
        known = self.stacked.preprocessing
        return replace(images, mean=known.mean, std=known.std) if known is not None and known.mean else images


def described(weights: Path, inside: StackedNetwork | None, beside: StackedNetwork | None) -> StackedNetwork:
    """Return what weights are of, from the description inside their file and from the .json beside it, if there are such.

    Weights of version 0.1 hold none; what was measured of them, in the .test.json beside, names classes, mean and deviation.
    Raises RecordError where there is no description, or the two contradict each other.
    """
    found = beside or inside
    if found is None:
        raise RecordError(
            f"{weights} stands alone: give weights with the .json beside them that says what network they are of"
        )
    if inside is not None and beside is not None and digest(inside.architecture) == digest(beside.architecture):
        _check_agreement(weights, inside, beside)
        found = replace(beside, classes=inside.classes, preprocessing=inside.preprocessing)
    if not found.classes and (measured := read_test(weights)) is not None:
        known = Preprocessing(measured.mean, measured.std) if measured.mean else None
        found = replace(found, classes=measured.classes, preprocessing=found.preprocessing or known)
    return found


def _check_agreement(weights: Path, inside: StackedNetwork, beside: StackedNetwork) -> None:
    for name in ("classes", "preprocessing"):
        mine, theirs = getattr(inside, name), getattr(beside, name)
        if mine and theirs and mine != theirs:
            raise RecordError(
                f"{weights} and {weights.with_suffix('.json').name} beside it have different {name}: {mine} and {theirs}; "
                "remove the .json, for the weights describe themselves"
            )


def unknown_of(found: StackedNetwork) -> str:
    """Say what weights do not tell of how they are used; empty where they tell all."""
    missing = {
        "its classes": not found.classes,
        "the mean and the deviation of its training": found.preprocessing is None or not found.preprocessing.mean,
    }
    return " nor ".join(what for what, is_missing in missing.items() if is_missing)
