"""NASWOT: how differently the ReLUs of a network respond to different images."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nas.evaluation.proxies.gradients import gradients, loss_of
from nas.evaluation.proxies.proxy import Proxy
from nas.records import RecordError, record

PROBED = 8
"""The number of images of the backward pass that finds the ReLUs which feed the output."""


@record
class Nwot(Proxy):
    """The log determinant of K, where K(i, j) is the number of units that images i and j both switch on, or both off.

    Units are the inputs of modules with ReLU in their name, above zero or not: a network of SiLU or GELU has no score. With
    `relus` "fed" those count that feed the output, and with "all" also those of dead branches, as score `nwot_all`. The batch
    sets the scale, and equal images make K singular.

    Source: Mellor et al. 2021, arXiv:2006.04647, section 3. The released code counts the ReLUs that a backward pass reaches,
    which is "fed"; NASLib counts all. The released code first had eval mode, and corrected it.
    """

    relus: Literal["fed", "all"] = "fed"

    @property
    def name(self) -> str:
        return "nwot" if self.relus == "fed" else "nwot_all"

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        relus = [part for part in model.modules() if "ReLU" in type(part).__name__]
        if not relus:
            raise RecordError(f"the network has no ReLU module, whose units {self.name} counts: leave {self.name} out")
        counted = relus if self.relus == "all" else _feeding(model, relus, images[:PROBED], labels[:PROBED])
        kernel = images.new_zeros(len(images), len(images), dtype=torch.float64)

        def count(relu: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            codes = (inputs[0] > 0).flatten(1).float()  # (B, units)
            both = codes @ codes.T
            on = both.diagonal()
            # of all units those that both switch on, and those that neither does
            kernel.add_(2 * both + (codes.shape[1] - on[:, None] - on))

        for relu in counted:
            relu.register_forward_pre_hook(count)
        with torch.no_grad():
            model(images)
        return float(torch.linalg.slogdet(kernel).logabsdet)


def _feeding(model: nn.Module, relus: list[nn.Module], images: Tensor, labels: Tensor) -> list[nn.Module]:
    """Return the modules whose outputs the loss depends on: those with a gradient that is not zero throughout."""
    outputs: list[tuple[nn.Module, Tensor]] = []
    hooks = [each.register_forward_hook(lambda relu, _, output: outputs.append((relu, output))) for each in relus]
    loss = loss_of(model, images.detach().clone().requires_grad_(), labels)
    for hook in hooks:
        hook.remove()
    found = gradients(loss, [output for _, output in outputs])
    fed = {id(relu) for (relu, _), each in zip(outputs, found, strict=True) if each.any()}
    return [relu for relu in relus if id(relu) in fed]
