"""Encoding: an architecture as the features that a predictor reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.records import RecordError

if TYPE_CHECKING:
    from nas.predictors.predictor import Codes


class Encoding(ABC):
    """The features of architectures, as texts; a record."""

    @abstractmethod
    def features(self, space: Any, architecture: Any) -> frozenset[str]:
        """Return the features that an architecture of the space has."""

    def vocabulary(self, known: Iterable[frozenset[str]]) -> Mapping[str, int]:
        """Return the column of each feature that known architectures have, those of the shortest text first."""
        found = sorted(set[str]().union(*known), key=lambda feature: (feature.count(STEP), feature))
        return {feature: column for column, feature in enumerate(found)}


STEP = ">"
"""What stands between the parts of a feature, such as the operations along a path."""


def coded(features: Sequence[frozenset[str]], vocabulary: Mapping[str, int]) -> Codes:
    """Return codes (N, features of the vocabulary): 1 where an architecture has the feature, else 0."""
    import numpy as np

    if not vocabulary:
        raise RecordError("no architecture has a feature: give another encoding, as OneHot")
    codes = np.zeros((len(features), len(vocabulary)))
    for row, each in enumerate(features):
        codes[row, [vocabulary[feature] for feature in each if feature in vocabulary]] = 1
    return codes
