"""Rank correlations of the scores of a search's evaluations with one of them, such as proxies with the accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.history import History
from nas.records import RecordError, nearest
from nas.runs.evaluations import history_of
from nas.runs.experiment import load
from nas.runs.statistics import LEVEL_PERCENT, Interval
from nas.votes import majority_votes

VOTERS = ("synflow", "jacob_cov", "snip")
"""The scores of the vote in Abdelfattah et al. 2021 (arXiv:2101.08134)."""

BEST_PERCENT = 20.0
"""The part of the architectures that counts as the best: a search has to choose among these."""

DRAWS = 2_000
"""The number of resamples of an interval."""

LEAST = 5
"""The least number of architectures of a correlation."""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """How a score ranks architectures beside `truth`: Spearman's rho and Kendall's tau, the former also within the best.

    The best are the fifth of the highest truth. Intervals are 95 % percentile bootstraps over architectures; a correlation is
    None where a score is the same for all.
    """

    score: str
    spearman: float | None
    interval: Interval | None
    kendall: float | None
    within_best: float | None
    within_best_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Correlations:
    """The correlations of all scores with `truth`, the highest first; `left_out` evaluations lack one of them."""

    truth: str
    architectures: int
    left_out: int
    rows: Sequence[RankCorrelation]


def correlate_run(folder: Path, truth: str | None = None) -> Correlations:
    """Return the correlations of the scores of a search with one of them, by default its objective.

    Each architecture counts once. Raises RecordError where there is no such score, or fewer than 5 architectures have it.
    """
    if not (folder / "experiment.yaml").is_file():
        raise RecordError(f"{folder} is no run folder of a search: it has no experiment.yaml")
    history = history_of(folder, load(folder / "experiment.yaml").rules)
    return correlate(history, truth or history.objective, str(folder))


def correlate(history: History, truth: str, where: str) -> Correlations:
    """Return the correlations of the scores of a history with one of them, by the evaluations that have all scores."""
    known = dict.fromkeys(name for done in history.scored for name in done.scores)
    if truth not in known:
        raise RecordError(f"the evaluations of {where} have no score {truth!r}: {nearest(truth, known)}")
    distinct = {done.digest: done.scores for done in history.scored}
    whole = [scores for scores in distinct.values() if len(scores) == len(known)]
    if len(whole) < LEAST:
        raise RecordError(f"{len(whole)} architectures of {where} have all scores: evaluate at least {LEAST}")
    columns = {name: [scores[name] for scores in whole] for name in known}
    values = columns.pop(truth)
    if all(name in columns for name in VOTERS):
        voters = [columns[name] for name in VOTERS]
        columns["vote"] = [float(wins) for wins in majority_votes(list(zip(*voters, strict=True)))]
    rows = [_row(name, column, values) for name, column in columns.items()]
    rows.sort(key=lambda row: -2.0 if row.spearman is None else row.spearman, reverse=True)
    return Correlations(truth, len(whole), len(distinct) - len(whole), rows)


def _row(name: str, scores: Sequence[float], truth: Sequence[float]) -> RankCorrelation:
    from scipy.stats import kendalltau

    x, y = np.asarray(scores, float), np.asarray(truth, float)
    best = y >= np.quantile(y, 1 - BEST_PERCENT / 100)
    tau = float(kendalltau(x, y).statistic)
    return RankCorrelation(
        name,
        spearman(x, y),
        bootstrap(x, y),
        None if np.isnan(tau) else tau,
        spearman(x[best], y[best]),
        bootstrap(x[best], y[best]),
    )


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; None where one of them is constant, or has fewer than 5 values."""
    found = float(_spearmans(x[None], y[None])[0])
    return None if np.isnan(found) or len(x) < LEAST else found


def bootstrap(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Interval | None:
    """Return the 95 % interval of Spearman's rank correlation by the percentile bootstrap over architectures."""
    rows = np.random.default_rng(seed).integers(len(x), size=(DRAWS, len(x)))
    found = _spearmans(x[rows], y[rows])
    if np.isnan(found).all() or len(x) < LEAST:
        return None
    outside = (100.0 - LEVEL_PERCENT) / 2
    low, high = np.nanpercentile(found, (outside, 100.0 - outside))
    return float(low), float(high)


def _spearmans(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the rank correlation of each row of (draws, architectures); NaN where a row is constant."""
    from scipy.stats import rankdata

    a, b = (rankdata(each, axis=1) - (each.shape[1] + 1) / 2 for each in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return found


def as_plain(found: Correlations) -> Mapping[str, object]:
    """Return correlations as plain data, for JSON."""
    return {
        "truth": found.truth,
        "architectures": found.architectures,
        "left_out": found.left_out,
        "scores": {
            row.score: {name: getattr(row, name) for name in RankCorrelation.__slots__ if name != "score"}
            for row in found.rows
        },
    }
