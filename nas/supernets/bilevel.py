"""The bilevel step: the architecture parameters (alphas) follow the loss on their own batch of images.

First order takes that loss at the current weights, second order after one SGD step of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.records import RecordError
from nas.supernets.policy import Policy

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W), normalised, and labels (B,)."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchOutcome:
    """The outcome of a forward pass on B images: the mean `loss`, (), and the number of correct images, `hits`, ()."""

    loss: Tensor
    hits: Tensor

    @staticmethod
    def of(logits: Tensor, labels: Tensor) -> BatchOutcome:
        """Return the cross-entropy and the hits of logits (B, classes)."""
        hits = (logits.detach().argmax(1) == labels).sum()
        return BatchOutcome(functional.cross_entropy(logits, labels), hits)

    def detach(self) -> BatchOutcome:
        """Return the outcome with the loss detached from the autograd graph."""
        return BatchOutcome(self.loss.detach(), self.hits)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of the alphas: the supernet's `model` and `policy`, a batch for the weights and one for the alphas.

    `outcome` runs the supernet on a batch, optionally with other parameters, given by name (`model.*` and `policy.*`).
    `penalty` is added to the loss on the alphas' batch. The next weight update uses `lr`, `momentum` and `weight_decay`;
    `velocities` are its momentum buffers. `all_reduce_mean` works in place.
    """

    model: nn.Module
    policy: Policy
    weights_batch: Batch
    alphas_batch: Batch
    outcome: Callable[..., BatchOutcome]
    penalty: Callable[[], Tensor | None]
    lr: float
    momentum: float
    weight_decay: float
    velocities: Sequence[Tensor | None]
    all_reduce_mean: Callable[[Sequence[Tensor]], None]
    workers: int = 1
    nesterov: bool = False

    @property
    def weights(self) -> list[nn.Parameter]:
        """The parameters of the model, without those of the policy."""
        return list(self.model.parameters())

    @property
    def alphas(self) -> list[nn.Parameter]:
        """The parameters of the policy."""
        return list(self.policy.parameters())

    def loss(self, batch: Batch, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return the supernet's loss on a batch, optionally with other parameters, given by name."""
        return self.outcome(batch, parameters).loss


def first_order(step: Step) -> BatchOutcome:
    """Set the alphas' gradients to those of the loss at the current weights.

    Gradients of the weights are not computed, which saves their part of the backward pass.
    """
    outcome = step.outcome(step.alphas_batch)
    set_gradients(step.alphas, torch.autograd.grad(_penalised(step, outcome.loss), step.alphas, allow_unused=True))
    return outcome.detach()


def second_order(step: Step) -> BatchOutcome:
    """Set the alphas' gradients to those of the loss after one step of the weights, by finite differences.

    Liu et al. 2019, equations 6 to 8: the Hessian-vector product is the difference of two gradients, at weights moved by
    +-0.01 / norm along the vector.
    """
    # w' = w - lr * direction; the alphas' batch is evaluated at w'.
    moved = _moved(step, step.weights, _weight_gradients(step))
    with _replaced(step.weights, moved):
        outcome = step.outcome(step.alphas_batch)
        both = torch.autograd.grad(_penalised(step, outcome.loss), [*step.alphas, *step.weights], allow_unused=True)
    direct, vector = _filled(step.alphas, both), _filled(step.weights, both[len(step.alphas) :])
    # All ranks must take the same finite difference, so the vector is averaged before its norm is taken.
    step.all_reduce_mean(vector)
    distance = 0.01 / float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(vector))))
    # Equation 7: grad_alpha L_val(w') - lr * (d2 L_train(w) / d alpha dw) @ grad_w' L_val(w')
    implicit = _finite_difference(step, vector, distance)
    set_gradients(step.alphas, [d - step.lr * i for d, i in zip(direct, implicit, strict=True)])
    return outcome.detach()


def exact_second_order(step: Step) -> BatchOutcome:
    """Set the alphas' gradients to those of the loss after one step of the weights, by differentiating through the step.

    It keeps two graphs at once: more memory than finite differences, but no error beyond rounding. Raises RecordError
    with several workers: it cannot differentiate through the all-reduce of their gradients.
    """
    if step.workers > 1:
        raise RecordError("supernet.method.Darts.order 'exact' is for one worker: give 'second', or --workers 1")
    weights = {f"model.{name}": each.detach() for name, each in step.model.named_parameters()}
    alphas = {f"policy.{name}": each.detach() for name, each in step.policy.named_parameters()}

    def unrolled(alphas: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        gradients = torch.func.grad(lambda weights: step.loss(step.weights_batch, {**weights, **alphas}))(weights)
        # momentum buffers are constants here: no gradient flows into them
        moved = _moved(step, list(weights.values()), list(gradients.values()))
        outcome = step.outcome(step.alphas_batch, {**dict(zip(weights, moved, strict=True)), **alphas})
        return outcome.loss, outcome.hits

    gradients, (loss, hits) = torch.func.grad_and_value(unrolled, has_aux=True)(alphas)
    # the penalty reads the policy's own parameters, which torch.func does not see: plain autograd, added afterwards
    penalty = step.penalty()
    extra = torch.autograd.grad(penalty, step.alphas, allow_unused=True) if penalty is not None else ()
    summed = _filled(step.alphas, extra or [None] * len(alphas))
    set_gradients(step.alphas, [g + e for g, e in zip(gradients.values(), summed, strict=True)])
    return BatchOutcome(loss, hits).detach()


def _weight_gradients(step: Step) -> list[Tensor]:
    """Return the gradients of the weights on their batch, averaged over the ranks."""
    found = torch.autograd.grad(step.loss(step.weights_batch), step.weights, allow_unused=True)
    gradients = _filled(step.weights, found)
    step.all_reduce_mean(gradients)
    return gradients


def _moved(step: Step, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
    """Return the weights after one step of SGD. As in the released code, the gradient is not clipped here."""
    moved = []
    for weight, gradient, velocity in zip(weights, gradients, step.velocities, strict=True):
        # the update of torch.optim.SGD; before its first step there is no momentum buffer
        decayed = gradient + step.weight_decay * weight.detach()
        direction = decayed if velocity is None else decayed + step.momentum * velocity
        if step.nesterov:
            direction = decayed + step.momentum * direction
        moved.append(weight.detach() - step.lr * direction)
    return moved


def _finite_difference(step: Step, vector: list[Tensor], distance: float) -> list[Tensor]:
    """Return the derivative, along `vector` in weight space, of the alphas' gradient on the weights' batch."""
    # equation 8, a central difference: its error falls with the square of `distance`
    found = []
    for side in (distance, -distance):
        there = torch._foreach_add([each.detach() for each in step.weights], vector, alpha=side)
        with _replaced(step.weights, there):
            loss = step.loss(step.weights_batch)
            found.append(_filled(step.alphas, torch.autograd.grad(loss, step.alphas, allow_unused=True)))
    return [(ahead - behind) / (2 * distance) for ahead, behind in zip(*found, strict=True)]


@contextmanager
def _replaced(weights: Sequence[nn.Parameter], others: Sequence[Tensor]) -> Iterator[None]:
    """Replace the values of the weights within the block."""
    # the Parameter objects stay, so that modules and optimizer still hold them; only the tensor behind each changes
    kept = [weight.data for weight in weights]
    for weight, other in zip(weights, others, strict=True):
        weight.data = other
    try:
        yield
    finally:
        for weight, own in zip(weights, kept, strict=True):
            weight.data = own


def _penalised(step: Step, loss: Tensor) -> Tensor:
    penalty = step.penalty()
    return loss if penalty is None else loss + penalty


def _filled(parameters: Sequence[Tensor], gradients: Sequence[Any]) -> list[Tensor]:
    """Return a gradient for each parameter: zeros where the loss does not depend on it."""
    pairs = zip(parameters, gradients, strict=False)  # `gradients` may continue with those of other parameters
    return [torch.zeros_like(parameter) if gradient is None else gradient for parameter, gradient in pairs]


def set_gradients(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Store gradients in `.grad` for the optimizer; parameters the loss does not depend on get zeros."""
    for parameter, gradient in zip(parameters, _filled(parameters, gradients), strict=True):
        parameter.grad = gradient
