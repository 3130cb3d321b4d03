"""Searches with a supernet: the measurements after each epoch, and the strengths of the options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas.labels import stored_label
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


@dataclass(frozen=True, slots=True)
class LearntChoice:
    """A choice: the strengths of its options, each by epoch, by label, and the labels `left` after the last epoch."""

    name: str
    curves: Mapping[str, Mapping[int, float]]
    left: Sequence[str]

    @property
    def strongest(self) -> str:
        """The strongest option after the last epoch; ties go to the first, as when the architecture is derived.

        A last "none" takes part in the search only; no derived cell has it.
        """
        takable = self.left[:-1] if self.left[-1] == "none" and len(self.left) > 1 else self.left
        return max(takable, key=lambda label: list(self.curves[label].values())[-1])


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
    rows = [[curve.get(epoch) for epoch in epochs] for curve in choice.curves.values()]
    return LearntAlphas(choice.name, list(choice.curves), choice.strongest, rows)


def learnt_choices(searched: SupernetResult) -> list[LearntChoice]:
    """Return the choices whose strengths are known, in order."""
    names = dict.fromkeys(name for options in searched.options for name in options)
    return [choice for name in names for choice in _choice(searched, name)]


def _choice(searched: SupernetResult, name: str) -> Iterator[LearntChoice]:
    """Yield a choice, if it has strengths; a curve ends where its option is dropped."""
    curves: dict[str, dict[int, float]] = {}
    labels: list[str] = []
    for epoch in searched.epochs:
        if name not in epoch.strengths:
            continue
        labels = _told_apart(list(map(stored_label, searched.options[epoch.phase][name])))
        for label, strength in zip(labels, epoch.strengths[name], strict=True):
            curves.setdefault(label, {})[epoch.epoch] = strength
    if labels:
        yield LearntChoice(name, curves, labels)


def _told_apart(labels: Sequence[str]) -> list[str]:
    """Number equal labels: options may differ in more than a label shows."""
    many = {label for label in labels if labels.count(label) > 1}
    return [f"{each} ({labels[: i + 1].count(each)})" if each in many else each for i, each in enumerate(labels)]
