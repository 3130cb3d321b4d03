"""Shares: a plot of the share of each option among the last evaluations, over the course of a search."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from nas.building import Node
from nas.choice import Choice, parts_of
from nas.figures.colours import INK, line_styles
from nas.figures.page import STYLE
from nas.files import write_atomically
from nas.labels import option_label
from nas.space import choices, decisions
from nas.topology.chain import Chain, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN, ABREAST, APART, LETTERS, POINTS, WINDOW = 12, 3, 4, 18, 200, 25
"""The maximum numbers of panels in a plot, of panels in a row, of choices with the same options that get a panel each, of
letters in a label, and of points in a curve (about); and the evaluations counted where a strategy has no population."""

WORDS = {"Residual": "residual", "Dense": "dense", "Branches": "inception", "Chain": "serial", "Stage": "serial"}


@dataclass(frozen=True, slots=True)
class SharePanel:
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


def window_of(strategy: object, total: int) -> int:
    """Return over how many last evaluations shares are counted: the strategy's population, at least the gap between points."""
    return max(int(getattr(strategy, "population", WINDOW)), -(-total // POINTS))


def plot_shares(space: Any, architectures: Sequence[Any], window: int, path: Path, title: str = "") -> bool:
    """Plot each option's share among the last `window` architectures to `path`, an SVG; return whether a file was written.

    Structures come first. Writes nothing where there is nothing to show or matplotlib is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        return False
    shown = panels(space, architectures)[:SHOWN]
    if not shown:
        return False
    rows, columns = ceil(len(shown) / ABREAST), min(ABREAST, len(shown))
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(4.2 * columns, 2.1 * rows + 0.7), facecolor="#ffffff", layout="constrained")
        figure.suptitle(
            "\n".join(wrap(f"{title}: share of each option in the last {window} evaluations, %", 56 * columns)),
            fontsize=10,
            x=0.01,
            ha="left",
        )
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, panel in zip(axes.flat, shown, strict=False):
            _draw(axis, panel, window)
        for axis in axes.flat[len(shown) :]:
            axis.set_axis_off()
        write_atomically(path, lambda beside: figure.savefig(beside, format="svg", metadata={"Date": None}))
    return True


def _draw(axis: Axes, panel: SharePanel, window: int) -> None:
    shares = {label: values for label, values in panel.shares(window).items() if any(values)}
    styles = line_styles(panel.labels)
    total = len(panel.taken)
    drawn = sorted({*range(0, total, max(1, total // POINTS)), total - 1})
    colours = [styles[label].colour for label in shares]
    curves = ([values[i] for i in drawn] for values in shares.values())
    axis.stackplot([i + 1 for i in drawn], *curves, colors=colours, edgecolor="#ffffff", linewidth=0.4)
    axis.set_title(panel.title, fontsize=8.5, loc="left", color=INK)
    axis.set(xlim=(1, max(2, len(panel.taken))), ylim=(0, 100), xlabel="evaluations")
    below = 0.0
    for label, values in shares.items():
        if values[-1] >= 6:
            text = f"{label if len(label) <= LETTERS else f'{label[: LETTERS - 1]}…'} {values[-1]:.0f}"
            middle = below + values[-1] / 2
            axis.annotate(text, (1.02, middle / 100), xycoords="axes fraction", fontsize=7, va="center", color=INK)
        below += values[-1]


def panels(space: Any, architectures: Sequence[Any]) -> list[SharePanel]:
    """Return the panels of a search: structures, operations, then numbers; choices that are not always open come last.

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
        SharePanel(title, labels, [[at[name] for name in names if name in at] for at in taken])
        for labels, every_name in sorted(groups.items(), key=lambda group: _rank(group[0]))
        for title, names in _titled(every_name)
    ]
    shown = sorted((panel for panel in found if any(panel.taken)), key=lambda panel: not all(panel.taken))
    return shown if any(_rank(panel.labels) < 2 for panel in shown) else []


def _labelled(space: Any, architecture: Any, groups: dict[tuple[str, ...], list[str]]) -> dict[str, str]:
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
    if set(labels) & set(WORDS.values()):
        return 0
    return 2 if all(label[:1].isdigit() for label in labels) else 1


def labels_of(choice: Choice) -> tuple[str, ...]:
    """Return a short label for each option: its structure or its name, numbered where labels repeat."""
    labels = [structure_label(option) for option in choice.options]
    bare = [re.sub(r"\(.*\)", "", label) for label in labels]
    labels = [each if bare.count(each) == 1 else label for each, label in zip(bare, labels, strict=True)]
    numbered = (f"{label} {i + 1}" if labels.count(label) > 1 else label for i, label in enumerate(labels))
    return tuple(numbered)


def structure_label(option: Any) -> str:
    """Return the structure of an option, which is that of its first node that is not a chain; else its name."""
    if isinstance(option, Choice) and len(alike := {structure_label(each) for each in option.options}) == 1:
        return alike.pop()
    if isinstance(option, Chain | Stage):
        inner = next(_structures(option), None)
        return inner or "serial"
    return WORDS.get(type(option).__name__) or option_label(option)


def _structures(tree: Any) -> Iterator[str]:
    """Yield the structures in a tree, outermost first."""
    if isinstance(tree, Node) and type(tree).__name__ in WORDS and not isinstance(tree, Chain | Stage):
        yield WORDS[type(tree).__name__]
    values_of = parts_of(type(tree))
    for part in (
        tree if isinstance(tree, tuple) else values_of(tree) if values_of and not isinstance(tree, Choice) else ()
    ):
        if isinstance(part, Node | tuple):
            yield from _structures(part)
