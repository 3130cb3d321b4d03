"""Gaussian processes on codes: Rasmussen and Williams 2006, chapters 2, 4 and 5, by scikit-learn."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from nas.predictors.predictor import Predictor
from nas.records import Positive, RecordError, record

if TYPE_CHECKING:
    from sklearn.gaussian_process.kernels import Kernel

    from nas.predictors.predictor import Codes, Predict, Values

LENGTHS = (0.5, 20.0)
"""The bounds of the kernel's length, in typical distances of two architectures."""


@record
class GaussianProcess(Predictor):
    """A Gaussian process with noise, whose kernel goes by how many features differ.

    The squared distance of two codes of zeros and ones is their Hamming distance d. `kernel` is "rbf", exp(-d / 2l²), or
    "matern", of smoothness 5/2, in the root of d (section 4.2). The values are standardised. Amplitude, length l and noise
    maximise the marginal likelihood (section 5.4.1) of at most `tuned_on` evaluations that the seed draws, from one start;
    then the process is conditioned on all evaluations. A fit to 500 takes 0.1 s; its cost grows as their cube.
    """

    kernel: Literal["rbf", "matern"] = "rbf"
    tuned_on: Positive = 100

    def check(self) -> None:
        if find_spec("sklearn") is None:
            raise RecordError("a Gaussian process needs scikit-learn: pip install 'cellstack[data]'", "predictor")

    def fit(self, codes: Codes, values: Values, seed: int) -> Predict:
        import numpy as np
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor as Process

        drawn = np.random.default_rng(seed).permutation(len(codes))[: self.tuned_on]
        center, scale = values.mean(), values.std() or 1.0
        targets = (values - center) / scale
        with warnings.catch_warnings():  # a setting at its bound is no fault: a table's values have hardly any noise
            warnings.simplefilter("ignore", ConvergenceWarning)
            kernel = Process(self._start(codes)).fit(codes[drawn], targets[drawn]).kernel_
        process = Process(kernel, optimizer=None).fit(codes, targets)

        def predict(new: Codes) -> tuple[Values, Values]:
            mean, deviation = process.predict(new, return_std=True)
            return center + scale * mean, scale * deviation

        return predict

    def _start(self, codes: Codes) -> Kernel:
        """Return the kernel before it is tuned; its length is the typical distance of two of the codes."""
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

        distance = float(2 * codes.var(0).sum()) ** 0.5 or 1.0
        bounds = (LENGTHS[0] * distance, LENGTHS[1] * distance)
        shape = RBF(distance, bounds) if self.kernel == "rbf" else Matern(distance, bounds, nu=2.5)
        return ConstantKernel(1.0, (1e-2, 1e3)) * shape + WhiteKernel(0.1, (1e-3, 10.0))
