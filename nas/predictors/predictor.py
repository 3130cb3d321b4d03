"""Predictor: what a strategy learns from the evaluations of a search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a strategy is imported without numpy
    import numpy as np
    from numpy.typing import NDArray

    Codes = NDArray[np.float64]
    """Architectures as numbers, (N, features)."""

    Values = NDArray[np.float64]
    """The values of architectures, (N,), to be maximised."""

    Predict = Callable[[Codes], tuple[Values, Values]]
    """A fitted predictor: from codes (N, features) to the mean and the standard deviation of each value, both (N,)."""


class Predictor(ABC):
    """A predictor of values; a record, whose fields are its settings."""

    def check(self) -> None:
        """Raise RecordError where a package that it needs is not installed; called before anything runs."""
        return

    @abstractmethod
    def fit(self, codes: Codes, values: Values, seed: int) -> Predict:
        """Return the predictor fitted to evaluated architectures; a function of its arguments alone."""

    def fit_named(self, names: Sequence[str], codes: Codes, values: Values, seed: int) -> Predict:
        """Fit to codes whose columns are the features `names`, for a predictor that reads these as well; here it is `fit`."""
        return self.fit(codes, values, seed)
