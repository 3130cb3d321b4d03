"""Distillation: a network learns from the outputs of a trained one, its teacher."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional

from nas.places import FilePath
from nas.records import Fraction, Range, record


@record
class Distillation:
    """The teacher, a run folder or its weights, and how its softened outputs are learnt (Hinton et al. 2015, arXiv:1503.02531).

    The loss is (1 - alpha) times the recipe's own, plus alpha T^2 times the Kullback-Leibler divergence of the softmax of
    logits / T from that of the teacher; T^2 keeps the size of gradients, as in section 2. The teacher sees the same augmented
    images, in evaluation mode. The auxiliary classifier learns from labels alone.
    """

    teacher: FilePath
    temperature: Annotated[float, Range(0.01)] = 4.0
    alpha: Fraction = 0.9

    def combined(self, loss: Tensor, logits: Tensor, taught: Tensor) -> Tensor:
        """Return the loss in which logits (B, classes) also learn from the teacher's logits `taught`."""
        student, teacher = ((each.float() / self.temperature).log_softmax(1) for each in (logits, taught))
        divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
        return (1 - self.alpha) * loss + self.alpha * self.temperature**2 * divergence
