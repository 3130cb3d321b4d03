"""Ties: modules and weights that stand at several places of a network."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from nas.export.source.leaves import is_torch


def ties(model: nn.Module) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return, by the name of the module that holds both, the first and another place of what stands at several."""
    found: dict[str, list[tuple[str, str]]] = {}
    for first, other in _shared(model):
        a, b = first.split("."), other.split(".")
        depth = next(i for i in range(len(a)) if a[i] != b[i])
        while depth and not _has_class(model.get_submodule(".".join(a[:depth]))):
            depth -= 1
        found.setdefault(".".join(a[:depth]), []).append((".".join(a[depth:]), ".".join(b[depth:])))
    return {name: tuple(pairs) for name, pairs in found.items()}


def _has_class(module: nn.Module) -> bool:
    return not is_torch(module) and not isinstance(module, nn.Sequential | nn.ModuleList | nn.ParameterList)


def _shared(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the places of whole modules, and of weights that are not in one of these."""
    modules: dict[nn.Module, str] = {}
    inside: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if not name.startswith(tuple(inside)) and modules.setdefault(module, name) != name:
            inside.append(f"{name}.")
            yield modules[module], name
    weights: dict[nn.Parameter, str] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        if not name.startswith(tuple(inside)) and weights.setdefault(weight, name) != name:
            yield weights[weight], name
