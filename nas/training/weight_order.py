"""The order of weights: a state dict of another library and a network's own weights, matched by execution and by shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nas.building import Shape

MOST = 200_000
"""The most steps of the search for an order. Networks that fit need about one step for each module."""

COUNTER = "num_batches_tracked"
"""A count that batch norms keep, which nothing reads where the momentum is given."""

Signature = tuple[tuple[str, Shape | tuple[int, ...]], ...]
"""The names and shapes of a module's own tensors. Sides of 1 at the end are left out: 1x1 convolutions equal linear layers."""


@dataclass(frozen=True, slots=True)
class Part:
    """The tensors of one module by their last names: weight, bias, running_mean, ..."""

    name: str
    tensors: Mapping[str, Tensor]

    @property
    def signature(self) -> Signature:
        """The names and shapes of its tensors; the name of a lone tensor, such as `gamma`, says nothing."""
        shapes = {name: _bare(tensor.shape) for name, tensor in self.tensors.items()}
        return tuple(sorted(shapes.items())) if len(shapes) > 1 else tuple(("", shape) for shape in shapes.values())

    def full_name(self, tensor: str) -> str:
        """Return the name of a tensor in the state dict."""
        return f"{self.name}.{tensor}" if self.name else tensor


def _bare(shape: Sequence[int]) -> tuple[int, ...]:
    sides = list(shape)
    while len(sides) > 1 and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def parts_of(state: Mapping[str, Tensor]) -> list[Part]:
    """Return the tensors of a state dict by module, in their order; counters of batches are left out."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        module, _, own = name.rpartition(".")
        if own != COUNTER:
            found.setdefault(module, {})[own] = tensor
    return [Part(module, tensors) for module, tensors in found.items()]


def executed(model: nn.Module, input: Shape) -> list[Part]:
    """Return the parts of a network in the order in which a forward pass of an image (C, H, W) runs their modules.

    Parts that it does not run, as those of auxiliary heads, come last, in the order in which they were built.
    """
    parts = {part.name: part for part in parts_of(model.state_dict())}
    copied, order = deepcopy(model).to("meta").eval(), dict[str, None]()

    def run(name: str, *_: object) -> None:
        order.setdefault(name)

    for name, module in copied.named_modules():
        module.register_forward_pre_hook(partial(run, name))
    with torch.no_grad():
        copied(torch.empty(1, *input, device="meta"))
    return [parts[name] for name in (*order, *(each for each in parts if each not in order)) if name in parts]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A module of the file with its parts: a tree by the names. `signature` is equal where nothing but names differs."""

    part: Part | None = None
    inside: tuple[_Folder, ...] = ()
    signature: Any = None
    has: frozenset[Signature] = field(default_factory=frozenset)


def _folder(parts: Sequence[tuple[list[str], Part]]) -> _Folder:
    """Return the tree of parts, each with the rest of its name, in the order of their first appearance."""
    if len(parts) == 1 and not parts[0][0]:
        signature = parts[0][1].signature
        return _Folder(parts[0][1], (), signature, frozenset((signature,)))
    groups: dict[str, list[tuple[list[str], Part]]] = {}
    for names, part in parts:
        groups.setdefault(names[0] if names else "", []).append((names[1:], part))
    inside = tuple(_folder(group) for group in groups.values())
    has = frozenset[Signature]().union(*(each.has for each in inside))
    return _Folder(None, inside, tuple(each.signature for each in inside), has)


def matched(wanted: Sequence[Part], given: Sequence[Part], fits: Mapping[Signature, Signature]) -> list[Part] | None:
    """Return the given parts in the order of the wanted ones; None where there is no such order.

    The tensors of a module stay together, as its calls do; within a module the order given is tried first, then others, since
    files may sort names, and a module may declare its layers in another order than it runs them. `fits` maps
    signatures that may differ, as those of heads for other classes: from that of the network to that of the file.
    """
    signatures = [fits.get(part.signature, part.signature) for part in wanted]
    tree = _folder([(part.name.split(".") if part.name else [], part) for part in given])
    # Each state: the folders to go on with, innermost first, as a linked list of what is left of them; and the parts found.
    states: list[tuple[Any, Any, int]] = [(((tree,), None), None, 0)]
    for _ in range(MOST):
        if not states:
            return None
        agenda, found, at = states.pop()
        while agenda is not None and not agenda[0]:
            agenda = agenda[1]
        if agenda is None:
            if at == len(signatures):
                return _unrolled(found)
            continue
        if at < len(signatures):
            states += reversed(list(_steps(agenda, found, at, signatures[at])))
    return None


def _steps(agenda: Any, found: Any, at: int, signature: Signature) -> Iterator[tuple[Any, Any, int]]:
    """Yield the states after the next wanted part is taken from the innermost folder, or one inside it is entered."""
    folders, outer = agenda
    tried = set()
    for i, each in enumerate(folders):
        if signature not in each.has or each.signature in tried:
            continue
        tried.add(each.signature)  # of equal ones the first is as good as the others
        rest = ((*folders[:i], *folders[i + 1 :]), outer)
        yield (rest, (each.part, found), at + 1) if each.part is not None else ((each.inside, rest), found, at)


def _unrolled(found: Any) -> list[Part]:
    parts = []
    while found is not None:
        part, found = found
        parts.append(part)
    return parts[::-1]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with their numbers: layer2 before layer10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def mismatches(wanted: Sequence[Part], given: Sequence[Part]) -> list[str]:
    """Return every mismatch in words: the tensor of the file with its shape, and the one that was expected.

    Parts of equal shapes count as matched, whatever their order; what is left is compared with the next part of its kind.
    """
    theirs = list(given)
    ours = [part for part in wanted if _take(theirs, part, lambda each: each.signature) is None]
    found = list[str]()
    for part in ours:
        found += _differences(part, _take(theirs, part, _kind))
    return found + [line for part in theirs for line in _differences(None, part)]


def _take(parts: list[Part], like: Part, key: Callable[[Part], object]) -> Part | None:
    """Remove and return the first part that equals another by a key; None where there is none."""
    found = next((i for i, part in enumerate(parts) if key(part) == key(like)), None)
    return None if found is None else parts.pop(found)


def _kind(part: Part) -> list[tuple[str, int]]:
    return [(name, len(shape)) for name, shape in part.signature]


def _differences(ours: Part | None, theirs: Part | None) -> Iterator[str]:
    own, other = (dict(each.tensors) if each is not None else {} for each in (ours, theirs))
    for name in dict.fromkeys((*own, *other)):
        if name in own and name in other and _bare(own[name].shape) == _bare(other[name].shape):
            continue
        has = (
            f"{theirs.full_name(name)} {tuple(other[name].shape)}"
            if theirs is not None and name in other
            else "nothing"
        )
        expected = f"{ours.full_name(name)} {tuple(own[name].shape)}" if ours is not None and name in own else "nothing"
        yield f"{has}, expected {expected}"
