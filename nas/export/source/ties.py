"""Ties: modules and weights that a network uses at several places."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from nas.export.source.leaves import is_torch


def ties(model: nn.Module) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the pairs of places (first, other) of each shared module or weight, relative to the module that holds both.

    The pairs are keyed by the name of that module, which is the innermost one that can be written as a class.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for first, other in _shared(model):
        a, b = first.split("."), other.split(".")
        # the innermost module that holds both places, and from there outwards to one that has a class
        depth = next(i for i in range(len(a)) if a[i] != b[i])
        while depth and not _has_class(model.get_submodule(".".join(a[:depth]))):
            depth -= 1
        found.setdefault(".".join(a[:depth]), []).append((".".join(a[depth:]), ".".join(b[depth:])))
    return {name: tuple(pairs) for name, pairs in found.items()}


def _has_class(module: nn.Module) -> bool:
    return not is_torch(module) and not isinstance(module, nn.Sequential | nn.ModuleList | nn.ParameterList)


def _shared(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the pairs of places of shared modules, and of shared weights outside of them."""
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
