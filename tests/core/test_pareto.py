"""Pareto dominance beside brute force."""

from __future__ import annotations

import math
from random import Random

import pytest

from nas.history import History, Limit, Proposal
from nas.pareto import Values, crowding, dominates, front_by_front, fronts, hypervolume
from nas.records import RecordError


def drawn(number: int, objectives: int, seed: int) -> list[Values]:
    rng = Random(seed)
    return [tuple(float(rng.randrange(6)) for _ in range(objectives)) for _ in range(number)]


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_fronts_are_peeled_one_after_another(objectives: int, seed: int) -> None:
    points = drawn(30, objectives, seed)
    left, found = set(range(len(points))), fronts(points)
    for front in found:
        assert set(front) == {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        left -= set(front)
    assert not left


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 7, 30])
def test_the_first_fronts_are_those_of_all(objectives: int, count: int) -> None:
    points = drawn(30, objectives, count)
    found, wanted = front_by_front(points, count), list[list[int]]()
    for front in fronts(points):
        if sum(map(len, wanted)) < count:
            wanted.append(front)
    assert len(found) == len(set(found)) == sum(map(len, wanted))
    for front in wanted:
        own = found[: len(front)]
        found = found[len(front) :]
        assert set(own) == set(front)
        distances = dict(zip(front, crowding([points[i] for i in front]), strict=True))
        assert [distances[i] for i in own] == pytest.approx(sorted(distances.values(), reverse=True))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_the_hypervolume_is_the_number_of_unit_cubes_below_the_points(objectives: int, seed: int) -> None:
    points = drawn(12, objectives, seed)
    cubes = [()]
    for _ in range(objectives):
        cubes = [(*cube, low) for cube in cubes for low in range(6)]
    below = [cube for cube in cubes if any(all(a > c for a, c in zip(point, cube, strict=True)) for point in points)]
    assert hypervolume(points, (0.0,) * objectives) == pytest.approx(len(below))


def test_points_that_do_not_reach_the_reference_have_no_volume() -> None:
    assert hypervolume([(1.0, 5.0)], (1.0, 0.0)) == 0
    assert hypervolume([], (0.0, 0.0)) == 0


def test_the_ends_of_a_front_are_least_crowded() -> None:
    assert crowding([(0.0, 4.0), (1.0, 3.0), (3.0, 1.0), (4.0, 0.0)]) == [math.inf, 1.5, 1.5, math.inf]
    assert crowding([(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)])[1] == 0


def evaluated(scores: list[dict[str, float]], objective: tuple[str, ...], limits: dict[str, Limit]) -> History:
    history = History(objective, limits)
    for number, each in enumerate(scores):
        history.finish(history.start(Proposal((number,))), each)
    return history


def test_the_front_has_what_no_other_dominates_within_the_limits() -> None:
    pairs = [(90, 5), (92, 7), (91, 7), (92, 7), (95, 20), (80, 1)]
    history = evaluated([{"top1": a, "ms": b} for a, b in pairs], ("top1", "-ms"), {"ms": Limit(most=10)})
    assert [each.number for each in history.front] == [1, 0, 5]
    assert history.best is not None
    assert history.best.number == 1
    assert next(each.number for each in history.ranked) == 4, "it is outside the limit"


def test_a_score_that_an_objective_or_a_limit_lacks_fails_the_evaluation() -> None:
    history = evaluated([{"top1": 1.0}, {"top1": 1.0, "ms": math.nan}], ("top1", "-ms"), {})
    assert [each.failure for each in history.failures] == ["ms is missing: the scores are top1", "ms is nan"]
    assert evaluated([{"top1": 1.0}], ("top1",), {"ms": Limit(most=1)}).failures[0].failure is not None


def test_each_evaluation_is_folded_in_once() -> None:
    history, seen = evaluated([{"top1": float(i)} for i in range(3)], ("top1",), {}), list[int]()

    def step(state: int, done: object) -> int:
        seen.append(getattr(done, "number", -1))
        return state + 1

    assert history.fold("count", step, 0) == history.fold("count", step, 0) == 3
    history.finish(history.start(Proposal((3,))), {"top1": 0.0})
    assert history.fold("count", step, 0) == 4
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [({}, "the limit has no bound"), ({"most": 1.0, "least": 2.0}, "the limit has least 2 above most 1")],
)
def test_a_limit_that_bounds_nothing_or_everything_is_refused(bounds: dict[str, float], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        Limit(**bounds)
