"""Coverage: few architectures of a space that together have each option of each choice, wherever the choice occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from nas.building import Node, Shape, build
from nas.choice import Choice, choices, rebuild
from nas.space import resolve


def covering(space: Any, stack: Callable[[Any], Node], input: Shape) -> Iterator[tuple[str, Any]]:
    """Yield architectures with the name of the choice that each varies; the first is the largest and varies none.

    Every other one takes one option of one choice, at one of the places where that choice occurs; all choices beside it are as
    in the largest, whose decisions are found one after another by the number of weights (numbers: the largest number).
    """
    ways = list(_ways(space, {}))
    decided: dict[str, int] = {}
    for name, choice in choices(space).items():
        if all(isinstance(option, int | float) for option in choice.options) and choice.k is None:
            decided[name] = max(range(choice.arity), key=choice.options.__getitem__)
    for name, choice in choices(space).items():
        if name not in decided:
            reaching = next(way for way in ways if name in way)
            members = [_member(space, {**reaching, **decided, name: option}) for option in range(choice.arity)]
            weights = [_count_weights(stack(member), input) for member in members]
            decided[name] = weights.index(max(weights))
    largest = _member(space, decided)
    yield "", largest
    seen = {largest}
    for way in ways:
        member = _member(space, {**decided, **way})
        if member not in seen:
            seen.add(member)
            yield list(way)[-1], member


def _ways(part: Any, before: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Yield the decisions that lead to each option of each choice in a part of a space, the choice itself last."""
    outermost: dict[str, Choice] = {}
    rebuild(part, lambda choice: outermost.setdefault(choice.name, choice))
    for name, choice in outermost.items():
        if name in before:
            continue
        entered = set[int]()
        for decision in range(choice.arity):
            way = {**before, name: decision}
            yield way
            for index in choice.picked(decision):
                if index not in entered:
                    entered.add(index)
                    yield from _ways(choice.options[index], way)


def _member(space: Any, decided: Mapping[str, int]) -> Any:
    # a choice that is not decided is not yet reached by those before it: its last option stands in
    return resolve(space, lambda choice: decided.get(choice.name, choice.arity - 1))


def _count_weights(network: Node, input: Shape) -> int:
    with torch.device("meta"):
        return sum(each.numel() for each in build(network, input).parameters())
