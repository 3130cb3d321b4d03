"""The decisions of an architecture as features."""

from __future__ import annotations

from typing import Any

from nas.predictors.encoding import Encoding
from nas.records import record
from nas.space import decisions


@record
class OneHot(Encoding):
    """One feature for each decision, in any space: the option that a choice took."""

    def features(self, space: Any, architecture: Any) -> frozenset[str]:
        return frozenset(f"{name}={decision}" for name, decision in decisions(space, architecture).items())
