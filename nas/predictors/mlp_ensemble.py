"""An ensemble of small neural networks: White et al. 2021, arXiv:1910.11858, section 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from nas.predictors.predictor import Predictor
from nas.records import Positive, Range, record

if TYPE_CHECKING:
    from nas.predictors.predictor import Codes, Predict, Values


STEPS = 8
"""The most steps of an epoch: beyond it batches grow, so that a fit costs the same at 300 evaluations and at 1,000."""


@record
class MlpEnsemble(Predictor):
    """Networks of `layers` hidden layers of `width` units, trained by Adam; the spread of their predictions is the deviation.

    The values are standardised. Each member trains on its own order of the data, from its own initial weights. naszilla,
    the released code of BANANAS, has five members of 10 layers of 20 units, lr 0.01, 150 epochs in batches of 32, on the
    absolute error; for all of its epochs, give more `steps`. The defaults rank as well on NAS-Bench-201, in a fraction of the
    time. A fit takes at most `steps` steps, but one epoch at least: from 128 evaluations on fewer epochs, so that a fit to
    500 takes 0.2 s.
    """

    members: Annotated[int, Range(2)] = 5
    layers: Positive = 2
    width: Positive = 32
    epochs: Positive = 100
    batch: Positive = 32
    lr: Annotated[float, Range(1e-6)] = 0.01
    loss: Literal["squared", "absolute"] = "absolute"
    steps: Positive = 300

    def fit(self, codes: Codes, values: Values, seed: int) -> Predict:
        import numpy as np

        from nas.predictors.networks.mlp import Perceptrons

        rng = np.random.default_rng(seed)
        center, scale = values.mean(), values.std() or 1.0
        targets, batch = (values - center) / scale, min(max(self.batch, len(codes) // STEPS), len(codes))
        networks = Perceptrons(self.members, [codes.shape[1], *[self.width] * self.layers, 1], rng)
        for _ in range(min(self.epochs, max(1, self.steps // (len(codes) // batch)))):
            orders = np.stack([rng.permutation(len(codes)) for _ in range(self.members)])
            for start in range(0, len(codes) - batch + 1, batch):
                chosen = orders[:, start : start + batch]
                networks.descend(codes[chosen], targets[chosen], self.lr, self.loss)

        def predict(new: Codes) -> tuple[Values, Values]:
            outputs = networks.predict(new)
            return center + scale * outputs.mean(0), scale * outputs.std(0)

        return predict
