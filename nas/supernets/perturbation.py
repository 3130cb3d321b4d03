"""Derivation by perturbation: the importance of an option is the accuracy that the supernet loses without it.

Wang et al. 2021, arXiv:2108.04392 (DARTS-PT), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, final

from nas.choice import Choice, choices, combination_index
from nas.space import resolve
from nas.supernets.gates import Gate
from nas.supernets.supernet import Supernet


def derive_by_perturbation(
    space: Any, supernet: Supernet, top1_percent: Callable[[], float], tune: Callable[[], None], rng: Random
) -> Any:
    """Decide choice by choice, in random order: the option whose removal lowers the supernet's accuracy most is kept.

    First each `one_of` is decided, then which k options of each `some_of` are kept. After each decision the supernet is
    tuned.
    """
    masks, decided = _Masks(supernet), dict[str, int]()
    supernet.use(masks.gates)
    # operations before edges, each in random order
    known = sorted(choices(space).values(), key=lambda choice: (choice.k is not None, rng.random()))
    for choice in known:
        # (accuracy without option i, i): the lowest accuracy marks the most important option
        falls = [(masks.trial(masks.without(choice, i), top1_percent), i) for i in range(len(choice.options))]
        kept = tuple(sorted(i for _, i in sorted(falls)[: choice.k or 1]))
        decided[choice.name] = kept[0] if choice.k is None else combination_index(len(choice.options), kept)
        masks.lasting |= masks.only(choice, kept)
        tune()
    supernet.use(None)
    return resolve(space, lambda choice: decided[choice.name])


Mask = frozenset[tuple[str, int]]
"""Options, as (name of the choice, index), whose weight is set to 0."""


@final
class _Masks:
    """Options masked out of a supernet: those in `lasting` for good, those in `tried` for one trial."""

    def __init__(self, supernet: Supernet) -> None:
        self.supernet = supernet
        self.lasting: Mask = frozenset()
        self.tried: Mask = frozenset()

    def trial(self, mask: Mask, top1_percent: Callable[[], float]) -> float:
        """Return the accuracy with a mask applied."""
        self.tried = mask
        accuracy = top1_percent()
        self.tried = frozenset()
        return accuracy

    def without(self, choice: Choice, index: int) -> Mask:
        """Return the mask that removes one option; for an option without a weight, the mask of all options inside it."""
        if (choice.name, index) not in self.supernet.unweighed:
            return frozenset(((choice.name, index),))
        inner = choices(choice.options[index]).values()
        return frozenset((each.name, i) for each in inner for i in range(_size(each)))

    def only(self, choice: Choice, kept: Iterable[int]) -> Mask:
        """Return the mask that leaves only some options of a choice."""
        out = (i for i in range(len(choice.options)) if i not in set(kept))
        extra = ((choice.name, i) for i in range(len(choice.options), _size(choice)))
        return frozenset().union(extra, *(self.without(choice, i) for i in out))

    def gates(self) -> dict[str, Gate]:
        """Return the policy's gates, with masked options at weight 0."""
        gates = self.supernet.policy.gates(self.supernet.moment)
        # a choice without weights gets a gate of ones, with the dtype and device of any other gate
        like = next(weights for gate in gates.values() if (weights := gate.weights) is not None)
        out: dict[str, list[int]] = {}
        for name, i in self.lasting | self.tried:
            out.setdefault(name, []).append(i)
        for name in out.keys() & self.supernet.all_choices.keys():
            size = _size(self.supernet.all_choices[name])
            gates[name] = _masked(gates.get(name) or Gate(tuple(range(size)), like.new_ones(size)), out[name])
        return gates


def _masked(gate: Gate, out: list[int]) -> Gate:
    assert gate.weights is not None, "a method whose mixtures have weights, as was checked"
    weights = gate.weights.clone()
    weights[out] = 0.0
    return Gate(gate.active, weights, weights.unbind(0))


def _size(choice: Choice) -> int:
    return len(choice.options) + len(choice.supernet_only)
