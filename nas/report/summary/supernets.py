"""Searches with a supernet: the measurements after each epoch, and the strengths of the options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from nas.figures.curves import LearntChoice, learnt_choices
from nas.report.summary.summary import LearntAlphas, SupernetCurves
from nas.supernets.search import SupernetResult

SHOWN = 200
"""The maximum number of choices whose strengths are shown."""

MEASURED = (
    "loss",
    "top1_percent",
    "alphas_loss",
    "alphas_top1_percent",
    "entropy",
    "skips",
    "skippable",
    "eigenvalue",
    "seconds",
)


def supernet_curves(searched: SupernetResult, method: str) -> SupernetCurves:
    """Return the curves of a search with one seed, as columns by epoch."""
    epochs = [each.epoch for each in searched.epochs]
    choices = learnt_choices(searched)
    columns = {name: [getattr(each, name) for each in searched.epochs] for name in MEASURED}
    left_out = len(choices) - SHOWN
    return SupernetCurves(
        seed=searched.number,
        method=method,
        epochs=epochs,
        measured={name: values for name, values in columns.items() if any(value is not None for value in values)},
        phases=[a.epoch for a, b in pairwise(searched.epochs) if a.phase != b.phase],
        warnings={each.epoch: each.warning for each in searched.epochs if each.warning},
        choices=[_alphas(choice, epochs) for choice in choices[:SHOWN]],
        scores=searched.scores,
        note=f"{left_out} of {len(choices)} choices are left out" if left_out > 0 else "",
    )


def _alphas(choice: LearntChoice, epochs: Sequence[int]) -> LearntAlphas:
    rows = [_row(dict(points), epochs) for points in choice.curves.values()]
    return LearntAlphas(choice.name, list(choice.curves), choice.strongest, rows)


def _row(points: Mapping[float, float], epochs: Sequence[int]) -> list[float | None]:
    """Return a value per epoch; None where the option was dropped."""
    return [points.get(epoch) for epoch in epochs]
