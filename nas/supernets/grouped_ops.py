"""The operations of grouped cells: the steps of an option, and the same step of several options as one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.operations.skip import FactorizedReduce
from nas.supernets.depthwise import depthwise


def steps(module: nn.Module) -> list[nn.Module] | None:
    """Return the steps of a module; None where it does anything that grouped cells do not support.

    Types are compared exactly: a class derived from one of torch's may do anything.
    """
    if type(module) is nn.Identity:
        return []
    if type(module) is nn.ReLU:
        return [nn.ReLU()]  # never in place: other options read the same state
    if type(module) is nn.Sequential:
        return _joined([steps(part) for part in module])
    if type(module) is FactorizedReduce:
        return _joined([steps(module.relu), [module], steps(module.norm)])
    if type(module) is nn.BatchNorm2d:
        of_batch = not module.affine and module.running_mean is None
        return [BatchNorm(module.eps)] if of_batch else None
    if type(module) is nn.Conv2d:
        plain = module.bias is None and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        return [module] if plain else None
    return [module] if type(module) in (nn.MaxPool2d, nn.AvgPool2d) else None


def _joined(parts: Sequence[list[nn.Module] | None]) -> list[nn.Module] | None:
    known = [part for part in parts if part is not None]
    return list(chain.from_iterable(known)) if len(known) == len(parts) else None


def signature(step: nn.Module) -> str:
    """Return all settings that two steps must share to be computed as one; weights are not among them."""
    if isinstance(step, FactorizedReduce):
        return f"FactorizedReduce {signature(step.even)} {signature(step.odd)}"
    # the public attributes of torch's modules are their settings; weights, buffers and hooks have an underscore
    settings = {name: value for name, value in vars(step).items() if not name.startswith("_") and name != "training"}
    return f"{type(step).__name__} {sorted(settings.items())}"


def weighted(step: nn.Module) -> bool:
    """Return whether a step has weights, so that options cannot share it."""
    return isinstance(step, nn.Conv2d | FactorizedReduce)


@final
class BatchNorm(nn.Module):
    """Batch norm by batch statistics, followed by a scale per channel, (C,), if given."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor, scales: Tensor | None = None) -> Tensor:
        return functional.batch_norm(x, None, None, scales, None, True, 0.0, self.eps)


@final
class RepeatedOperation(nn.Module):
    """Repetition of all channels: (B, C, H, W) becomes (B, times * C, H, W)."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x] * self.times, 1)


@final
class Subsampled(nn.Module):
    """Every step-th pixel of each row and column, from the first."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.step, :: self.step]


def preparation(step: nn.Module, options: int) -> list[nn.Module]:
    """Return the modules to run once before the first weighted step of `options` options that read one map.

    A kernel whose dilation equals its stride reads every step-th pixel only; on the subsampled map it is undilated.
    """
    prepared: list[nn.Module] = []
    if isinstance(step, nn.Conv2d) and _skips_pixels(step):
        prepared.append(Subsampled(step.stride[0]))
    # A grouped convolution needs a copy of the map per option; an ungrouped one reads one map for all its outputs.
    if isinstance(step, nn.Conv2d) and step.groups > 1 and options > 1:
        prepared.append(RepeatedOperation(options))
    return prepared


def _skips_pixels(conv: nn.Conv2d) -> bool:
    """Return whether a convolution is as dilated as it is strided, so that it reads a subsampled map only."""
    equal = conv.stride[0] == conv.stride[1] and conv.dilation == conv.stride and conv.stride[0] > 1
    return equal and all(int(padding) % conv.stride[0] == 0 for padding in conv.padding)


def stacked(equal: Sequence[nn.Module], first: bool) -> nn.Module:
    """Return the same step of several options as one, on concatenated channels; `first` if all of them read one map."""
    if isinstance(equal[0], FactorizedReduce):
        return StackedReduce([each for each in equal if isinstance(each, FactorizedReduce)])
    if isinstance(equal[0], nn.Conv2d):
        return StackedConv([each for each in equal if isinstance(each, nn.Conv2d)], first)
    return equal[0]


@final
class StackedConv(nn.Module):
    """The convolutions of several options as one; `first` ones read the map that `preparation` returns."""

    def __init__(self, convs: Sequence[nn.Conv2d], first: bool) -> None:
        super().__init__()
        conv = convs[0]
        self.weight = _stacked_weights(convs)
        # repeated or concatenated maps have the channels of all options, which separate groups keep apart
        self.groups = conv.groups if first and conv.groups == 1 else conv.groups * len(convs)
        # `preparation` has subsampled the map already: stride, dilation and padding shrink by that factor
        step = conv.stride[0] if first and _skips_pixels(conv) else 1
        self.stride, self.dilation = (tuple(each // step for each in sizes) for sizes in (conv.stride, conv.dilation))
        self.padding = tuple(int(padding) // step for padding in conv.padding)
        self.same = self._is_depthwise_and_same()

    def _is_depthwise_and_same(self) -> bool:
        """Return whether `depthwise` can compute the convolution: depthwise, square stride and dilation, size-keeping padding."""
        whole = (self.stride[0], self.dilation[0])
        square = self.stride == whole[:1] * 2 and self.dilation == whole[1:] * 2
        sizes = zip(self.padding, self.dilation, self.weight.shape[2:], strict=True)
        same = all(2 * padding == dilation * (kernel - 1) for padding, dilation, kernel in sizes)
        return square and same and self.weight.shape[:2] == (self.groups, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            return depthwise(x, self.weight, self.stride[0], self.dilation[0])
        return functional.conv2d(x, self.weight, None, self.stride, self.padding, self.dilation, self.groups)


@final
class StackedReduce(nn.Module):
    """Several factorised reductions of one map as one convolution, without their ReLU and norm."""

    def __init__(self, reductions: Sequence[FactorizedReduce]) -> None:
        super().__init__()
        self.options = len(reductions)
        self.even = _stacked_weights([each.even for each in reductions])
        self.odd = _stacked_weights([each.odd for each in reductions])

    def forward(self, x: Tensor) -> Tensor:
        # Both 1x1 convolutions become one on 2C channels: even pixels and odd pixels, with zeros for the weights of
        # the respective other half.
        shifted = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1::2, 1::2]
        none, channels = (0, 0, 0, 0), x.shape[1]
        even = functional.pad(self.even.view(self.options, -1, channels, 1, 1), (*none, 0, channels))
        odd = functional.pad(self.odd.view(self.options, -1, channels, 1, 1), (*none, channels, 0))
        weight = torch.cat([even, odd], 1).flatten(0, 1)
        return functional.conv2d(torch.cat([x[:, :, ::2, ::2], shifted], 1), weight)


def _stacked_weights(convs: Sequence[nn.Conv2d]) -> nn.Parameter:
    return nn.Parameter(torch.cat([conv.weight.detach() for conv in convs]), convs[0].weight.requires_grad)


@final
class OperationGroup(nn.Module):
    """Equal options of the edges that leave one state, from their first weights to their scales, as one.

    Takes the prepared map and one scale for each output channel, (options * `channels`,).
    """

    def __init__(self, options: Sequence[Sequence[nn.Module]]) -> None:
        super().__init__()
        equal = list(zip(*options, strict=True))
        self.parts = nn.ModuleList(stacked(steps, i == 0) for i, steps in enumerate(equal))
        self.channels = next(_channels(step) for step in reversed(options[0]) if weighted(step))

    def forward(self, x: Tensor, scales: Tensor) -> Tensor:
        *parts, last = self.parts
        for part in parts:
            x = part(x)
        if isinstance(last, BatchNorm):  # the norm's own scale is free: no separate multiplication
            return last(x, scales)  # type: ignore[no-any-return]
        return last(x) * scales.view(1, -1, 1, 1)  # type: ignore[no-any-return]


def _channels(step: nn.Module) -> int:
    convs = [step.even, step.odd] if isinstance(step, FactorizedReduce) else [step]
    return sum(conv.out_channels for conv in convs if isinstance(conv, nn.Conv2d))


@final
class Shared(nn.Module):
    """The leading steps without weights of the options of one state, each computed once: a tree, with the state as root."""

    def __init__(self) -> None:
        super().__init__()
        self.parents: list[int] = []
        self.steps = nn.ModuleList()

    def add(self, steps: Sequence[nn.Module]) -> int:
        """Add a chain of steps to the tree; return the index of its last map. Index 0 is the state itself."""
        at = 0
        for step in steps:
            at = self._child(at, step)
        return at

    def _child(self, parent: int, step: nn.Module) -> int:
        for i, (at, known) in enumerate(zip(self.parents, self.steps, strict=True), 1):
            if at == parent and signature(known) == signature(step):
                return i
        self.parents.append(parent)
        self.steps.append(step)
        return len(self.steps)

    def forward(self, state: Tensor) -> list[Tensor]:
        made = [state]
        for parent, step in zip(self.parents, self.steps, strict=True):
            made.append(step(made[parent]))
        return made


def mixtures(maps: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """Return the sums of `maps`, each (B, C, H, W), weighted by each row of `weights`, (sums, maps); each map is read once."""
    # maps are stacked in the order that they have in memory, so that flattening does not copy
    channels_last = maps[0].stride(1) == 1
    arranged = [each.permute(0, 2, 3, 1) if channels_last else each for each in maps]
    side_by_side = torch.stack(arranged, 1)
    # (B, sums, maps) @ (B, maps, C * H * W)
    mixed = torch.bmm(weights.expand(len(side_by_side), -1, -1), side_by_side.flatten(2))
    sums = mixed.view(-1, len(weights), *side_by_side.shape[2:]).unbind(1)
    return [each.permute(0, 3, 1, 2) if channels_last else each for each in sums]
