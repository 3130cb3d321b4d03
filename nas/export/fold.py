"""Folding: batch norms become part of the convolutions and linear layers before them, for use and no longer for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from nas.build import Shape

Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


@dataclass(frozen=True, slots=True)
class Folded:
    """A network in which batch norms were folded: how many, of how many that run in evaluation mode."""

    model: nn.Module
    folded: int
    norms: int


@torch.no_grad()
def fold_batch_norms(model: nn.Module, input: Shape) -> Folded:
    """Return a copy, in evaluation mode, in which batch norms are part of what stands before them wherever they can be.

    One can where it is all that reads a convolution or linear layer that runs once, or a concatenation of channels of
    such, as in a factorised reduction. Which those are is watched in a pass of `meta` tensors of shape `input` (C, H, W),
    so that any `forward` will do. An Identity takes the norm's place.
    """
    copied = deepcopy(model).eval()
    watch, modules = _watched(copied, input), dict(copied.named_modules())
    norms = {name: part for name in watch.read if isinstance(part := modules[name], _BatchNorm)}
    found = {norm: layers for name, norm in norms.items() if (layers := _layers_before(name, watch, modules))}
    for norm, layers in found.items():
        start = 0
        for layer in layers:
            _fold(layer, norm, slice(start, start := start + layer.weight.shape[0]))
    for name, part in list(copied.named_modules(remove_duplicate=False)):
        if part in found:
            copied.set_submodule(name, nn.Identity())
    return Folded(copied, len(found), len(norms))


def _fold(layer: Weighted, norm: _BatchNorm, channels: slice) -> None:
    """Scale a layer's weights by what the norm does to its `channels`."""
    mean, variance, scale, shift = (
        None if each is None else each[channels]
        for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    fuse: Any = fuse_linear_bn_weights if isinstance(layer, nn.Linear) else fuse_conv_bn_weights
    layer.weight, layer.bias = fuse(layer.weight, layer.bias, mean, variance, norm.eps, scale, shift)


def _layers_before(name: str, watch: _Watch, modules: Mapping[str, nn.Module]) -> list[Weighted]:
    """Return the layers that a batch norm can be folded into; none where it cannot be."""
    read = watch.read[name]
    if getattr(modules[name], "running_mean", None) is None:
        return []
    sources = watch.joined.get(id(read), [read])
    makers = [watch.maker.get(id(source), "") for source in sources]
    is_read_once = all(watch.reads[id(tensor)] == 1 for tensor in (read, *sources))
    runs_once = all(watch.calls[each] == 1 for each in (name, *makers))
    layers = [modules[maker] for maker in makers]
    fit = all(map(_is_by_channel, layers, sources))
    return [layer for layer in layers if isinstance(layer, Weighted)] if is_read_once and runs_once and fit else []


def _is_by_channel(layer: nn.Module, output: Tensor) -> bool:
    """Whether a layer has a weight for each of the channels that a norm tells apart in its output."""
    return isinstance(layer, Weighted) and (not isinstance(layer, nn.Linear) or output.dim() == 2)


def _watched(model: nn.Module, input: Shape) -> _Watch:
    """Run a copy of the model on `meta` tensors, and return what was seen."""
    copied = deepcopy(model).to("meta")
    named = chain(copied.named_parameters(), copied.named_buffers())
    watch = _Watch({id(tensor): name.rpartition(".")[0] for name, tensor in named})
    with watch:
        output = copied(torch.empty(1, *input, device="meta"))
    watch.reads.update(map(id, tree_leaves(output)))
    return watch


@final
class _Watch(TorchFunctionMode):
    """Watches every call of torch: which tensor is made by whose weights, and how often each is read.

    `owners` names the module of each weight and buffer by its id. By a module's name `calls` counts the calls that read
    its weights, and `read` is the tensor that the last of them read beside them; by the id of a tensor `maker` is the
    module that made it, `joined` what it concatenates, and `reads` how many calls read it.
    """

    def __init__(self, owners: Mapping[int, str]) -> None:
        self.owners = owners
        self.calls: Counter[str] = Counter()
        self.read: dict[str, Tensor] = {}
        self.maker: dict[int, str] = {}
        self.joined: dict[int, list[Tensor]] = {}
        self.reads: Counter[int] = Counter()
        self._kept: list[object] = []  # so that no id is given twice

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(each, Tensor) for each in tree_leaves(result)):  # else its shape or type was asked for
            self._note(func, args, kwargs or {}, result)
        return result

    def _note(self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> None:
        self._kept.append((args, kwargs, result))
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        data = [each for each in tensors if id(each) not in self.owners]
        owners = {self.owners[id(each)] for each in tensors if id(each) in self.owners}
        self.reads.update(map(id, data))
        self.calls.update(owners)
        if len(owners) == 1 and len(data) == 1:
            (owner,) = owners
            self.read[owner] = data[0]
            self.maker[id(result)] = owner
        if func is torch.cat and (args[1] if len(args) > 1 else kwargs.get("dim", 0)) == 1:
            self.joined[id(result)] = list(args[0] if args else kwargs["tensors"])
