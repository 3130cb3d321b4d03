"""Coverage: few architectures of a space that together have each option of each choice, wherever the choice occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import torch

from nas.building import Node, Shape, build
from nas.choice import Choice, choices, rebuild
from nas.space import resolve


@final
class Coverage:
    """The architectures that a store of a space is made from; `largest` and `smallest` have the most and the fewest weights.

    Their decisions are found one after another: numbers by their size, other options by the weights of the network.
    """

    def __init__(self, space: Any, stack: Callable[[Any], Node], input: Shape) -> None:
        self.space, self.stack, self.input = space, stack, input
        self.ways = list(_ways(space, {}))
        self.decided = self._extreme(max)
        self.largest = _member(space, self.decided)
        self.smallest = _member(space, self._extreme(min))

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield architectures with the name of the choice that each varies; the first is the largest and varies none.

        Every other one takes one option of one choice, at one of the places where that choice occurs; all choices beside it
        are as in the largest.
        """
        yield "", self.largest
        seen = {self.largest}
        for way in self.ways:
            member = _member(self.space, {**self.decided, **way})
            if member not in seen:
                seen.add(member)
                yield list(way)[-1], member

    def _extreme(self, pick: Callable[[Sequence[float]], float]) -> dict[str, int]:
        """Return the decisions of the largest architecture, by `max`, or of the smallest, by `min`."""
        known, decided = choices(self.space), dict[str, int]()
        for name, choice in known.items():
            if all(isinstance(option, int | float) for option in choice.options) and choice.k is None:
                decided[name] = choice.options.index(pick(choice.options))
        for name, choice in known.items():
            if name not in decided:
                reaching = next(way for way in self.ways if name in way)
                taken = [{**reaching, **decided, name: option} for option in range(choice.arity)]
                weights = [self._count_weights(_member(self.space, each)) for each in taken]
                decided[name] = weights.index(int(pick(weights)))
        return decided

    def _count_weights(self, member: Any) -> int:
        with torch.device("meta"):
            return sum(each.numel() for each in build(self.stack(member), self.input).parameters())


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
