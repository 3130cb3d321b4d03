"""Pareto dominance among tuples of values to maximise: fronts, crowding, hypervolume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Values = tuple[float, ...]
"""The values of one point, one for each objective; all are maximised."""


def dominates(first: Values, second: Values) -> bool:
    """Return whether `first` is at least as good in every objective, and better in one."""
    return first != second and all(a >= b for a, b in zip(first, second, strict=True))


def with_member(front: Sequence[T], new: T, values: Callable[[T], Values]) -> list[T]:
    """Return a front with a new member, without those that it dominates; of equal ones the earlier stays."""
    added, known = values(new), [(each, values(each)) for each in front]
    if any(each == added or dominates(each, added) for _, each in known):
        return list(front)
    return [member for member, each in known if not dominates(added, each)] + [new]


def fronts(points: Sequence[Values]) -> list[list[int]]:
    """Return the indices of the points front by front: the non-dominated ones first, then those that only they dominate, ...

    Source: fast non-dominated sort, Deb et al. 2002, section III.A.
    """
    dominated: list[list[int]] = [[] for _ in points]
    dominators = [0] * len(points)
    for i, first in enumerate(points):
        for j in range(i):
            if dominates(first, points[j]):
                dominated[i].append(j)
                dominators[j] += 1
            elif dominates(points[j], first):
                dominated[j].append(i)
                dominators[i] += 1
    found, front = list[list[int]](), [i for i, number in enumerate(dominators) if not number]
    while front:
        found.append(front)
        # without this front, those that only it dominated are the next one
        behind = []
        for i in front:
            for j in dominated[i]:
                dominators[j] -= 1
                if not dominators[j]:
                    behind.append(j)
        front = sorted(behind)
    return found


def front_by_front(points: Sequence[Values], count: int) -> list[int]:
    """Return the indices of at least `count` points, or of all: front by front, the least crowded of a front first.

    The whole front is returned in which the last of them is.
    """
    left, found = list(range(len(points))), list[int]()
    while left and len(found) < count:
        front = list[int]()
        for i in left:
            front = with_member(front, i, points.__getitem__)
        # of equal points a front has one
        values = {points[i] for i in front}
        front = [i for i in left if points[i] in values]
        distances = crowding([points[i] for i in front])
        found += [front[k] for k in sorted(range(len(front)), key=lambda k: -distances[k])]
        taken = set(front)
        left = [i for i in left if i not in taken]
    return found


def crowding(points: Sequence[Values]) -> list[float]:
    """Return each point's crowding distance within its front: infinite at the ends of every objective.

    Source: Deb et al. 2002, section III.B; each objective is scaled by its range in the front.
    """
    distances = [0.0] * len(points)
    for k in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda i: points[i][k])
        span = points[order[-1]][k] - points[order[0]][k]
        distances[order[0]] = distances[order[-1]] = float("inf")
        for before, i, after in zip(order, order[1:], order[2:], strict=False):
            if span:
                distances[i] += (points[after][k] - points[before][k]) / span
    return distances


def hypervolume(points: Sequence[Values], reference: Values) -> float:
    """Return the volume that the points dominate above the reference point.

    Exact for any number of objectives, by slicing along the last one; the cost grows with a power of their number.
    """
    above = [point for point in points if all(a > b for a, b in zip(point, reference, strict=True))]
    if not above:
        return 0.0
    if len(reference) == 1:
        return max(point[0] for point in above) - reference[0]
    volume = 0.0
    # slices between neighbouring levels of the last objective; in each, the points that reach above it count
    levels = sorted({point[-1] for point in above})
    for low, high in zip([reference[-1], *levels], levels, strict=False):
        top = [point[:-1] for point in above if point[-1] >= high]
        volume += (high - low) * hypervolume(top, reference[:-1])
    return volume
