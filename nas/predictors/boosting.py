"""Gradient boosting of regression trees: Friedman 2001, by scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from nas.predictors.predictor import Predictor
from nas.records import Positive, Range, RecordError, record

if TYPE_CHECKING:
    from nas.predictors.predictor import Codes, Predict, Values


@record
class Boosting(Predictor):
    """Boosted trees of at most `depth`; several `members`, each on half of the data for each tree, give the deviation."""

    members: Annotated[int, Range(2)] = 3
    trees: Positive = 100
    depth: Positive = 3
    lr: Annotated[float, Range(1e-6)] = 0.1

    def check(self) -> None:
        if find_spec("sklearn") is None:
            raise RecordError("boosting needs scikit-learn: pip install 'cellstack[data]'", "predictor")

    def fit(self, codes: Codes, values: Values, seed: int) -> Predict:
        import numpy as np
        from sklearn.ensemble import GradientBoostingRegressor

        part = max(0.5, 1 / len(codes))
        settings = {"n_estimators": self.trees, "max_depth": self.depth, "learning_rate": self.lr, "subsample": part}
        members = [
            GradientBoostingRegressor(**settings, random_state=seed * self.members + i).fit(codes, values)
            for i in range(self.members)
        ]

        def predict(new: Codes) -> tuple[Values, Values]:
            outputs = np.stack([member.predict(new) for member in members])
            return outputs.mean(0), outputs.std(0)

        return predict
