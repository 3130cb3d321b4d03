"""Forests of regression trees: Breiman 2001 (random) and Geurts et al. 2006 (extremely randomised), by scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from nas.predictors.predictor import Predictor
from nas.records import Range, RecordError, record

if TYPE_CHECKING:
    from nas.predictors.predictor import Codes, Predict, Values


@record
class Forest(Predictor):
    """A forest of `trees`, random or extremely randomised ("extra"); the spread of their predictions is the deviation."""

    trees: Annotated[int, Range(2)] = 100
    kind: Literal["random", "extra"] = "random"

    def check(self) -> None:
        if find_spec("sklearn") is None:
            raise RecordError("a forest needs scikit-learn: pip install 'cellstack[data]'", "predictor")

    def fit(self, codes: Codes, values: Values, seed: int) -> Predict:
        import numpy as np
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

        cls = RandomForestRegressor if self.kind == "random" else ExtraTreesRegressor
        forest = cls(self.trees, random_state=seed).fit(codes, values)

        def predict(new: Codes) -> tuple[Values, Values]:
            outputs = np.stack([tree.predict(new) for tree in forest.estimators_])
            return outputs.mean(0), outputs.std(0)

        return predict
