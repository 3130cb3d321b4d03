"""What weights are of: the description inside their file, and the .json next to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nas.evaluation.results import read_test
from nas.family import Found
from nas.preprocessing import Preprocessing
from nas.records import RecordError, digest


def described(weights: Path, inside: Found | None, beside: Found | None) -> Found:
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


def _check_agreement(weights: Path, inside: Found, beside: Found) -> None:
    for name in ("classes", "preprocessing"):
        mine, theirs = getattr(inside, name), getattr(beside, name)
        if mine and theirs and mine != theirs:
            raise RecordError(
                f"{weights} and {weights.with_suffix('.json').name} beside it have different {name}: {mine} and {theirs}; "
                "remove the .json, for the weights describe themselves"
            )


def unknown_of(found: Found) -> str:
    """Say what weights do not tell of how they are used; empty where they tell all."""
    missing = {
        "its classes": not found.classes,
        "the mean and the deviation of its training": found.preprocessing is None or not found.preprocessing.mean,
    }
    return " nor ".join(what for what, is_missing in missing.items() if is_missing)
