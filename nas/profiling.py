"""Profiling: cost and receptive field of a network, layer by layer, without allocating it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from nas.building import Node, Shape, build, image_shape
from nas.operations.drop_path import DropPath
from nas.records import RecordError, one_line
from nas.tracing import Pair, Reach, Tracer, reach_of, ready_image

BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Layer:
    """One leaf module, or one that multiplies outside its leaves: its name, its class, and its cost for one image.

    `receptive_field` and `stride` (height, width) are in pixels of the input.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    params: int
    macs: int
    activation_bytes: int
    receptive_field: Pair
    stride: Pair


@dataclass(frozen=True, slots=True)
class Profile:
    """The cost of a network.

    `params` counts all trained parameters, those of an auxiliary head too. `macs` are the multiply-adds of convolutions, linear
    layers and the products of attention for one image, by `torch.utils.flop_counter`; biases, batch norm and activations are
    not counted, nor an auxiliary head, which runs in training only. `activation_bytes` is the sum of all layer outputs for
    one image in float32: about what training keeps for the backward pass. `peak_activation_bytes` is the most memory alive
    at a time without a backward pass. `depth` counts the convolutions and linear layers on the longest path.
    `receptive_field` is that of the map before the head.
    """

    params: int
    macs: int
    activation_bytes: int
    peak_activation_bytes: int
    depth: int
    receptive_field: Pair
    layers: tuple[Layer, ...]

    @property
    def weight_bytes(self) -> dict[str, int]:
        """The memory of the parameters in bytes, by data type."""
        return {name: size * self.params for name, size in BYTES.items()}


def profile(tree: Node, input: Shape = (3, 32, 32)) -> Profile:
    """Count a network's parameters, multiply-adds and activation memory for an image of shape `input` (C, H, W).

    Raises SpaceError where a choice is still open.
    """
    shape = image_shape(input)
    # Tensors on the meta device have shapes and no memory, so a large network is built and run at once.
    with torch.device("meta"):
        return profile_module(build(tree, shape), shape)


def checked_profile(tree: Node, input: Shape) -> Profile:
    """Return the same as `profile`. Raises RecordError, with the reason, where the network does not run on that shape."""
    try:
        return profile(tree, input)
    except RecordError:
        raise
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        shape, reason = "x".join(map(str, input)), _reason(error)
        raise RecordError(f"the network does not run on images of {shape} ({reason}): change one of them") from None


def _reason(error: BaseException) -> str:
    """Return the message of a torch error, without its place in torch's own code."""
    return one_line(error).partition(" Exception raised from ")[0][:300] or type(error).__name__


def profile_module(module: nn.Module, input: Shape) -> Profile:
    """Profile a module that is already built, on its own device; its training mode is restored."""
    layers: list[Layer] = []
    before_head: list[Reach] = []
    modes = {part: part.training for part in module.modules()}
    tracer = Tracer()
    hooks = [*_watch(module, layers, tracer), *_watch_head(module, before_head)]
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad(), tracer:
            tracer.leave_out(chain(module.parameters(), module.buffers()))
            image = ready_image((1, *input), device)
            tracer.count(image)
            reach = reach_of(module.eval()(image))
    finally:
        for hook in hooks:
            hook.remove()
        for part, was_training in modes.items():
            part.training = was_training  # not train(), which would set the parts of the part as well
    return Profile(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=tracer.macs,
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        peak_activation_bytes=tracer.peak_bytes,
        depth=reach.depth,
        receptive_field=(before_head or [reach])[0].field,
        layers=tuple(layers),
    )


def _watch_head(module: nn.Module, before_head: list[Reach]) -> Iterator[RemovableHandle]:
    """Record the reach of the map that the network's head reads."""
    if isinstance(head := getattr(module, "head", None), nn.Module):
        yield head.register_forward_pre_hook(lambda _, inputs: before_head.append(reach_of(inputs[0])))


def _watch(module: nn.Module, layers: list[Layer], tracer: Tracer) -> Iterator[RemovableHandle]:
    """Record each leaf module after it has run, and a module that multiplies outside its leaves, such as attention.

    A shared weight counts where it is met first.
    """
    counted: set[nn.Parameter] = set()
    # For each module that is running: the tracer's MACs when it began, and the MACs of its parts so far.
    running: list[list[int]] = []

    def begin_part(part: nn.Module, inputs: object) -> None:
        running.append([tracer.macs, 0])

    for name, part in module.named_modules():
        is_leaf = next(part.children(), None) is None

        def end_part(
            part: nn.Module, inputs: object, output: object, name: str = name, is_leaf: bool = is_leaf
        ) -> None:
            began, of_parts = running.pop()
            whole = tracer.macs - began
            if running:
                running[-1][1] += whole
            # More MACs than its parts: it multiplies itself, as attention does.
            if isinstance(output, Tensor) and (is_leaf or whole > of_parts):
                fresh = set(part.parameters(recurse=False)) - counted
                counted.update(fresh)
                params = sum(parameter.numel() for parameter in fresh)
                layers.append(_layer(name, part, output, params, whole - of_parts, is_leaf))

        yield part.register_forward_pre_hook(begin_part)
        yield part.register_forward_hook(end_part)


def _layer(name: str, part: nn.Module, output: Tensor, params: int, macs: int, is_leaf: bool) -> Layer:
    # Modules that allocate no output in evaluation: a view, the input itself, or the input overwritten.
    in_place = isinstance(part, nn.Identity | nn.Flatten | nn.Dropout | DropPath) or getattr(part, "inplace", False)
    activation_bytes = 0 if in_place or not is_leaf else output.numel() * output.element_size()
    reach = reach_of(output)
    kind, shape = type(part).__name__, tuple(output.shape[1:])
    stride = round(reach.stride[0]), round(reach.stride[1])
    return Layer(name, kind, shape, params, macs, activation_bytes, reach.field, stride)
