"""Warm starts: the architectures that a search begins with, from texts, files and other runs."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from nas.records import RecordError, digest
from nas.runs.architecture import find_architecture
from nas.runs.evaluations import history_of
from nas.runs.experiment import load
from nas.space import decisions
from nas.strategies.initial import Initial
from nas.strategies.strategy import Strategy

S = TypeVar("S", bound=Strategy | None)


def with_trees(strategy: S, space: Any) -> S:
    """Return a strategy whose warm starts, also those inside other strategies, have trees instead of names and runs.

    Raises RecordError where one is no member of the space.
    """
    changed: Any = strategy
    for field in fields(changed) if is_dataclass(changed) else ():
        inner = getattr(changed, field.name)
        if isinstance(inner, Strategy) and (made := with_trees(inner, space)) is not inner:
            changed = replace(changed, **{field.name: made})
    if not isinstance(changed, Initial):
        return changed  # type: ignore[no-any-return]
    trees = [find_architecture(each).architecture if isinstance(each, str) else each for each in changed.architectures]
    trees += best_of(Path(changed.run), changed.best) if changed.run is not None else []
    distinct = {digest(tree): tree for tree in trees}
    for place, tree in enumerate(distinct.values()):
        _check_member(space, tree, place)
    return replace(changed, architectures=tuple(distinct.values()), run=None)  # type: ignore[return-value]


def best_of(folder: Path, number: int) -> list[Any]:
    """Return the best architectures of a run, without repeats, the best first. Raises RecordError where it has none."""
    history = history_of(folder, load(folder / "experiment.yaml").rules)
    if not history.ranked:
        raise RecordError(f"{folder} has no evaluation that succeeded, to start from", "strategy.Initial.run")
    distinct = {done.digest: done.architecture for done in reversed(history.ranked)}
    return list(distinct.values())[:number]


def _check_member(space: Any, tree: Any, place: int) -> None:
    try:
        decisions(space, tree)
    except RecordError as error:
        raise RecordError(
            f"architecture {place} of the warm start is no member of the space: {error}",
            "strategy.Initial.architectures",
        ) from None
