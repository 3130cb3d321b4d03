"""Statistics of scores over seeds: intervals by the bootstrap, paired comparisons, and their correction for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

import numpy as np

LEVEL_PERCENT = 95.0
"""The level of every interval."""

DRAWS = 10_000
"""The number of resamples of an interval, and of the random sign flips of a test."""

EXACT_PAIRS = 13
"""The number of pairs up to which a test tries all sign flips, of which there are 2^pairs, instead of drawing some."""

BLOCK = 500
"""The number of resamples that are in memory together."""

Interval = tuple[float, float]


def interval_text(limits: Interval | None) -> str:
    """Return an interval as text; empty where there is none."""
    return "" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The scores of some seeds: mean, standard deviation, and the 95 % bootstrap interval of the mean.

    The latter two are None for one seed.
    """

    mean: float
    std: float | None
    interval: Interval | None
    seeds: int

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean; None for one seed."""
        return None if self.std is None else self.std / sqrt(self.seeds)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two searches compared seed by seed: `first` minus `second`.

    `effect_size` is Cohen's d of paired scores, the mean difference over the standard deviation of the differences (d_z of Lakens
    2013); None where all differences are equal. `p_value` is that of the two-sided sign-flip test, and `holm_p_value` the same
    after Holm's correction for all comparisons made together.
    """

    first: str
    second: str
    pairs: int
    mean_difference: float
    interval: Interval
    effect_size: float | None
    p_value: float
    holm_p_value: float


def summarise_scores(scores: Sequence[float]) -> Summary:
    """Return the mean of the scores of at least one seed, with its deviation and interval where there are several."""
    if len(scores) == 1:
        return Summary(scores[0], None, None, 1)
    return Summary(fmean(scores), stdev(scores), bootstrap_interval(scores), len(scores))


def bootstrap_interval(scores: Sequence[float], seed: int = 0) -> Interval:
    """Return the 95 % interval of the mean by the percentile bootstrap (Efron 1979), a function of the scores and the seed.

    With fewer than about 20 scores it is too narrow, by a factor of about sqrt((n - 1) / n) and more (Hesterberg 2015).
    """
    values, rng = np.asarray(scores, float), np.random.default_rng(seed)
    blocks = (values[rng.integers(len(values), size=(BLOCK, len(values)))].mean(axis=1) for _ in range(DRAWS // BLOCK))
    outside = (100.0 - LEVEL_PERCENT) / 2
    low, high = np.percentile(np.concatenate(list(blocks)), (outside, 100.0 - outside))
    return float(low), float(high)


def sign_flip_p_value(differences: Sequence[float], seed: int = 0) -> float:
    """Return the two-sided p-value of paired differences: how often their mean is as far from 0 if each sign is a coin's.

    Exact up to 13 pairs; else by 10,000 random flips and the observed one, so that it is at least 1/10,001 (Phipson and Smyth
    2010). It assumes that the differences are distributed symmetrically around 0 where the searches are equal.
    """
    values = np.asarray(differences, float)
    observed = abs(values.sum()) * (1 - 1e-12)  # the order of a sum moves its last digits
    if len(values) <= EXACT_PAIRS:
        bits = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        return float((abs((1 - 2 * bits) @ values) >= observed).mean())
    rng, reached = np.random.default_rng(seed), 0
    for _ in range(DRAWS // BLOCK):
        signs = 1 - 2 * rng.integers(2, size=(BLOCK, len(values)))
        reached += int((abs(signs @ values) >= observed).sum())
    return (reached + 1) / (DRAWS + 1)


def effect_size(differences: Sequence[float]) -> float | None:
    """Return Cohen's d of paired differences: their mean over their standard deviation; None where that is 0."""
    deviation = stdev(differences)
    return fmean(differences) / deviation if deviation > 0 else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number by Holm's step-down method (Holm 1979), in the same order."""
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected


def compare_pairs(scores: Mapping[str, Mapping[int, float]]) -> list[Paired]:
    """Return the comparisons of all pairs of searches with at least two seeds in common; `scores` are by search and seed."""
    found: list[tuple[str, str, list[float]]] = []
    for first, second in combinations(scores, 2):
        common = sorted(scores[first].keys() & scores[second].keys())
        if len(common) > 1:
            found.append((first, second, [scores[first][seed] - scores[second][seed] for seed in common]))
    p_values = [sign_flip_p_value(differences) for _, _, differences in found]
    return [
        Paired(
            first,
            second,
            len(differences),
            fmean(differences),
            bootstrap_interval(differences),
            effect_size(differences),
            p_value,
            corrected,
        )
        for (first, second, differences), p_value, corrected in zip(found, p_values, holm(p_values), strict=True)
    ]


def relative_improvement_percent(score: float, average_score: float) -> float:
    """Return by how many percent a score is above that of the average architecture of the space (Yang et al. 2020, section 3).

    RI = 100 (score - average) / average; `average_score` is the mean over all architectures, or over random ones.
    """
    return 100.0 * (score - average_score) / average_score
