"""Origins: which node of a tree built which module, and example inputs and outputs of each module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, Site
from nas.export.source.forward import ActsInTraining
from nas.operations.drop_path import DropPath


@dataclass(frozen=True, slots=True)
class Origin:
    """The node that built a module, and the stride it was built for."""

    node: Node
    stride: int


@dataclass(frozen=True, slots=True)
class Examples:
    """The inputs (`given`) and outputs (`gave`) of each module by name, as `meta` tensors without values."""

    given: dict[str, tuple[Any, ...]]
    gave: dict[str, Any]


def origins(network: Node, input: Shape) -> dict[str, Origin]:
    """Return the node that built each module, by the module's name; no tensor is allocated."""
    built: dict[nn.Module, Origin] = {}

    def note(module: nn.Module, node: Node, site: Site) -> None:
        built.setdefault(module, Origin(node, site.stride))

    with torch.device("meta"):
        model = Site(input, channels=input[0], watch=note).build(network)
    return {name: built[part] for name, part in model.named_modules() if part in built}


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; on exit, each module gets its mode back."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for part, was_training in modes.items():
            part.training = was_training


@contextmanager
def undecided() -> Iterator[None]:
    """Make reading `training` of any module raise ActsInTraining, except of drop path, which is written as in evaluation."""

    def ask(module: nn.Module) -> bool:
        if not isinstance(module, DropPath):
            raise ActsInTraining
        return False

    def decide(module: nn.Module, is_training: bool) -> None:
        vars(module)["training"] = is_training

    # a property on the class takes precedence over the entry `training` in each module's __dict__
    nn.Module.training = property(ask, decide)  # type: ignore[assignment]
    try:
        yield
    finally:
        del nn.Module.training


def watch(model: nn.Module, input: Shape) -> Examples:
    """Run a model once, and return the inputs and outputs of its modules as examples."""
    examples, hooks = Examples({}, {}), []
    for name, part in model.named_modules():

        def note(part: nn.Module, given: tuple[Any, ...], gave: Any, name: str = name) -> None:
            examples.given[name], examples.gave[name] = tuple(map(_emptied, given)), _emptied(gave)

        hooks.append(part.register_forward_hook(note))
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            model(torch.zeros(1, *input, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return examples


def _emptied(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value
