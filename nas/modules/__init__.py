"""Modules that exist: a space of any `torch.nn.Module`, whose channel groups keep a share of their channels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nas.building import Node, image_shape
from nas.choice import Choice
from nas.family import Family
from nas.fields import shown
from nas.modules.making import given, settled
from nas.modules.sliced_module import ChannelShare, SlicedModule, content_digest, groups_of, open_shares
from nas.morphisms.ordering import Importance
from nas.notation import notation
from nas.places import FilePath
from nas.plain import read_call
from nas.records import Positive, RecordError

__all__ = [
    "FAMILY",
    "ChannelShare",
    "SlicedModule",
    "family",
    "from_module",
    "options_of",
    "settled_options",
]

FAMILY = __name__
"""The name of the family, by which files name it."""

RATIOS = (0.25, 0.5, 0.75, 1.0)
"""The shares of its channels that a group may keep, from the smallest to the largest."""


def module_space(
    make: str,
    input: tuple[Positive, Positive, Positive] = (3, 32, 32),
    ratios: Sequence[float] = RATIOS,
    weights: FilePath | None = None,
    by: Importance = "l1",
) -> SlicedModule:
    """Return the space of a module: the share of each channel group is open, and named by the first layer of the group.

    `make` is the call that makes the module; `weights` is the file of its state dict, by default it keeps those that it is made
    with. Warns of layers whose channels stay. Raises RecordError as `find_groups` does, and where the weights do not fit.
    """
    _check_ratios(ratios)
    groups = groups_of(make, image_shape(input))
    mixed = {layer: why for layer, why in groups.whole.items() if "outputs" not in why}
    if mixed:
        layer, why = next(iter(mixed.items()))
        others = f", and those of {len(mixed) - 1} more" if len(mixed) > 1 else ""
        warnings.warn(f"the channels of layer {layer!r}{others} stay: {why}", stacklevel=2)
    content = "" if weights is None else content_digest(weights)
    space = SlicedModule(make, image_shape(input), open_shares(groups, ratios), weights, content, by)
    if weights is not None:
        space.whole()
    return space


def from_module(
    module: nn.Module | str,
    example: Tensor | tuple[int, int, int],
    *,
    ratios: Sequence[float] = RATIOS,
    by: Importance = "l1",
    weights: str | Path | None = None,
) -> SlicedModule:
    """Return the space of a trained module: each group of channels that must change together keeps one of `ratios` of them.

    `module` is the module itself, of which this process keeps a copy, or the call that makes it, as
    my_package.make_model(depth=3), which workers can import too, with the `weights` of a file.
    `example` is a batch of images (B, C, H, W), or the shape (C, H, W) of one. Raises RecordError where the module does not run
    on it or, with the layer, where no channels can be taken out.
    """
    input = _shape_of(example)
    if isinstance(module, nn.Module):
        if weights is not None:
            raise RecordError("the module is given itself, with its weights: leave the file of weights out")
        return module_space(given(module), input, ratios, None, by)
    if not isinstance(module, str):
        raise RecordError(f"{shown(module)} is no module: give a torch.nn.Module, or a name as my_package.make_model")
    file = None if weights is None else os.path.abspath(weights)  # noqa: PTH100, a link stays a link
    return module_space(settled(module), input, ratios, file, by)


def _shape_of(example: Any) -> tuple[int, int, int]:
    shape = tuple(example.shape[1:]) if isinstance(example, Tensor) and example.dim() == 4 else example
    if not isinstance(shape, tuple | list) or len(shape) != 3:
        what = f"of shape {tuple(example.shape)}" if isinstance(example, Tensor) else shown(example)
        raise RecordError(f"the example is {what}: give images (B, C, H, W), or the shape (C, H, W) of one")
    return image_shape(shape)


def _check_ratios(ratios: Sequence[float]) -> None:
    if not ratios or any(not 0 < ratio <= 1 for ratio in ratios) or len(set(ratios)) < len(ratios):
        raise RecordError(f"ratios is {list(ratios)}: give shares above 0 and at most 1, all different", "ratios")


def settled_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a space of a module with the names of its function and file valid in every folder."""
    found = dict(options)
    if isinstance(make := options.get("make"), str):
        found["make"] = settled(make)
    if isinstance(file := options.get("weights"), str):
        found["weights"] = os.path.abspath(Path(file).expanduser())  # noqa: PTH100, a link stays a link
    return found


def options_of(space: SlicedModule) -> dict[str, Any]:
    """Return the options of a space of a module, from which it is opened again. Raises RecordError where it would be another."""
    opened = [share.keeps.options if isinstance(share.keeps, Choice) else (share.keeps,) for share in space.shares]
    ratios = tuple(sorted({ratio for options in opened for ratio in options}))
    options = {"make": space.make, "input": space.input, "ratios": ratios, "weights": space.weights, "by": space.by}
    if read_call(module_space, options, "space") != space:
        raise RecordError(
            "the shares of this space are not those of nas.from_module: give it as it was returned", "space"
        )
    return options


def _network(module: SlicedModule, classes: int | None = None) -> Node:
    """Return the network of a module itself. Raises RecordError where it has another number of outputs than classes."""
    if classes is not None and (outputs := module.groups().outputs) != classes:
        raise RecordError(
            f"the module has {outputs} outputs, and the data have {classes} classes: make a module with as many"
        )
    return module


family = Family("Fang et al. 2023, arXiv:2301.12900", module_space, _network, notation)
