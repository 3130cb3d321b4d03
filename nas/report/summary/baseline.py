"""The random search baseline: simulated on the run's table, or estimated from the run's own random proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.table import Table
from nas.evaluation.table_file import load_table
from nas.history import read_objective
from nas.records import RecordError
from nas.report.summary.summary import Band, Baseline

Floats = NDArray[np.float64]

SEEDS, POINTS, LEAST = 100, 160, 5
"""The number of simulated random searches, the points of a curve, and the least number of draws for an estimate."""

LOW, HIGH = 10.0, 90.0
"""The percentiles that bound a band."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The evaluations and seconds that a search has spent, and whether it pays again for an architecture it has seen."""

    evaluations: int
    seconds: float
    pays_again: bool


def random_baseline(
    table: Table | None, objective: str | Sequence[str], spent: Spent, drawn: Sequence[float]
) -> Baseline | str:
    """Return the baseline of a search, or the reason why there is none: exact where there is a table, else estimated.

    `drawn` are the scores of the random proposals.
    """
    name, sign = read_objective(objective)
    if table is not None and table.seconds and table.validation and name == "validation_top1_percent":
        try:
            return simulated(table, sign, spent)
        except RecordError:
            pass  # the table is not on this machine: estimate from the run's own draws
    if len(drawn) < LEAST:
        return f"only {len(drawn)} random proposals were scored, and an estimate of random search needs {LEAST}"
    return estimated(drawn, sign, spent.seconds / spent.evaluations)


def grid(least: float, most: float, whole: bool) -> Floats:
    """Return points from `least` to `most`: half of them geometric, so dense at the start, where curves are steep."""
    if most <= least:
        return np.array([float(most)])
    early = np.geomspace(least or most / 1000, most, POINTS // 2)
    points = np.concatenate([early, np.linspace(least, most, POINTS // 2)])
    return np.unique(np.rint(points) if whole else points)


def simulated(evaluator: Table, sign: float, spent: Spent) -> Baseline:
    """Simulate random search on the run's table with the seeds 0 to 99, for as long as the run took.

    A repeated architecture takes no time unless the search pays for it again. A simulation also ends once every row of the
    table was drawn. Raises RecordError where the table cannot be loaded.
    """
    assert evaluator.validation is not None
    assert evaluator.seconds is not None
    table = load_table(evaluator.table)
    values = sign * np.asarray(table.column(evaluator.validation))
    costs = evaluator.seconds_offset + evaluator.seconds_per_unit * np.asarray(table.column(evaluator.seconds))
    runs = [_random_run(values, costs, spent, seed) for seed in range(SEEDS)]
    at_evaluations = grid(1, spent.evaluations, whole=True)
    first = max(float(times[0]) for _, times, _ in runs)
    at_seconds = grid(first, max(spent.seconds, first), whole=False)
    by_evaluations = np.array([_best_at(at_evaluations, draws, best) for draws, _, best in runs])
    by_seconds = np.array([_best_at(at_seconds, times, best) for _, times, best in runs])
    return Baseline(
        f"Random search, simulated {SEEDS} times on the same table",
        _band(at_evaluations, by_evaluations, sign),
        _band(at_seconds, by_seconds, sign),
    )


def _best_at(points: Floats, reached: Floats, best: Floats) -> Floats:
    """Return the best so far at each of `points`: a step function that takes the value best[i] at reached[i]."""
    found: Floats = best[np.searchsorted(reached, points, side="right") - 1]
    return found


def _random_run(values: Floats, costs: Floats, spent: Spent, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return the improvements of one random search: the draws until each, the seconds until each, and its value."""
    rng, rows, first = np.random.default_rng(seed), np.empty(0, dtype=np.int64), np.empty(len(values), dtype=np.int64)
    while True:
        # repeats may be free, so the draws needed for `seconds` are unknown: draw in batches that double
        rows = np.append(rows, rng.integers(len(values), size=max(spent.evaluations, len(rows))))
        places = np.arange(len(rows))
        first[rows[::-1]] = places[::-1]  # reversed, so that a row's first place is assigned last
        is_new = first[rows] == places
        times: Floats = np.cumsum(costs[rows] * (is_new | spent.pays_again))
        if times[-1] >= spent.seconds or is_new.sum() == len(values):
            best: Floats = np.maximum.accumulate(values[rows])
            steps = np.flatnonzero(np.diff(best, prepend=-np.inf))  # where the best so far rises; the first draw always
            return (steps + 1).astype(np.float64), times[steps], best[steps]


def _band(x: Floats, runs: Floats, sign: float) -> Band:
    # sorted, as a negative sign (a minimised objective) swaps the percentiles
    low, high = np.sort(sign * np.percentile(runs, [LOW, HIGH], axis=0), axis=0)
    return Band(x.tolist(), (sign * runs.mean(axis=0)).tolist(), low.tolist(), high.tolist())


def estimated(values: Sequence[float], sign: float, seconds_each: float) -> Baseline:
    """Estimate random search from the N scores of a run's own random proposals, at `seconds_each` seconds per draw.

    The expected best of n draws is the mean of the maximum over all subsets of n of the N values:
    the sum of v(i) C(i-1, n-1) / C(N, n), with v ascending. It is unbiased, and defined up to n = N.
    """
    ascending = np.sort(sign * np.asarray(values, dtype=np.float64))
    draws = grid(1, len(ascending), whole=True)
    below = np.array([_share_below(len(ascending), int(n)) for n in draws])  # P(best of n <= v(i)): a row per n
    mean = np.diff(below, prepend=0.0, axis=1) @ ascending  # differences of P(best <= v(i)) are P(best = v(i))
    low, high = (_quantile(ascending, below, percent / 100) for percent in (LOW, HIGH))
    # sorted, as in _band: for a minimised objective the low quantile of -value is the high one of the value
    edges = np.sort(np.array([sign * low, sign * high]), axis=0)
    lines = (sign * mean).tolist(), edges[0].tolist(), edges[1].tolist()
    source = f"Random search, estimated from the run's own {len(values)} random proposals"
    return Baseline(source, Band(draws.tolist(), *lines), Band((draws * seconds_each).tolist(), *lines))


def _share_below(number: int, draws: int) -> Floats:
    """Return P(the best of `draws` is at most v(i)) = C(i, draws) / C(number, draws), for i from 1 to `number`."""
    # by log factorials, since the binomials overflow
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, number + 1)))])  # logs[n] = log n!
    i = np.arange(draws, number + 1)
    ways = np.exp(logs[i] - logs[i - draws] + logs[number - draws] - logs[number])
    return np.concatenate([np.zeros(draws - 1), ways])  # the best of n draws cannot be among the n - 1 worst


def _quantile(ascending: Floats, below: Floats, share: float) -> Floats:
    """Return a quantile of the best of n for each row of `below`: the least value whose probability reaches `share`."""
    # argmax of booleans is the first True; 1e-9 absorbs the rounding of the exponentials
    found: Floats = ascending[np.argmax(below >= share - 1e-9, axis=1)]
    return found
