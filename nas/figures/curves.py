"""Curves: the measurements and strengths of a supernet search by epoch, as lines to draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

from nas.figures.colours import label_family
from nas.labels import stored_label
from nas.supernets.search import SupernetEpoch, SupernetResult

Points = Sequence[tuple[float, float]]
"""One line as (epoch, value); NaN breaks it."""


@dataclass(frozen=True, slots=True)
class LearntChoice:
    """A choice: the strengths of its options by label, and the labels `left` after the last epoch."""

    name: str
    curves: Mapping[str, Points]
    left: Sequence[str]

    @property
    def takable(self) -> Sequence[str]:
        """The options that an architecture may take; a last "none" exists only in the supernet, and is never taken."""
        return self.left[:-1] if self.left[-1] == "none" and len(self.left) > 1 else self.left

    @property
    def strongest(self) -> str:
        """The strongest option after the last epoch; ties go to the first, as when the architecture is derived."""
        return max(self.takable, key=lambda label: self.curves[label][-1][1])

    @property
    def kind(self) -> str:
        """The kind of its options: operations, edges or values."""
        return kind(self.curves)


@dataclass(slots=True)
class CurveGroup:
    """Choices of one kind under a heading, keyed by the part of their names that the heading does not have."""

    heading: str
    kind: str
    choices: dict[str, LearntChoice] = field(default_factory=dict)

    def shorten(self, kinds: int) -> None:
        """Move the ending that all names share into the heading, or else their kind if there are several `kinds`."""
        word = self.kind if kinds > 1 else ""
        beginnings, _, endings = zip(*(name.rpartition("/") for name in self.choices), strict=True)
        if len(self.choices) > 1 == len(set(endings)) and all(beginnings):
            word = endings[0]
            self.choices = dict(zip(beginnings, self.choices.values(), strict=True))
        self.heading = ": ".join(filter(None, (self.heading, word)))


def kind(labels: Iterable[str]) -> str:
    """Return the kind of the labels: "operations", "edges", or "values" (numbers, such as 2 and 3)."""
    families = set(map(label_family, labels))
    return "edges" if families == {"Edge"} else "values" if families == {""} else "operations"


def learnt_choices(searched: SupernetResult) -> list[LearntChoice]:
    """Return the choices whose strengths are known, in order."""
    names = dict.fromkeys(name for options in searched.options for name in options)
    return [choice for name in names for choice in _choice(searched, name)]


def _choice(searched: SupernetResult, name: str) -> Iterator[LearntChoice]:
    """Yield a choice, if it has strengths; a curve is broken between phases, and ends where its option is dropped."""
    curves: dict[str, list[tuple[float, float]]] = {}
    phase = -1
    labels: list[str] = []
    for epoch in searched.epochs:
        if name not in epoch.strengths:
            continue
        labels = _told_apart(list(map(stored_label, searched.options[epoch.phase][name])))
        for label, strength in zip(labels, epoch.strengths[name], strict=True):
            # NaN half an epoch before the first epoch of a phase breaks the line there
            broken = [(epoch.epoch - 0.5, nan)] if label in curves and epoch.phase != phase else []
            curves.setdefault(label, []).extend([*broken, (epoch.epoch, strength)])
        phase = epoch.phase
    if labels:
        yield LearntChoice(name, curves, labels)


def _told_apart(labels: Sequence[str]) -> list[str]:
    """Number equal labels: options may differ in more than a label shows."""
    many = {label for label in labels if labels.count(label) > 1}
    return [f"{each} ({labels[: i + 1].count(each)})" if each in many else each for i, each in enumerate(labels)]


def blocks(choices: Sequence[LearntChoice]) -> list[CurveGroup]:
    """Group choices by the prefix of their names up to the last `/`, or up to the first if that would give many blocks."""
    names = [choice.name for choice in choices]
    fine = len({name.rpartition("/")[0] for name in names}) * 4 <= len(names)
    found: dict[tuple[str, str], CurveGroup] = {}
    for choice in choices:
        prefix, _, rest = choice.name.rpartition("/") if fine else choice.name.partition("/")
        prefix, rest = (prefix, rest) if rest else ("", prefix)
        block = found.setdefault((prefix, choice.kind), CurveGroup(prefix, choice.kind))
        block.choices[rest] = choice
    for block in found.values():
        block.shorten(kinds=len({block.kind for block in found.values()}))
    return list(found.values())


def overview(epochs: Sequence[SupernetEpoch]) -> dict[str, dict[str, Points]]:
    """Return the measurements of each epoch: lines by label, by the title of their panel."""
    drawn: dict[str, dict[str, Points]] = {
        "loss": {
            "weights' images": [(each.epoch, each.loss) for each in epochs],
            "alphas' images": [(each.epoch, each.alphas_loss) for each in epochs if each.alphas_loss is not None],
        },
        "accuracy, %": {
            "weights' images": [(each.epoch, each.top1_percent) for each in epochs],
            "alphas' images": [(e.epoch, e.alphas_top1_percent) for e in epochs if e.alphas_top1_percent is not None],
        },
        "entropy (1: undecided)": {"": [(each.epoch, each.entropy) for each in epochs]},
        f"skips (of {epochs[-1].skippable})": {"": [(each.epoch, each.skips) for each in epochs if each.skippable]},
        "largest eigenvalue": {"": [(each.epoch, each.eigenvalue) for each in epochs if each.eigenvalue is not None]},
    }
    return {name: curves for name, curves in drawn.items() if any(curves.values())}
