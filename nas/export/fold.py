"""Folding batch norms into the convolutions and linear layers before them, for inference only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, final, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from nas.building import Shape

Weighted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear

WEIGHTED, NORMS = get_args(Weighted), (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The exact types that are folded: a derived class, such as that of a parametrized layer, may compute something else."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A network with folded batch norms; `folded` of the `norms` that run in evaluation mode were folded."""

    model: nn.Module
    folded: int
    norms: int


@torch.no_grad()
def fold_batch_norms(model: nn.Module, input: Shape) -> Folded:
    """Return a copy in evaluation mode, with batch norms folded into the layers before them wherever possible.

    A norm can be folded where it is the only reader of a convolution or linear layer that runs once, or of a concatenation
    of such layers along the channels, as in a factorised reduction. These are found by watching a forward pass of one `meta`
    image of shape `input` (C, H, W), so `forward` must treat all images as it does that one. A folded norm becomes an Identity.
    """
    copied = deepcopy(model).eval()
    watch, modules = _watched(copied, input), dict(copied.named_modules())
    norms = [name for name in watch.calls if isinstance(modules[name], _BatchNorm)]
    found = {name: layers for name in norms if (layers := _layers_before(name, watch, modules))}
    for name, layers in found.items():
        norm, start = modules[name], 0
        for layer in layers:
            # of a concatenation, each layer gets its slice of the norm's channels
            _fold(layer, norm, slice(start, start := start + layer.weight.shape[0]))
        _become_identity(norm)
    return Folded(copied, len(found), len(norms))


def _become_identity(norm: Any) -> None:
    """Turn a norm into an Identity in place, since the model may hold it in a list too; its settings can still be read."""
    norm._parameters.clear()
    norm._buffers.clear()
    norm.__class__ = nn.Identity


def _fold(layer: Weighted, norm: Any, channels: slice) -> None:
    """Fold the norm's `channels` into a layer's weight and bias."""
    mean, variance, scale, shift = (
        None if each is None else each[channels]
        for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    # w' = w scale / sqrt(variance + eps), b' = (b - mean) scale / sqrt(variance + eps) + shift, by output channel
    fuse: Any = fuse_linear_bn_weights if isinstance(layer, nn.Linear) else fuse_conv_bn_weights
    layer.weight, layer.bias = fuse(layer.weight, layer.bias, mean, variance, norm.eps, scale, shift)


def _layers_before(name: str, watch: _Watch, modules: Mapping[str, nn.Module]) -> list[Any]:
    """Return the layers that a batch norm can be folded into; empty where it cannot be folded."""
    norm, read = modules[name], watch.read.get(name)
    if read is None or not _is_plain(norm, NORMS) or norm.running_mean is None:
        return []
    sources = watch.joined.get(id(read), [read])
    makers = [watch.maker.get(id(source), "") for source in sources]
    layers = [modules[maker] for maker in makers]
    is_read_once = all(watch.reads[id(tensor)] == 1 for tensor in (read, *sources))
    runs_once = all(watch.calls[each] == watch.runs[each] == 1 for each in (name, *makers))
    return layers if is_read_once and runs_once and all(map(_is_by_channel, layers, sources)) else []


def _is_by_channel(layer: Any, output: Tensor) -> bool:
    """Return whether the norm's channels are the layer's output channels: its output (B, C, ...) has the weight's rank."""
    return _is_plain(layer, WEIGHTED) and output.dim() == layer.weight.dim()


def _is_plain(module: nn.Module, kinds: Collection[type]) -> bool:
    """Return whether a module is exactly of one of `kinds`, without hooks or a patched `forward`."""
    is_hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
    return type(module) in kinds and not is_hooked


def _watched(model: nn.Module, input: Shape) -> _Watch:
    """Run a copy of the model on a `meta` tensor, and return the recorded calls."""
    copied = deepcopy(model).to("meta")
    named = chain(copied.named_parameters(), copied.named_buffers())
    watch = _Watch({id(tensor): name.rpartition(".")[0] for name, tensor in named})
    for name, part in copied.named_modules():
        part.register_forward_pre_hook(partial(watch.ran, name))
    with watch:
        output = copied(torch.empty(1, *input, device="meta"))
    watch.reads.update(map(id, tree_leaves(output)))  # the caller reads the output too
    return watch


@final
class _Watch(TorchFunctionMode):
    """A recorder of all torch calls: which module's weights made which tensor, and how often each tensor is read.

    `owners` maps the id of each weight and buffer to the name of its module. By module name: `calls` counts the torch calls
    that read its weights, `runs` the calls of the module itself, `read` is the input tensor of the last such torch call.
    By tensor id: `maker` is the module that made it, `joined` the tensors it concatenates, `reads` the calls that read it.
    """

    def __init__(self, owners: Mapping[int, str]) -> None:
        self.owners = owners
        self.calls: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.read: dict[str, Tensor] = {}
        self.maker: dict[int, str] = {}
        self.joined: dict[int, list[Tensor]] = {}
        self.reads: Counter[int] = Counter()
        self._kept: list[object] = []  # keeps tensors alive, so that no id is reused

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # `y[0] = 0` returns None, and reads y too; any other call without a tensor result only asks for a shape or type
        if result is None or any(isinstance(each, Tensor) for each in tree_leaves(result)):
            self._note(func, args, kwargs or {}, result)
        return result

    def ran(self, name: str, module: nn.Module, args: Any) -> None:
        """Count a call of a module itself; its forward pre-hook."""
        self.runs[name] += 1

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
