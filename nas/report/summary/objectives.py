"""The front of several objectives over the course of a search."""

from __future__ import annotations

from collections.abc import Sequence

from nas.history import History
from nas.pareto import Values, hypervolume, with_member
from nas.report.summary.candidates import FrontAt, Objectives

POINTS, FRONTS = 60, (0.25, 0.5, 1.0)
"""At how many numbers of evaluations the hypervolume is computed, and after which parts of the search fronts are shown."""


def objectives_of(history: History) -> Objectives | None:
    """Return the front over the search; None for a single objective, and where nothing is within the limits."""
    within = [done for done in history.scored if not history.excess(done.scores)]
    if len(history.objectives) < 2 or not within:
        return None
    values = [history.values(done) for done in within]
    reference = tuple(min(column) for column in zip(*values, strict=True))
    ends = sorted({max(1, round(len(values) * part / POINTS)) for part in range(1, POINTS + 1)})
    shown = {max(1, round(len(values) * part)) for part in FRONTS}
    places = {done.number: place for place, done in enumerate(history.closed, 1)}
    volumes, fronts, front = list[float](), list[FrontAt](), list[Values]()
    for number, value in enumerate(values, 1):
        front = with_member(front, value, lambda each: each)
        if number in ends:
            volumes.append(hypervolume(front, reference))
        if number in shown:
            fronts.append(_front_at(history, places[within[number - 1].number], front))
    signs = [each.sign for each in history.objectives]
    return Objectives(
        [each.score for each in history.objectives],
        [int(sign < 0) for sign in signs],
        [sign * value for sign, value in zip(signs, reference, strict=True)],
        [places[within[end - 1].number] for end in ends],
        volumes,
        fronts,
    )


def _front_at(history: History, evaluations: int, front: Sequence[Values]) -> FrontAt:
    first, second = (each.sign for each in history.objectives[:2])
    points = sorted((value[1] * second, value[0] * first) for value in front)
    return FrontAt(evaluations, [value for _, value in points], [cost for cost, _ in points])
