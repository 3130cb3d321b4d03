"""The share of each option among the last evaluations, over the course of a search, at a limited number of points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.labels import STRUCTURES, labels_of
from nas.report.summary.loaded import LoadedRun
from nas.report.summary.summary import SharePanel
from nas.space import choices, decisions

SHOWN, APART, POINTS, WINDOW = 24, 4, 200, 25
"""The maximum numbers of panels, of choices with the same options that get a panel each, and of points in a curve (about);
and the evaluations counted where a strategy has no population."""


@dataclass(frozen=True, slots=True)
class TakenOptions:
    """The options that each evaluation took at one choice, or at several choices with the same options."""

    title: str
    labels: tuple[str, ...]
    taken: Sequence[Sequence[str]]

    def shares(self, window: int) -> dict[str, list[float]]:
        """Return, for each option and after each evaluation, its percentage among the last `window` evaluations."""
        found: dict[str, list[float]] = {label: [] for label in self.labels}
        counted: Counter[str] = Counter()
        for i, labels in enumerate(self.taken):
            counted.update(labels)
            # a sliding window: the evaluation that leaves it is subtracted
            counted.subtract(self.taken[i - window] if i >= window else ())
            total = max(1, counted.total())
            for label in self.labels:
                found[label].append(100 * counted[label] / total)
        return found


def shares_of(run: LoadedRun) -> tuple[list[SharePanel], int]:
    """Return the shares of the options among the last evaluations, structures first, and the number of panels left out."""
    architectures = [done.architecture for done in run.history.scored]
    total = len(architectures)
    if total < 2:
        return [], 0
    window = window_of(run.experiment.strategy, total)
    # about POINTS evenly spaced evaluations, and always the last; -(-a // b) rounds up
    at = sorted({*range(0, total, max(1, -(-total // POINTS))), total - 1})
    found, every = [], taken_options(run.space, architectures)
    for each in every[:SHOWN]:
        shares = {label: values for label, values in each.shares(window).items() if any(values)}
        percent = [[values[i] for i in at] for values in shares.values()]
        found.append(SharePanel(each.title, list(shares), [i + 1 for i in at], percent))
    return found, len(every) - len(found)


def window_of(strategy: object, total: int) -> int:
    """Return over how many last evaluations shares are counted: the strategy's population, at least the gap between points."""
    return max(int(getattr(strategy, "population", WINDOW)), -(-total // POINTS))


def taken_options(space: Any, architectures: Sequence[Any]) -> list[TakenOptions]:
    """Return what a search took at each choice: structures, operations, then numbers; choices not always open come last.

    Empty where the space has no choice of structures or operations.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, choice in choices(space).items():
        labels = labels_of(choice)
        if choice.k is None and len(labels) > 1:
            groups.setdefault(labels, []).append(name)
    if not any(_rank(labels) < 2 for labels in groups):
        return []  # numbers alone: spares reading the decisions of every architecture
    taken = [_labelled(space, each, groups) for each in architectures]
    found = [
        TakenOptions(title, labels, [[at[name] for name in names if name in at] for at in taken])
        for labels, every_name in sorted(groups.items(), key=lambda group: _rank(group[0]))
        for title, names in _titled(every_name)
    ]
    shown = sorted((each for each in found if any(each.taken)), key=lambda each: not all(each.taken))
    return shown if any(_rank(each.labels) < 2 for each in shown) else []


def _labelled(space: Any, architecture: Any, groups: Mapping[tuple[str, ...], Sequence[str]]) -> dict[str, str]:
    picked = decisions(space, architecture)
    places = ((name, labels) for labels, names in groups.items() for name in names)
    return {name: labels[picked[name]] for name, labels in places if name in picked}


def _titled(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    if len(names) <= APART:
        yield from ((name, [name]) for name in names)
    else:
        last = sorted({name.rpartition("/")[2] for name in names})
        yield (", ".join(last) if len(last) <= 2 else f"{len(names)} choices, as {names[0]}"), names


def _rank(labels: tuple[str, ...]) -> int:
    if set(labels) & set(STRUCTURES.values()):
        return 0
    return 2 if all(label[:1].isdigit() for label in labels) else 1
