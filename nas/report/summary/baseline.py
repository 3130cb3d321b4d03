"""Random search to compare with: on the run's own table, or by what is known of the run's own random proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.evaluation.tabular import Tabular, load_table
from nas.record import RecordError
from nas.report.summary.summary import Band, Baseline

Floats = NDArray[np.float64]

SEEDS, POINTS, LEAST = 100, 160, 5
"""How many random searches are simulated, at how many points a curve is given, and from how many draws one is estimated."""

LOW, HIGH = 10.0, 90.0
"""The percentiles between which a band lies."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a search has spent: so many evaluations in so many seconds, and whether equal ones are paid for again."""

    evaluations: int
    seconds: float
    pays_again: bool


def random_baseline(evaluator: object, objective: str, spent: Spent, drawn: Sequence[float]) -> Baseline | str:
    """Return the baseline of a search, or why there is none; `drawn` are the scores of its own random proposals."""
    sign = -1.0 if objective.startswith("-") else 1.0
    if isinstance(evaluator, Tabular) and objective.removeprefix("-") == "validation_top1_percent":
        try:
            return simulated(evaluator, sign, spent)
        except RecordError:
            pass  # the table is elsewhere: then what the run itself drew has to do
    if len(drawn) < LEAST:
        return f"{len(drawn)} random proposals were scored: from {LEAST} on, random search can be estimated"
    return estimated(drawn, sign, spent.seconds / spent.evaluations)


def grid(least: float, most: float, whole: bool) -> Floats:
    """Return points from `least` to `most`, dense at the beginning, where curves are steep."""
    if most <= least:
        return np.array([float(most)])
    early = np.geomspace(least or most / 1000, most, POINTS // 2)
    points = np.concatenate([early, np.linspace(least, most, POINTS // 2)])
    return np.unique(np.rint(points) if whole else points)


def simulated(evaluator: Tabular, sign: float, spent: Spent) -> Baseline:
    """Draw from the run's table as random search does, with the seeds 0 to 99, for as long as the run took.

    An architecture that is drawn again takes no time unless the search pays for it again. Raises RecordError where the table
    is not to be had.
    """
    table = load_table(evaluator.table)
    values = sign * np.asarray(table.column(evaluator.validation))
    costs = evaluator.seconds_offset + evaluator.seconds_per_unit * np.asarray(table.column(evaluator.seconds))
    enough = 1.3 * spent.seconds / max(float(costs.mean()), 1e-9)  # draws, to fill the time by chance or not
    draws = max(spent.evaluations, min(int(enough), 4 * spent.evaluations))
    runs = [_random_run(values, costs, draws, spent.pays_again, seed) for seed in range(SEEDS)]
    at_evaluations = grid(1, spent.evaluations, whole=True)
    first = max(float(times[0]) for _, times in runs)
    at_seconds = grid(first, max(spent.seconds, first), whole=False)
    by_evaluations = np.array([best[at_evaluations.astype(int) - 1] for best, _ in runs])
    by_seconds = np.array([best[np.searchsorted(times, at_seconds, side="right") - 1] for best, times in runs])
    return Baseline(
        f"Random search, simulated {SEEDS} times on the same table",
        _band(at_evaluations, by_evaluations, sign),
        _band(at_seconds, by_seconds, sign),
    )


def _random_run(values: Floats, costs: Floats, draws: int, pays_again: bool, seed: int) -> tuple[Floats, Floats]:
    """Return the best so far, and the seconds spent, after each draw of one random search."""
    rows = np.random.default_rng(seed).integers(len(values), size=draws)
    spent = costs[rows]
    if not pays_again:
        is_new = np.zeros(draws, dtype=bool)
        is_new[np.unique(rows, return_index=True)[1]] = True
        spent = spent * is_new
    return np.maximum.accumulate(values[rows]), np.cumsum(spent)


def _band(x: Floats, runs: Floats, sign: float) -> Band:
    low, high = np.sort(sign * np.percentile(runs, [LOW, HIGH], axis=0), axis=0)
    return Band(x.tolist(), (sign * runs.mean(axis=0)).tolist(), low.tolist(), high.tolist())


def estimated(values: Sequence[float], sign: float, seconds_each: float) -> Baseline:
    """Estimate random search by the values of a run's own random proposals, each of which took so many seconds.

    The best of n draws is expected to be the mean, over all ways to take n of the N values without putting back, of the highest:
    the sum of v(i) C(i-1, n-1) / C(N, n) over the values in ascending order; it is unbiased, and known up to N draws.
    """
    ascending = np.sort(sign * np.asarray(values, dtype=np.float64))
    draws = grid(1, len(ascending), whole=True)
    below = np.array([_share_below(len(ascending), int(n)) for n in draws])
    mean = np.diff(below, prepend=0.0, axis=1) @ ascending
    low, high = (_quantile(ascending, below, percent / 100) for percent in (LOW, HIGH))
    edges = np.sort(np.array([sign * low, sign * high]), axis=0)
    lines = (sign * mean).tolist(), edges[0].tolist(), edges[1].tolist()
    how = f"Random search, estimated from the run's own {len(values)} random proposals"
    return Baseline(how, Band(draws.tolist(), *lines), Band((draws * seconds_each).tolist(), *lines))


def _share_below(number: int, draws: int) -> Floats:
    """Return, for each of the ascending values, in what share of all ways to take `draws` of them none is higher."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, number + 1)))])
    i = np.arange(draws, number + 1)
    ways = np.exp(logs[i] - logs[i - draws] + logs[number - draws] - logs[number])
    return np.concatenate([np.zeros(draws - 1), ways])


def _quantile(ascending: Floats, below: Floats, share: float) -> Floats:
    """Return, for each row, the least value that is the highest drawn, or above it, in so large a share of the ways."""
    found: Floats = ascending[np.argmax(below >= share - 1e-9, axis=1)]
    return found
