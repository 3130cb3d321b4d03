"""Origins: which node of a tree built which module, and what each module is given and gives."""

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
    """The node that built a module, and the stride that was asked for."""

    node: Node
    stride: int


@dataclass(frozen=True, slots=True)
class Examples:
    """Tensors without values, as modules see them: by a module's name, what it was given and what it gave."""

    given: dict[str, tuple[Any, ...]]
    gave: dict[str, Any]


def origins(network: Node, input: Shape) -> dict[str, Origin]:
    """Return, by the name of a module, the node that built it; nothing is allocated."""
    built: dict[nn.Module, Origin] = {}

    def note(module: nn.Module, node: Node, site: Site) -> None:
        built.setdefault(module, Origin(node, site.stride))

    with torch.device("meta"):
        model = Site(input, channels=input[0], watch=note).build(network)
    return {name: built[part] for name, part in model.named_modules() if part in built}


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Bring a model to evaluation mode, and leave each of its modules as it was."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for part, was_training in modes.items():
            part.training = was_training


@contextmanager
def undecided() -> Iterator[None]:
    """Let no module know whether it trains, except drop path, of which evaluation alone is written."""

    def ask(module: nn.Module) -> bool:
        if not isinstance(module, DropPath):
            raise ActsInTraining
        return False

    def decide(module: nn.Module, is_training: bool) -> None:
        vars(module)["training"] = is_training

    nn.Module.training = property(ask, decide)  # type: ignore[assignment]
    try:
        yield
    finally:
        del nn.Module.training


def watch(model: nn.Module, input: Shape) -> Examples:
    """Run a model once, and return examples of what its modules are given and give."""
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
