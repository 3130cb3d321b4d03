"""A predictor of architectures, fitted to the evaluations of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nas.history import Evaluated, History
from nas.predictors.encoding import Encoding, coded
from nas.predictors.predictor import Predictor

if TYPE_CHECKING:
    from nas.predictors.predictor import Values

    Predicted = Callable[[Sequence[Any]], tuple[Values, Values]]
    """From architectures to the mean and the standard deviation of each value, both (N,)."""


def fitted(
    predictor: Predictor, encoding: Encoding, space: Any, history: History, known: Sequence[Evaluated]
) -> Predicted:
    """Fit a predictor to evaluations; features that none of them has are left out, since nothing is known of them.

    Its seed is their number, so that a resumed search has the same predictor.
    """
    import numpy as np

    features = [encoding.features(space, done.architecture) for done in known]
    vocabulary = encoding.vocabulary(features)
    values = np.array([history.value(done) for done in known], dtype=float)
    predict = predictor.fit(coded(features, vocabulary), values, len(known))

    def predicted(architectures: Sequence[Any]) -> tuple[Values, Values]:
        return predict(coded([encoding.features(space, each) for each in architectures], vocabulary))

    return predicted
