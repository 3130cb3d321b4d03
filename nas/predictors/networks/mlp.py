"""Perceptrons that train side by side, in numpy: at this size torch spends most of its time between operations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""The settings of Adam."""


@final
class Perceptrons:
    """Perceptrons of equal size with one output each, trained by Adam.

    `weights` has each layer's weights, (members, inputs, outputs), and `biases` its biases, (members, 1, outputs).
    """

    def __init__(self, members: int, sizes: Sequence[int], rng: np.random.Generator) -> None:
        # He et al. 2015, as ReLUs follow
        self.weights = [rng.normal(0, np.sqrt(2 / a), (members, a, b)) for a, b in pairwise(sizes)]
        self.biases = [np.zeros((members, 1, b)) for b in sizes[1:]]
        self.first, self.second = ([np.zeros_like(each) for each in (*self.weights, *self.biases)] for _ in range(2))
        self.steps = 0

    def predict(self, codes: Array) -> Array:
        """Return each member's prediction, (members, N), of codes (N, features)."""
        predicted: Array = self._outputs(codes)[-1][..., 0]
        return predicted

    def descend(self, codes: Array, targets: Array, lr: float, loss: Literal["squared", "absolute"]) -> None:
        """Take a step on the mean loss of each member; codes are (members, N, features), targets (members, N)."""
        self.steps += 1
        rate = lr * np.sqrt(1 - BETAS[1] ** self.steps) / (1 - BETAS[0] ** self.steps)
        gradients = self.gradients(codes, targets, loss)
        parameters = zip((*self.weights, *self.biases), gradients, self.first, self.second, strict=True)
        for parameter, gradient, first, second in parameters:
            first += (1 - BETAS[0]) * (gradient - first)
            second += (1 - BETAS[1]) * (gradient**2 - second)
            parameter -= rate * first / (np.sqrt(second) + EPSILON)

    def gradients(self, codes: Array, targets: Array, loss: Literal["squared", "absolute"]) -> list[Array]:
        """Return the gradients of the mean loss for all weights, then for all biases."""
        *inputs, predicted = self._outputs(codes)
        distance = predicted - targets[..., None]
        error = (2 * distance if loss == "squared" else np.sign(distance)) / targets.shape[1]
        of_weights, of_biases = list[Array](), list[Array]()
        for i in reversed(range(len(inputs))):
            of_weights.append(inputs[i].transpose(0, 2, 1) @ error)
            of_biases.append(error.sum(1, keepdims=True))
            if i:
                error = (error @ self.weights[i].transpose(0, 2, 1)) * (inputs[i] > 0)
        return of_weights[::-1] + of_biases[::-1]

    def _outputs(self, codes: Array) -> list[Array]:
        """Return the codes, and the outputs of every layer, (members, N, units)."""
        outputs = [codes]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            x = outputs[-1] @ weight + bias
            outputs.append(x if i == len(self.weights) else np.maximum(x, 0))
        return outputs
