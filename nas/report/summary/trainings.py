"""Trainings: their epochs, and the tests of their weights."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from nas.evaluation.results import read_epochs, read_test
from nas.report.summary.summary import TestSummary, TrainingCurves
from nas.runs.scores import informative_scores
from nas.training.measure import Accuracy
from nas.training.reports import Epoch

COLUMNS = tuple(each.name for each in fields(Epoch) if each.name not in ("epoch", "epochs"))


def training_curves(weights: Path, role: str) -> TrainingCurves | None:
    """Return the epochs of the training that writes its weights to the file `weights`; None where no epoch has ended."""
    epochs = read_epochs(weights)
    if not epochs:
        return None
    columns = {name: [getattr(each, name) for each in epochs] for name in COLUMNS}
    measured = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    return TrainingCurves(role, [each.epoch for each in epochs], epochs[-1].epochs, measured)


def summarise_test(weights: Path, role: str) -> TestSummary | None:
    """Return the test of the weights in a file; None where they are not tested yet.

    With an EMA, the decisive weights are the averaged ones; the raw weights' measurements are prefixed with "raw_".
    """
    found = read_test(weights)
    if found is None:
        return None
    measured = _accuracy(found.decisive)
    if found.ema is not None:
        measured |= {f"raw_{name}": value for name, value in _accuracy(found.raw).items()}
    if found.speed is not None:
        measured |= {each.name: float(getattr(found.speed, each.name)) for each in fields(found.speed)}
    counted = zip(found.decisive.class_right, found.decisive.class_images, strict=True)
    right = [100 * right / max(1, images) for right, images in counted]
    measured = informative_scores(measured, len(found.classes))
    return TestSummary(role, measured, found.classes, found.decisive.class_images, right)


def _accuracy(accuracy: Accuracy) -> dict[str, float]:
    names = ("top1_percent", "top5_percent", "loss", "calibration_error_percent", "images")
    return {name: float(getattr(accuracy, name)) for name in names}
