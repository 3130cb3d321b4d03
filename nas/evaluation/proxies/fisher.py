"""Fisher: what the loss would change by if single channels were removed."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from nas.evaluation.proxies.gradients import Layer, gradients, layers_of, loss_of
from nas.evaluation.proxies.proxy import Proxy
from nas.records import record


@record
class Fisher(Proxy):
    """The sum over channels of half the mean over images of (sum over pixels of a * da)^2, a the output of a layer.

    da is the gradient of the loss with respect to a. Source: Theis et al. 2018, arXiv:1801.05787, section 2.2; Turner et al.
    2020, arXiv:1906.04113. The released code of zero-cost-nas counts a channel once for each of its weights, which is `per`
    "weight"; the papers count it once, `per` "channel", as score `fisher_per_channel`.
    """

    per: Literal["weight", "channel"] = "weight"

    @property
    def name(self) -> str:
        return "fisher" if self.per == "weight" else "fisher_per_channel"

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        run: list[tuple[Layer, Tensor]] = []
        for layer in layers_of(model):
            layer.register_forward_hook(lambda layer, _, output: run.append((layer, output)))
        loss = loss_of(model, images, labels)
        found = gradients(loss, [output for _, output in run])
        return sum(
            _saliency(layer, output.detach() * gradient) * (layer.weight[0].numel() if self.per == "weight" else 1)
            for (layer, output), gradient in zip(run, found, strict=True)
        )


def _saliency(layer: Layer, product: Tensor) -> float:
    """Return the sum over channels, from a * da: (B, C, H, W) of a convolution, (B, ..., C) of a linear layer."""
    channels = (
        product.flatten(2).sum(2)
        if isinstance(layer, nn.Conv2d)
        else product.reshape(len(product), -1, product.shape[-1]).sum(1)
    )
    return float(channels.square().mean(0).sum() / 2)
