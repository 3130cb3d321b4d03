"""Derivation: from the strengths of options to one architecture, or to a smaller space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.choice import Choice, choices, combination_index, rebuild
from nas.space import resolve

Strengths = Mapping[str, Sequence[float]]
"""The strength of each option of each choice, by the choice's name; supernet-only options come last."""


def derive(space: Any, strengths: Strengths) -> Any:
    """Close each `one_of` with its strongest option and each `some_of` with its k strongest; ties go to the first.

    Supernet-only options are never taken. The strength of an option of a `some_of` is that of the strongest option inside
    it, times its own strength if it has one. In DARTS the k are the two strongest edges by their best operation other
    than `none` (section 2.4 and the released code), in PC-DARTS by the product of edge weight and operation weight.
    """

    def decide(choice: Choice) -> int:
        if choice.k is None:
            own = strengths[choice.name]
            return max(range(len(choice.options)), key=lambda i: own[i])
        # sorting is stable, so that equal strengths keep the order of the options
        strongest = sorted(range(len(choice.options)), key=lambda i: -_strength(choice, i, strengths))
        return combination_index(len(choice.options), tuple(sorted(strongest[: choice.k])))

    return resolve(space, decide)


def _strength(choice: Choice, index: int, strengths: Strengths) -> float:
    """Return the strength of an option of a `some_of`."""
    own = strengths[choice.name][index] if choice.name in strengths else 1.0
    inside = [
        # the slice leaves out supernet-only options, such as `none`
        max(strengths[inner.name][: len(inner.options)])
        for inner in choices(choice.options[index]).values()
        if inner.name in strengths
    ]
    return own * max(inside, default=1.0)


def prune(space: Any, strengths: Strengths, keep: int) -> Any:
    """Return the space in which each `one_of` keeps its `keep` strongest options, in their order.

    Supernet-only options compete too, but at least one option that an architecture may take is kept. All members of the
    pruned space are members of the whole space.
    """

    def smaller(choice: Choice) -> Any:
        options, extra = rebuild(choice.options, smaller), choice.supernet_only
        if choice.k is not None or choice.name not in strengths:
            return Choice(choice.name, options, choice.k, extra)
        own = strengths[choice.name]
        by_strength = sorted(range(len(own)), key=lambda i: -own[i])
        best = max(range(len(options)), key=lambda i: own[i])
        # `best` is the strongest option that is not supernet-only: it always stays
        kept = sorted({best, *[i for i in by_strength if i != best][: keep - 1]})
        everything = (*options, *extra)
        return Choice(
            choice.name,
            tuple(everything[i] for i in kept if i < len(options)),
            None,
            tuple(everything[i] for i in kept if i >= len(options)),
        )

    return rebuild(space, smaller)
