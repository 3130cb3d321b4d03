"""Acquisition functions: how promising a candidate is, given what a predictor says of it. All maximise."""

from __future__ import annotations

from math import erf, pi, sqrt
from random import Random
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nas.predictors.predictor import Values

Acquisition = Literal["its", "ucb", "ei", "pi", "mean"]
"""Independent Thompson sampling, upper confidence bound, expected improvement, probability of improvement, and the mean alone."""


def acquire(kind: Acquisition, mean: Values, deviation: Values, best: float, rng: Random) -> Values:
    """Return the acquisition of each candidate, (N,); `best` is the best value that was measured.

    Independent Thompson sampling draws a value for each candidate (White et al. 2021, arXiv:1910.11858, section 4.3); the
    confidence bound is half a deviation above the mean, as in naszilla.
    """
    import numpy as np

    if kind == "mean":
        return mean
    if kind == "its":
        drawn: Values = mean + deviation * np.array([rng.gauss(0, 1) for _ in mean])
        return drawn
    if kind == "ucb":
        bound: Values = mean + deviation * 0.5
        return bound
    deviation = np.maximum(deviation, 1e-12)
    z = (mean - best) / deviation
    probability = np.array([0.5 * (1 + erf(each / sqrt(2))) for each in z])
    if kind == "pi":
        return probability
    density = np.exp(-(z**2) / 2) / sqrt(2 * pi)
    improvement: Values = (mean - best) * probability + deviation * density
    return improvement
