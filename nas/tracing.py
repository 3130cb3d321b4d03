"""Tracing: the receptive field of each tensor in a forward pass, and the peak memory."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Pair = tuple[int, int]
Offset = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reach:
    """What one pixel of a map depends on; pairs are (down, right).

    The pixel (i, j) of a map sees the input pixels from `first` to `last`, as offsets from (i, j) times `stride`. `depth` is
    the number of convolutions and linear layers on the longest path to it; `image` is the size of the input.
    """

    first: Offset = (0.0, 0.0)
    last: Offset = (0.0, 0.0)
    stride: Offset = (1.0, 1.0)
    depth: int = 0
    image: Pair = (1, 1)

    @property
    def field(self) -> Pair:
        """The receptive field (height, width) in input pixels."""
        return math.ceil(self.last[0] - self.first[0]) + 1, math.ceil(self.last[1] - self.first[1]) + 1

    def through(self, first: Offset, last: Offset, stride: Offset = (1.0, 1.0), weights: bool = False) -> Reach:
        """Return the reach after a window that reads the pixels from `first` to `last`, and moves by `stride`."""
        # The window is in pixels of this map: times this map's stride it is in pixels of the input.
        (down, right), (top, left) = self.stride, first
        begins = self.first[0] + top * down, self.first[1] + left * right
        ends = self.last[0] + last[0] * down, self.last[1] + last[1] * right
        return Reach(begins, ends, (down * stride[0], right * stride[1]), self.depth + weights, self.image)

    def through_all(self) -> Reach:
        """Return the reach after an operation that reads the whole map, whatever the shape of its tensor."""
        first = min(self.first[0], 0.0), min(self.first[1], 0.0)
        last = max(self.last[0], self.image[0] - 1.0), max(self.last[1], self.image[1] - 1.0)
        return Reach(first, last, self.stride, self.depth, self.image)


def reach_of(tensor: Tensor) -> Reach:
    """Return the traced reach of a tensor."""
    known: Reach = getattr(tensor, "_reach", _NOTHING)
    return known


_NOTHING = Reach()
# Names of torch's operators, as the dispatch mode sees them. The outputs of _ALIKE have the shape of their input.
_NORM = "native_batch_norm"
_ALIKE = frozenset("relu sigmoid silu gelu hardtanh hardswish hardsigmoid tanh leaky_relu".split())
_WEIGHTED = frozenset("addmm mm linear".split())
_PRODUCTS = frozenset("bmm baddbmm _scaled_dot_product_flash_attention_for_cpu".split())
_POOLS = frozenset("max_pool2d_with_indices avg_pool2d max_pool2d".split())
_CLIP_POOLS = frozenset("max_pool3d_with_indices avg_pool3d max_pool3d".split())
_ADAPTIVE = frozenset("_adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d".split())
_MEANS = frozenset("mean amax linalg_vector_norm".split())
_WHOLE = _ADAPTIVE | _MEANS | frozenset("view _unsafe_view reshape".split())
_RESIZED = _ADAPTIVE | frozenset("upsample_bilinear2d upsample_nearest2d pixel_shuffle pixel_unshuffle".split())
_PADDINGS = frozenset("constant_pad_nd reflection_pad2d replication_pad2d".split())


@final
class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that traces every operation; `peak_bytes` is the most memory that tensors took at a time, without weights.

    The receptive field follows the usual recursion (a window adds its size, a stride multiplies); over branches, the largest.
    An operation that reads a whole map, such as a global mean, flattening, attention or a norm by the map's own statistics,
    counts as a window of its size. Bilinear interpolation and learned shifts count as a window of one pixel each way.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = self.peak_bytes = self.macs = 0
        self._storages: set[int] = set()
        self._kept: list[object] = []

    def leave_out(self, tensors: Iterable[Tensor]) -> None:
        """Do not count the memory of these tensors, such as weights, nor of their views."""
        self._kept += [tensor.untyped_storage() for tensor in tensors]
        self._storages |= set(map(id, self._kept))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = func.overloadpacket.__name__
        result = on_meta(name, args)
        if result is None:
            result = func(*args, **(kwargs or {}))
            # The registry counts multiplications and additions; a MAC is one of each.
            if (flops := flop_registry.get(func.overloadpacket)) is not None:
                self.macs += flops(*args, **(kwargs or {}), out_val=result) // 2
        inputs = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        for output in tree_leaves(result):
            if isinstance(output, Tensor):
                output._reach = _reach(name, args, inputs, output)  # type: ignore[attr-defined]
                self.count(output)
        return result

    def count(self, tensor: Tensor) -> None:
        """Count the memory of a tensor until it is freed; a view counts as its base."""
        storage = tensor.untyped_storage()
        if id(storage) in self._storages:
            return
        # A view keeps the storage alive beyond its tensor: count storages, by identity, until they are freed.
        size = storage.nbytes()
        self._storages.add(id(storage))
        weakref.finalize(storage, self._freed, id(storage), size)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _freed(self, storage: int, size: int) -> None:
        self._storages.discard(storage)
        self.live_bytes -= size


def on_meta(name: str, args: Any) -> Any:
    """Return the result of a norm or an activation on the meta device, whose shape is known; None for all else.

    Torch takes a millisecond to infer it.
    """
    if name == _NORM and args[0].is_meta:
        return (torch.empty_like(args[0]), *[args[0].new_empty(0)] * 2)
    if name in _ALIKE and args[0].is_meta:
        return torch.empty_like(args[0])
    return args[0] if name.removesuffix("_") in _ALIKE and args[0].is_meta else None


def _reach(name: str, args: Any, inputs: list[Tensor], output: Tensor) -> Reach:
    """Return the reach of the output of an operation."""
    joined = _join([each for each in inputs if hasattr(each, "_reach")])
    # args: input, weight, bias, stride, padding, dilation, ...
    if name == "convolution" and args[1].dim() == 4 and args[6]:
        return _transposed(joined, args[1].shape[2:], args[3], args[4])
    if name == "convolution" and args[1].dim() == 4:
        # A dilated kernel of `size` taps spans (size - 1) * dilation + 1 pixels.
        kernel = [(size - 1) * step + 1 for size, step in zip(args[1].shape[2:], args[5], strict=True)]
        return _window(joined, kernel, args[3], args[4], weights=True)
    if name == "convolution" and args[1].dim() == 5:
        # of a clip: the first size is that of time
        return _window(joined, args[1].shape[3:], args[3][1:], args[4][1:], weights=True)
    if name in _CLIP_POOLS:
        return _window(joined, args[1][1:], args[2][1:], args[3][1:] if len(args) > 3 else (0,))
    if name in _POOLS:
        return _window(
            joined, args[1], args[2] if len(args) > 2 and args[2] else args[1], args[3] if len(args) > 3 else (0,)
        )
    if name in _WHOLE and inputs[0].dim() == 4 and _is_summed_up(inputs[0], output):
        return joined.through((0, 0), (inputs[0].shape[2] - 1, inputs[0].shape[3] - 1))
    if (
        name in _PRODUCTS or name == "native_group_norm" or (name == _NORM and args[5])
    ):  # args[5]: by its own statistics
        return joined.through_all()
    if name in _PADDINGS:
        # args[1] is (left, right, top, bottom), or (left, right) alone. Pixel 0 of the padded map is pixel -left of the input.
        left, top = args[1][0], [*args[1], 0, 0][2]
        return joined.through((-top, -left), (-top, -left))
    if name == "slice" and inputs[0].dim() == 4 and len(args) > 1 and args[1] in (2, 3):
        return _sliced(joined, inputs[0].shape[args[1]], *args[1:])
    if name in _RESIZED and output.dim() == 4:
        # pixels of the input for each of the output; below 1 where maps grow
        down, right = inputs[0].shape[2] / output.shape[2], inputs[0].shape[3] / output.shape[3]
        more = 1 if name == "upsample_bilinear2d" else 0
        ends = (down - 1, right - 1) if name in _ADAPTIVE or name == "pixel_unshuffle" else (more, more)
        return joined.through((-more, -more), ends, (down, right))
    if name.startswith("grid_sampler"):
        return joined.through((-1, -1), (1, 1))
    return joined.through((0, 0), (0, 0), weights=name in _WEIGHTED)


def _transposed(reach: Reach, kernel: Any, stride: Any, padding: Any) -> Reach:
    """Return the reach after a transposed convolution, whose kernel is at least as large as its stride."""
    # The output pixel o reads the inputs i with i * step - pad + tap = o: from ceil((o + pad - size + 1) / step), which is
    # floor((o + pad - size + step) / step), to floor((o + pad) / step).
    (height, width), (top, left), (down, right) = _both(kernel), _both(padding), _both(stride)
    first, last = ((top - height + down) / down, (left - width + right) / right), (top / down, left / right)
    return reach.through(first, last, (1 / down, 1 / right), weights=True)


def _window(reach: Reach, kernel: Any, stride: Any, padding: Any, weights: bool = False) -> Reach:
    (height, width), (top, left), step = _both(kernel), _both(padding), _both(stride)
    return reach.through((-top, -left), (height - 1 - top, width - 1 - left), step, weights)


def _sliced(
    reach: Reach, size: int, axis: int, start: int | None = None, end: int | None = None, step: int = 1
) -> Reach:
    """Return the reach of every `step`-th row (axis 2) or column (axis 3) from `start`."""
    begin = range(size)[start:].start if start else 0
    offset, stride = (begin, 0) if axis == 2 else (0, begin), (step, 1) if axis == 2 else (1, step)
    return reach.through(offset, offset, stride)


def _is_summed_up(whole: Tensor, output: Tensor) -> bool:
    """Whether an operation on a map (B, C, H, W) leaves (B, C'), or one pixel of each channel."""
    return output.shape[:1] == whole.shape[:1] and (output.dim() <= 2 or output.shape[2:].numel() == 1)


def _join(inputs: list[Tensor]) -> Reach:
    """Return the reach of a map made of several: the union of what they see, and the stride of the largest map."""
    if len(inputs) < 2:
        return reach_of(inputs[0]) if inputs else _NOTHING
    reaches = [reach_of(each) for each in inputs]
    largest = max(inputs, key=lambda each: each.shape[2:].numel() if each.dim() == 4 else 0)
    first = min(each.first[0] for each in reaches), min(each.first[1] for each in reaches)
    last = max(each.last[0] for each in reaches), max(each.last[1] for each in reaches)
    depth, image = max(each.depth for each in reaches), max(each.image for each in reaches)
    return Reach(first, last, reach_of(largest).stride, depth, image)


def _both(sizes: Any) -> Any:
    return sizes if len(sizes) == 2 else (sizes[0], sizes[0])


def ready_image(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return an input of zeros whose pixels see themselves."""
    tensor = torch.zeros(shape, device=device)
    tensor._reach = Reach(image=(shape[2], shape[3]))  # type: ignore[attr-defined]
    return tensor
