"""A predictor of architectures, fitted to the evaluations of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from nas.history import Evaluated, History
from nas.predictors.encoding import Encoding, coded
from nas.predictors.predictor import Predictor

T = TypeVar("T")

if TYPE_CHECKING:
    from nas.predictors.predictor import Values

    Predicted = Callable[[Sequence[Any]], tuple[Values, Values]]
    """From architectures to the mean and the standard deviation of each value, both (N,)."""

    PredictedFeatures = Callable[[Sequence[frozenset[str]]], tuple[Values, Values]]
    """The same from the features of architectures."""


def fitted(
    predictor: Predictor,
    encoding: Encoding,
    space: Any,
    history: History,
    known: Sequence[Evaluated],
    objective: int = 0,
) -> Predicted:
    """Fit a predictor to evaluations by one of the objectives; features that none of them has are left out.

    Evaluations outside the limits count as worse than all within, by how far they are outside. The seed is the number of
    evaluations, so that a resumed search has the same predictor.
    """
    import numpy as np

    features = [encoding.features(space, done.architecture) for done in known]
    values = np.array(_values(history, known, objective))
    predict = fitted_to_features(predictor, encoding, features, values, len(known))

    def predicted(architectures: Sequence[Any]) -> tuple[Values, Values]:
        return predict([encoding.features(space, each) for each in architectures])

    return predicted


def fitted_to_features(
    predictor: Predictor, encoding: Encoding, features: Sequence[frozenset[str]], values: Values, seed: int
) -> PredictedFeatures:
    """Fit a predictor to the values of architectures by their features; others that are asked for later are left out."""
    vocabulary = encoding.vocabulary(features)
    predict = predictor.fit_named(list(vocabulary), coded(features, vocabulary), values, seed)
    return lambda asked: predict(coded(asked, vocabulary))


def _values(history: History, known: Sequence[Evaluated], objective: int) -> list[float]:
    values = [history.values(done)[objective] for done in known]
    excesses = [history.excess(done.scores) for done in known]
    within = [value for value, excess in zip(values, excesses, strict=True) if not excess]
    least, spread = min(within, default=min(values)), (max(values) - min(values)) or 1.0
    return [
        min(value, least) - min(excess, 1.0) * spread if excess else value
        for value, excess in zip(values, excesses, strict=True)
    ]


def made_once(history: History, key: str, count: int, make: Callable[[], T]) -> T:
    """Return what `make` made of the first `count` evaluations; it is made again where that number is another one."""
    kept: dict[int, T] = history.fold(key, _unchanged, {})
    if count not in kept:
        kept.clear()
        kept[count] = make()
    return kept[count]


def _unchanged(kept: dict[int, T], done: Evaluated) -> dict[int, T]:
    return kept


def fitted_to(evaluations: int, first: int, refit: int) -> int:
    """Return to how many evaluations a predictor is fitted by now: to `first`, then to every `refit` more."""
    return first + (evaluations - first) // refit * refit
