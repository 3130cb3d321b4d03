"""Tracing: what each tensor of a forward pass has seen of the input, and how much memory lives at a time."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """What one pixel of a map depends on, height first.

    `field` is the side of the part of the input that it sees, `stride` the distance between two pixels' parts, and `depth`
    the number of convolutions and linear layers on the longest way to it.
    """

    field: Pair = (1, 1)
    stride: Pair = (1, 1)
    depth: int = 0

    def through(self, kernel: Iterable[int], stride: Iterable[int] = (1, 1), weights: bool = False) -> Reach:
        """Return the reach behind a window: the field grows by (kernel - 1) strides, the stride multiplies."""
        (height, width), (down, right) = kernel, stride
        field = self.field[0] + (height - 1) * self.stride[0], self.field[1] + (width - 1) * self.stride[1]
        return Reach(field, (self.stride[0] * down, self.stride[1] * right), self.depth + weights)


def reach_of(tensor: Tensor) -> Reach:
    """Return what was traced of a tensor."""
    known: Reach = getattr(tensor, "_reach", _NOTHING)
    return known


_NOTHING = Reach()
_NORM = "native_batch_norm"
_WEIGHTED = frozenset("convolution addmm mm linear".split())
_POOLS = frozenset("max_pool2d_with_indices avg_pool2d max_pool2d".split())
_WHOLE = frozenset("_adaptive_avg_pool2d adaptive_avg_pool2d mean view _unsafe_view reshape".split())


@final
class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Traces every operation while it is entered; `peak_bytes` is the most that tensors took at a time, without weights.

    The receptive field goes by the usual recursion, over branches the largest. What reads a whole map, as a global mean or
    flattening does, counts as a window of its size; attention between pixels is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = self.peak_bytes = 0
        self._storages: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = func.overloadpacket.__name__
        if name == _NORM and args[0].is_meta:  # its shapes are known, and torch takes a millisecond to find them
            result: Any = (torch.empty_like(args[0]), *[args[0].new_empty(0)] * 2)
        else:
            result = func(*args, **(kwargs or {}))
        inputs = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        for output in tree_leaves(result):
            if isinstance(output, Tensor):
                output._reach = _reach(name, args, inputs, output)  # type: ignore[attr-defined]
                self.count(output)
        return result

    def count(self, tensor: Tensor) -> None:
        """Count the memory of a tensor from now on to its end; that of a view is its base's."""
        storage = tensor.untyped_storage()
        if id(storage) in self._storages:
            return
        size = storage.nbytes()
        self._storages.add(id(storage))
        weakref.finalize(storage, self._freed, id(storage), size)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _freed(self, storage: int, size: int) -> None:
        self._storages.discard(storage)
        self.live_bytes -= size


def _reach(name: str, args: Any, inputs: list[Tensor], output: Tensor) -> Reach:
    """Return the reach of what an operation gives."""
    joined = _join([each for each in inputs if hasattr(each, "_reach")])
    if name == "convolution" and args[1].dim() == 4:
        dilated = [(size - 1) * step + 1 for size, step in zip(args[1].shape[2:], args[5], strict=True)]
        return joined.through(dilated, args[3], weights=True)
    if name in _POOLS:
        kernel = _both(args[1])
        return joined.through(kernel, _both(args[2]) if len(args) > 2 and args[2] else kernel)
    if name in _WHOLE and inputs[0].dim() == 4 and _is_summed_up(inputs[0], output):
        return joined.through(inputs[0].shape[2:])
    return joined.through((1, 1), weights=name in _WEIGHTED)


def _is_summed_up(whole: Tensor, output: Tensor) -> bool:
    return output.shape[:1] == whole.shape[:1] and (output.dim() <= 2 or output.shape[2:].numel() == 1)


def _join(inputs: list[Tensor]) -> Reach:
    """Return the reach of what is made of several maps: the largest field and depth, and the stride of the largest map."""
    if not inputs:
        return _NOTHING
    reaches = [reach_of(each) for each in inputs]
    largest = max(inputs, key=lambda each: each.shape[2:].numel() if each.dim() == 4 else 0)
    field = max(each.field[0] for each in reaches), max(each.field[1] for each in reaches)
    return Reach(field, reach_of(largest).stride, max(each.depth for each in reaches))


def _both(sizes: Any) -> Any:
    return sizes if len(sizes) == 2 else (sizes[0], sizes[0])


def begin(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return an input of zeros whose pixels have seen themselves."""
    tensor = torch.zeros(shape, device=device)
    tensor._reach = Reach()  # type: ignore[attr-defined]
    return tensor
