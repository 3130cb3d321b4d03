"""The parts of a training step, used by the training loop and by the training of supernets."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nas.data.mixing import MixedLabels
from nas.training.recipe import BaseRecipe, Recipe


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(recipe: BaseRecipe, device: torch.device) -> torch.autocast:
    """Return the autocast context of the recipe's precision."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    lowered = recipe.precision == "bfloat16" or (recipe.precision == "auto" and fast)
    return torch.autocast(device.type, torch.bfloat16, enabled=lowered)


def memory_format(recipe: BaseRecipe) -> torch.memory_format:
    """Return the memory format of images and weights."""
    return torch.contiguous_format if recipe.channels_last is False else torch.channels_last


def to_device(model: nn.Module, recipe: BaseRecipe, device: torch.device) -> nn.Module:
    """Move the model to the device, its weights in the recipe's memory format; returns the same model."""
    return lay_out(model.to(device), memory_format(recipe))


def lay_out(model: nn.Module, format: torch.memory_format) -> nn.Module:
    """Put the kernels (O, I, H, W) of a model into a memory format; returns the same model."""
    # Module.to refuses the kernels of clips (O, I, T, H, W), for which channels_last is not defined.
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=format)
    return model


def make_optimizer(weights: Iterable[nn.Parameter], recipe: BaseRecipe, decay_norms: bool = True) -> Optimizer:
    """Return the recipe's optimizer.

    Every weight decays, those of batch norms too, as in the published code, unless `decay_norms` is False.
    """
    groups: list[Any] = list(weights) if decay_norms else _by_decay(weights, recipe.weight_decay)
    return recipe.optimizer.make(groups, recipe.lr, recipe.weight_decay)


def _by_decay(weights: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: kernels and matrices, with weight decay, and norms and biases, without."""
    every = list(weights)
    vectors = [weight for weight in every if weight.dim() <= 1]
    others = [weight for weight in every if weight.dim() > 1]
    return [{"params": others, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def in_batches(order: Tensor, batch: int) -> tuple[Tensor, ...]:
    """Split `order` into the indices of each batch.

    The last, smaller batch is kept, as in DARTS, so that an epoch has every image once. A single remaining image is
    dropped, because batch norm cannot normalise it where the map is one pixel.
    """
    parts = order.tensor_split(list(range(batch, len(order), batch)))
    return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts


def loss_of(output: Tensor | tuple[Tensor, Tensor], y: Tensor | MixedLabels, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the loss in float32, and the logits (B, classes), of a model's output.

    For an output `(logits, auxiliary logits)` the weighted auxiliary loss is added. Label smoothing applies to all
    losses; for mixed images each label counts by its share.
    """
    logits, *auxiliary = output if isinstance(output, tuple) else (output,)
    loss = _mean(logits, y, recipe)
    for other in auxiliary:
        loss = loss + recipe.auxiliary * _mean(other, y, recipe)
    return loss, logits


def _mean(logits: Tensor, y: Tensor | MixedLabels, recipe: Recipe) -> Tensor:
    logits, smoothing = logits.float(), recipe.label_smoothing
    if isinstance(y, Tensor):
        return recipe.loss.mean(logits, y, smoothing)
    first, other = (recipe.loss.mean(logits, each, smoothing) for each in (y.y, y.other))
    return y.share * first + (1 - y.share) * other


def compile_layers(model: nn.Module) -> None:
    """Mark each layer of a network to be compiled at first use; compiling the network as a whole would take far longer."""
    for layer in getattr(model, "layers", ()):
        layer.compile()
