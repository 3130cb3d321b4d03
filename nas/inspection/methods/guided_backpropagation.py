"""Guided backpropagation: the gradient of the class along the paths that excite it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas.inspection.attribution import attributed, class_scores
from nas.inspection.findings import Findings, left_out
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject
from nas.records import record

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Mish)
"""The activations that let positive values pass. Sigmoids, as in gates, are left as they are."""


@record
class GuidedBackpropagation(Inspection):
    """The gradient of the predicted class's logit, which passes an activation only where its input and the gradient are positive.

    The paper has ReLUs alone. We treat ReLU6, GELU, SiLU and other rectifiers alike, after multiplying with their own derivative.
    Source: Springenberg et al. 2014, arXiv:1412.6806, section 3.4. That such maps hardly depend on the weights of the last
    layers is shown by Adebayo et al. 2018, arXiv:1810.03292.
    """

    name: ClassVar[str] = "guided_backpropagation"
    title: ClassVar[str] = "Guided backpropagation"
    chapter: ClassVar[Chapter] = "What it looks at"

    def inspect(self, subject: Subject) -> Findings:
        if not any(isinstance(part, RECTIFIERS) for part in subject.model.modules()):
            return left_out("the network has no rectifier, such as ReLU")
        maps = guided_gradient(subject, subject.samples)
        reading = (
            "The gradient along paths that excite the class only: no activation hands on a negative gradient, nor one to a "
            "negative input. Sharper than saliency, but it shows edges more than what decides for the class."
        )
        return attributed(subject, maps.abs().amax(1), reading, "magnitude")


def guided_gradient(subject: Subject, places: tuple[int, ...]) -> Tensor:
    """Return the guided gradients (B, C, H, W) of images."""
    x = subject.inputs(places).requires_grad_()
    with guided(subject.model):
        (gradient,) = torch.autograd.grad(class_scores(subject, x, places), x)
    return gradient


@contextmanager
def guided(model: nn.Module) -> Iterator[None]:
    """Let each rectifier, within the block, hand on a gradient only where its input and that gradient are positive."""

    def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        passed: Tensor = _Guided.apply(inputs[0])  # type: ignore[no-untyped-call]
        return passed

    hooks = [part.register_forward_pre_hook(before) for part in model.modules() if isinstance(part, RECTIFIERS)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Guided(torch.autograd.Function):
    """The identity before a rectifier: a new tensor, as the rectifier may work in place."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x > 0)
        return x.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (is_positive,) = context.saved_tensors
        passed: Tensor = gradients[0].clamp(min=0) * is_positive
        return passed
