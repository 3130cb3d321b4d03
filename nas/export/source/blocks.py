"""Blocks: the modules of a network as an intermediate form, before it is decided which of them become classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from nas.building import Node, Shape, build
from nas.export.source import forms
from nas.export.source.copying import copy, is_straight
from nas.export.source.forward import ActsInTraining, Forward, NotExpressible
from nas.export.source.leaves import buffer, is_torch, leaf, parameter, refuse_hidden
from nas.export.source.origins import Origin, in_evaluation, origins, watch
from nas.export.source.terms import Literal, Term, is_literal
from nas.export.source.ties import ties
from nas.export.source.tracing import trace
from nas.operations.drop_path import DropPath
from nas.records import RecordError


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of modules to write: its original class, its forward, and its `ties` (paths of the same module or weight).

    `slots` are the names of its parts and numbers. `given` are the parts that the constructor takes; it makes the others.
    """

    cls: type
    forward: Forward
    slots: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    ties: tuple[tuple[str, str], ...] = ()


@dataclass(eq=False, slots=True)
class SourceBlock:
    """A module with submodules; `slots` are its parts and numbers by name. Without a `kind` it is an nn.Sequential."""

    name: str
    kind: Kind | None
    slots: tuple[tuple[str, Part], ...]
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Items:
    """Parts in a list of modules or weights; `callee` is its constructor, such as nn.ModuleList."""

    callee: str
    parts: tuple[Part, ...]


Part = Term | SourceBlock | Items


def read_blocks(network: Node, model: nn.Module, input: Shape) -> SourceBlock:
    """Return `model`, which was built from `network`, as a block. Raises RecordError where it cannot be written."""
    with in_evaluation(model):
        root = _Reader(network, model, input).part("", model)
    if not isinstance(root, SourceBlock):
        raise RecordError(f"the network is a single {type(model).__name__}: give one with a stem, stages and a head")
    return root


class _Reader:
    """A reader of one model's modules."""

    def __init__(self, network: Node, model: nn.Module, input: Shape) -> None:
        self.network, self.input = network, input
        self.origins, self.examples = origins(network, input), watch(model, input)
        self.fresh: nn.Module | None = None
        self.ties = ties(model)
        self.copied: dict[type, Forward | NotExpressible] = {}
        self.cells = forms.UnrolledCells(model, self.origins)

    def part(self, name: str, module: nn.Module) -> Part:
        """Return a module as a term or block."""
        return self._guarded(module, lambda: self._part(name, module))

    def _part(self, name: str, module: nn.Module) -> Part:
        refuse_hidden(module)
        if isinstance(module, nn.ParameterList):
            weights = (self._parameter(_join(name, key)) for key, _ in module.named_parameters())
            return Items("nn.ParameterList", tuple(weights))
        if isinstance(module, nn.ModuleList):
            return Items("nn.ModuleList", tuple(each for _, each in self._children(name, module)))
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            return SourceBlock(name, None, tuple(self._children(name, module)), self.origins.get(name))
        return leaf(module) if is_torch(module) else self._own(name, module)

    def _children(self, name: str, module: nn.Module) -> Iterator[tuple[str, Part]]:
        yield from (
            (key, self.part(_join(name, key), each)) for key, each in module._modules.items() if each is not None
        )

    def _guarded(self, module: nn.Module, make: Callable[[], Part]) -> Part:
        try:
            return make()
        except NotExpressible as error:
            raise RecordError(
                f"{type(module).__name__} cannot be written to a standalone file ({error}): use only torch and the "
                "standard library, and only numbers, tuples and modules as attributes, or export to torch-export"
            ) from None

    def _parameter(self, name: str) -> Term:
        """Return the call that makes a weight, initialised as in a freshly built network, not with the trained values."""
        if self.fresh is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.fresh = build(self.network, self.input)
        return parameter(self.fresh.get_parameter(name))

    def _own(self, name: str, module: nn.Module) -> SourceBlock:
        forward = self._forward(name, module)
        slots = tuple(self._slots(name, module, forward))
        given = () if forward.is_wired else tuple(key for key, _ in slots if _is_given(module, key))
        kind = Kind(type(module), forward, tuple(key for key, _ in slots), given, self.ties.get(name, ()))
        return SourceBlock(name, kind, slots, self.origins.get(name))

    def _forward(self, name: str, module: nn.Module) -> Forward:
        if isinstance(module, forms.CellModule):
            return self.cells.forward(name, module)
        if isinstance(module, forms.NetworkModule):
            return forms.network(module)
        # prefer the author's own code where it is straight, else the shorter of its copy and a trace of this module;
        # code driven by lists of the module has to be traced, as a copy would need those lists
        copied = self.copied.setdefault(type(module), _attempt(lambda: copy(module)))
        if isinstance(copied, Forward) and is_straight(module) and _is_known(module, copied):
            return copied
        traced = _attempt(lambda: trace(module, name, self.examples))
        if not isinstance(traced, Forward):
            if isinstance(copied, Forward):
                return copied
            raise NotExpressible(f"{traced}, and {copied}") if isinstance(traced, ActsInTraining) else copied
        is_driven = isinstance(copied, Forward) and _is_driven(module, copied) and traced.is_wired
        is_longer = isinstance(copied, Forward) and len(traced.lines) > len(copied.lines)
        return copied if isinstance(copied, Forward) and is_longer and not is_driven else traced

    def _slots(self, name: str, module: nn.Module, forward: Forward) -> Iterator[tuple[str, Part]]:
        # a network's parts in the order of its forward: stem, layers, head
        order = forward.attributes if isinstance(module, forms.NetworkModule) else ()
        for key in dict.fromkeys([*order, *module._modules]):
            child = module._modules[key]
            if child is not None and (key in forward.attributes or _is_needed(module, key)):
                yield key, self._layers(name, child) if _is_chain(module, key) else self.part(_join(name, key), child)
        for key, _ in module.named_parameters(recurse=False):
            yield key, self._parameter(_join(name, key))
        for key, values in module.named_buffers(recurse=False):
            yield f"*{key}", buffer(key, values, key in module.state_dict())
        held = {*module._modules, *module._parameters, *module._buffers}
        for key in forward.attributes:
            if key not in held or getattr(module, key) is None:
                if not is_literal(value := getattr(module, key, None)):
                    raise NotExpressible(f"its attribute {key} is a {type(value).__name__}")
                yield key, Literal(value, key)

    def _layers(self, name: str, layers: nn.Module) -> SourceBlock:
        """Return the layers of a network as an nn.Sequential, for a network whose layers form a chain."""
        return SourceBlock(_join(name, "layers"), None, tuple(self._children(_join(name, "layers"), layers)), None)


def _attempt(make: Callable[[], Forward]) -> Forward | NotExpressible:
    try:
        return make()
    except NotExpressible as error:
        return error


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _is_chain(module: nn.Module, key: str) -> bool:
    return isinstance(module, forms.NetworkModule) and key == "layers" and forms.is_chain(module)


def _is_needed(module: nn.Module, key: str) -> bool:
    """Return whether a part that `forward` does not call has weights to keep; auxiliary heads are left out."""
    is_auxiliary = isinstance(module, forms.NetworkModule) and key == "auxiliary"
    return not is_auxiliary and len(getattr(module, key).state_dict()) > 0


def _is_given(module: nn.Module, key: str) -> bool:
    """Return whether a part is an argument of the constructor, judged by its name and annotation, if any."""
    taken = inspect.signature(type(module).__init__).parameters.get(key)
    is_part = isinstance(getattr(module, key, None), nn.Module) and taken is not None
    return is_part and taken is not None and (taken.annotation is taken.empty or "Module" in str(taken.annotation))


def _is_known(module: nn.Module, copied: Forward) -> bool:
    """Return whether all attributes that a forward reads can be written: modules, tensors or literals."""
    values = [getattr(module, key, None) for key in copied.attributes]
    return all(isinstance(each, nn.Module | torch.Tensor) or is_literal(each) for each in values)


def _is_driven(module: nn.Module, copied: Forward) -> bool:
    """Return whether a forward reads Python lists, tuples or dicts, attributes that cannot be written, or a drop path."""
    values = [getattr(module, key, None) for key in copied.attributes]
    return not _is_known(module, copied) or any(isinstance(each, list | tuple | dict | DropPath) for each in values)
