"""Channels: which layers made each channel of the map that a layer reads.

A network that grew has channels that its parent lacks, and a concatenation moves the old ones. So columns of weights are not
matched by their position, but by what made their channel.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.building import Shape
from nas.tracing import on_meta

Source = tuple[str, int] | tuple[str, int, int]
"""The name of a layer and its output channel, and the pixel where a map was flattened; the name of the image is empty."""

Channels = tuple[tuple[Source, ...], ...]
"""The sources of each channel: several where outputs were added or multiplied, none where the channel is padding."""

LAYERS = (nn.Conv2d, nn.Linear)
"""The layers whose outputs are new channels."""


def trace_channels(model: nn.Module, input: Shape, through: Collection[str] = ()) -> dict[str, Channels | None]:
    """Return the channels that each leaf module reads, by the module's name; None where they could not be followed.

    A depthwise convolution keeps the channels that it reads, and so do the layers named in `through`.
    """
    was_training, tensors = model.training, chain(model.parameters(), model.buffers())
    # copying takes a third of the time, which a store spends on each architecture that it meets
    twin = model if all(each.is_meta for each in tensors) else deepcopy(model).to("meta")
    tracer, hooks = _ChannelTracer(frozenset(through)), []
    for name, module in twin.named_modules():
        if not any(module.children()):
            hooks.append(module.register_forward_pre_hook(tracer.entering(name)))
            hooks.append(module.register_forward_hook(tracer.leaving))
    image = torch.zeros((1, *input), device="meta")
    _mark(image, tuple((("", i),) for i in range(input[0])))
    try:
        with torch.no_grad(), tracer:
            twin.eval()(image)
    finally:
        twin.train(was_training)
        for hook in hooks:
            hook.remove()
    return tracer.read


def align(new: Channels | None, old: Channels | None, names: Mapping[str, str], sizes: tuple[int, int]) -> list[int]:
    """Return, for each new channel, the old one that has the same sources; -1 for a channel that the old network lacks.

    `names` maps layers of the new network to those of the old. Channels that could not be followed are matched by position;
    `sizes` are the numbers of new and of old channels.
    """
    if new is None or old is None or (len(new), len(old)) != sizes:
        return by_position(*sizes)
    known = {source for sources in old for source in sources}
    keys = [frozenset(_renamed(sources, names)) & known for sources in new]
    common = frozenset().union(*keys)
    # equal sources may occur twice, as where a map is concatenated with itself: those keep their order
    places: dict[frozenset[Source], deque[int]] = defaultdict(deque)
    having: dict[Source, int] = {}
    for i, sources in enumerate(old):
        places[frozenset(sources) & common].append(i)
        for source in sources:
            having.setdefault(source, i)
    found = []
    for key in keys:
        equal = places.get(key)
        found.append(-1 if not key else equal.popleft() if equal else min(having[source] for source in key))
    return found


def by_position(new: int, old: int) -> list[int]:
    """Return, for each new channel, the old one in the same position; -1 for those after the last."""
    return [i if i < old else -1 for i in range(new)]


def _renamed(sources: Sequence[Source], names: Mapping[str, str]) -> list[Source]:
    return [(names[name], *rest) for name, *rest in sources if name in names]  # type: ignore[misc]


def _mark(tensor: Tensor, channels: Channels | None) -> None:
    tensor._channels = channels  # type: ignore[attr-defined]


def _marked(tensor: Tensor) -> Channels | None:
    known: Channels | None = getattr(tensor, "_channels", None)
    return known


_WEIGHTED = frozenset("convolution addmm mm linear".split())


@final
class _ChannelTracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that follows channels through every operation; `read` has those that each leaf module read."""

    def __init__(self, through: frozenset[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.through = through
        self.read: dict[str, Channels | None] = {}
        self._module, self._name = nn.Module(), ""

    def entering(self, name: str) -> Any:
        """Return the hook that notes what the module of that name reads."""

        def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._module, self._name = module, name
            self.read[name] = _marked(inputs[0]) if inputs and isinstance(inputs[0], Tensor) else None

        return note

    def leaving(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Forget the module: what is computed next is not its output."""
        self._module, self._name = nn.Module(), ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = func.overloadpacket.__name__
        result = on_meta(name, args)
        if result is None:
            result = func(*args, **(kwargs or {}))
        inputs = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        outputs = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        if name.startswith("split"):
            self._mark_parts(_marked(args[0]), outputs)
        elif outputs:
            _mark(outputs[0], self._channels(name, args, inputs, outputs[0]))
        return result

    def _mark_parts(self, whole: Channels | None, parts: Sequence[Tensor]) -> None:
        """Mark the parts of a map; they are parts of its channels, as no module splits a map otherwise."""
        start = 0
        for part in parts:
            _mark(part, whole and whole[start : start + part.shape[1]])
            start += part.shape[1]

    def _channels(self, name: str, args: Any, inputs: list[Tensor], output: Tensor) -> Channels | None:
        known = [channels for each in inputs if (channels := _marked(each)) is not None]
        if not known:
            return None
        if name in _WEIGHTED:
            return self._made(known[0], output)
        if name == "cat":
            joined = [_marked(each) for each in inputs]
            return None if None in joined else tuple(each for part in joined if part for each in part)
        if name == "slice" and args[1] == 1:
            return tuple(known[0][slice(*args[2:5])])
        if name in ("view", "_unsafe_view", "reshape") and output.dim() == 2:
            pixels = output.shape[1] // len(known[0])
            if pixels > 1:
                return tuple(tuple((*source[:2], i) for source in each) for each in known[0] for i in range(pixels))
        if name == "constant_pad_nd" and len(args[1]) == 6:
            before, after = args[1][4:]
            return (*[()] * before, *known[0], *[()] * after)
        # everything else works channel by channel, along the second axis or, where a norm moved it, the last
        fitting = [each for each in known if len(each) in (output.shape[1], output.shape[-1])]
        return _united([each for each in fitting if len(each) == len(fitting[0])]) if fitting else None

    def _made(self, read: Channels, output: Tensor) -> Channels | None:
        """Return the channels that a layer with weights makes."""
        if not isinstance(self._module, LAYERS):
            return None
        is_depthwise = isinstance(self._module, nn.Conv2d) and is_channelwise(self._module)
        kept = read if is_depthwise or self._name in self.through else ()
        return (*kept, *(((self._name, i),) for i in range(len(kept), output.shape[1])))


def is_channelwise(conv: nn.Conv2d) -> bool:
    """Whether a convolution filters each channel by itself."""
    return conv.groups == conv.in_channels == conv.out_channels > 1


def _united(maps: Sequence[Channels]) -> Channels:
    if len(maps) == 1:
        return maps[0]
    return tuple(tuple(dict.fromkeys(source for each in same for source in each)) for same in zip(*maps, strict=True))
