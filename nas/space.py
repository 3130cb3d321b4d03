"""Search spaces: a tree of records with named choices left open, and the ways to close them.

An architecture is a frozen tree of plain data. A search space is the same tree with a `Choice` in the place of some values.
One name is one decision, wherever it occurs. All functions here are one walk, `resolve`, with different ways to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from random import Random
from typing import Any, Literal, TypeVar

from nas.choice import Choice as Choice
from nas.choice import SpaceError as SpaceError
from nas.choice import check_tree, clash, decide_one, is_open, is_unambiguous, rebuild
from nas.choice import choices as choices
from nas.choice import one_of as one_of
from nas.choice import some_of as some_of
from nas.counting import count as count
from nas.counting import ways_of
from nas.fields import conform, wrong
from nas.membership import Taken, remember, taken_decisions

T = TypeVar("T")


def resolve(space: T, decide: Callable[[Choice], int]) -> T:
    """Close every choice, outermost first, with the decision that `decide` returns; it is called once per name.

    Raises SpaceError where two different choices have one name, or a decision is out of range.
    """
    check_tree(space)
    if not callable(decide):
        raise wrong(decide, "a function from a choice to an integer below its arity", "decide")
    flat = flat_choices(space)
    if flat is None:
        return _resolved(space, decide)
    # no choice opens another one: their decisions are known before anything is built, and name a member that may be known
    made = tuple([decide(choice) for choice in flat])
    members: dict[tuple[int, ...], T] = getattr(space, "_members")  # noqa: B009, a cache on a record
    known = members.get(made)
    if known is None or any(map(_is_no_index, made)):  # True and 1.0 are equal to 1
        left = dict(zip([choice.name for choice in flat], made, strict=True))
        known = _resolved(space, lambda choice: left[choice.name])
        if len(members) >= MEMBERS:
            members.clear()
        members[made] = known
    return known


MEMBERS = 20_000
"""The most members of a space that are kept, so that one that is met again is not built again."""


def _is_no_index(decision: object) -> bool:
    return type(decision) is not int


def flat_choices(space: Any) -> tuple[Choice, ...] | None:
    """Return the choices of a record in their order where none opens another one; else None. A record caches the answer."""
    if not is_dataclass(space):
        return None
    known: Any = getattr(space, "_flat", ...)
    if known is ...:
        found = tuple(choices(space).values())
        known = None if any(is_open(choice.options) for choice in found) else found
        object.__setattr__(space, "_flat", known)
        object.__setattr__(space, "_members", {})
    return known  # type: ignore[no-any-return]


def _resolved(space: T, decide: Callable[[Choice], int]) -> T:
    closed: dict[str, Any] = {}
    taken: Taken = {}
    done: dict[int, Any] = {}

    def close(choice: Choice) -> Any:
        name = choice.name
        if name not in taken:
            decision = decide(choice)
            taken[name] = choice, decision
            closed[name] = rebuild(choice.decided(decision), close, done)
        # Taken but not closed: the choice occurs inside its own options.
        elif name not in closed or (taken[name][0] is not choice and taken[name][0] != choice):
            raise clash(name)
        return closed[name]

    architecture = rebuild(space, close, done)
    if is_dataclass(space) and is_unambiguous(space):  # else other decisions may give the same tree
        remember(space, architecture, taken)
    return architecture


def first_member(space: T) -> T:
    """Return the member that takes the first option of every choice: the smallest, where options are listed by size."""
    return resolve(space, lambda choice: 0)


def sample(space: T, rng: Random, uniform: Literal["choices", "architectures"] = "choices") -> T:
    """Draw an architecture: uniform choice by choice, or uniform over all architectures (slower; exact)."""
    _check_rng(rng)
    if conform(uniform, Literal["choices", "architectures"], "uniform") == "choices":
        return resolve(space, lambda choice: _below(rng, choice.arity))
    rest: list[Any] = [space]

    def decide(choice: Choice) -> int:
        options = [decide_one(rest[0], choice, decision) for decision in range(choice.arity)]
        # Draw an index over all architectures that remain open, and find the option that contains it.
        drawn = _below(rng, sum(ways := [ways_of(option) for option in options]))
        decision = 0
        while drawn >= ways[decision]:
            drawn -= ways[decision]
            decision += 1
        rest[0] = options[decision]
        return decision

    return resolve(space, decide)


def _check_rng(rng: object) -> None:
    if not isinstance(rng, Random):
        raise wrong(rng, "a random number generator, as random.Random(0)", "rng")


def _below(rng: Random, n: int) -> int:
    """Draw a number below n; as `rng.randrange(n)`, at a third of its cost where n is small."""
    # random() has 53 bits: below 2**40 the bias of the product is less than 2**-13 of each probability.
    return int(rng.random() * n) if n < 1 << 40 else rng.randrange(n)


def decisions(space: object, architecture: object) -> dict[str, int]:
    """Return the decisions by which the space becomes this architecture; the inverse of `resolve`.

    Raises SpaceError, with the decision that fails, where the architecture is no member of the space.
    """
    return {name: decision for name, (_, decision) in taken_decisions(space, architecture).items()}


def mutate(space: T, architecture: T, rng: Random) -> T:
    """Return another member with one decision changed; of a `some_of`, one pick. Choices newly opened are drawn.

    Source: Real et al. 2019, section 2.2; there hidden states and operations are such decisions, equally many.
    """
    _check_rng(rng)
    taken = taken_decisions(space, architecture)
    names = changeable(taken)
    for _ in range(100 if names else 0):  # another decision may give the same tree; then try again
        name = names[_below(rng, len(names))]
        choice, decision = taken[name]
        others = choice.adjacent(decision)
        mutant = redecide(space, taken, name, others[_below(rng, len(others))], rng)
        if mutant != architecture:
            return mutant
    raise SpaceError("mutation found no other architecture: give a space with at least two")


def changeable(taken: Taken) -> tuple[str, ...]:
    """Return the names of the choices that have another option."""
    return tuple(name for name, (choice, _) in taken.items() if choice.arity > 1)


def redecide(space: T, taken: Taken, changed: str, decision: int, rng: Random) -> T:
    """Return the member with the decision of one choice changed; choices that it opens are drawn."""

    def decide(choice: Choice) -> int:
        if choice.name == changed:
            return decision
        known = taken.get(choice.name)
        return known[1] if known else _below(rng, choice.arity)

    return resolve(space, decide)


def crossover(space: T, first: T, second: T, rng: Random) -> T:
    """Return a member that takes each decision from one of two parents at random; choices that neither closed are drawn."""
    _check_rng(rng)
    parents = decisions(space, first), decisions(space, second)

    def decide(choice: Choice) -> int:
        known = [parent[choice.name] for parent in parents if choice.name in parent]
        return known[_below(rng, len(known))] if known else _below(rng, choice.arity)

    return resolve(space, decide)


def neighbours(space: T, architecture: T) -> Iterator[T]:
    """Yield every member that `mutate` can return, each once."""
    return _neighbours(space, architecture, taken_decisions(space, architecture))


def _neighbours(space: T, architecture: T, taken: Taken) -> Iterator[T]:
    seen = {architecture}
    for name, (choice, decision) in taken.items():
        kept = {other: made for other, (_, made) in taken.items()}
        for other in choice.adjacent(decision):
            for neighbour in _closings(space, kept | {name: other}):
                if neighbour not in seen:
                    seen.add(neighbour)
                    yield neighbour


def enumerate_architectures(space: T) -> Iterator[T]:
    """Yield every architecture of the space, the last choice running fastest."""
    check_tree(space)
    return _closings(space, {})


def _closings(space: T, decided: Mapping[str, int]) -> Iterator[T]:
    """Yield every way to close the choices that are not in `decided`."""
    # An odometer: one digit per open choice, in the order in which `resolve` asks. The set of choices depends on earlier digits.
    wheel: list[int] = []
    while True:
        arities: list[int] = []

        def decide(choice: Choice, arities: list[int] = arities) -> int:
            if choice.name in decided:
                return decided[choice.name]
            arities.append(choice.arity)
            if len(wheel) < len(arities):
                wheel.append(0)
            return wheel[len(arities) - 1]

        yield resolve(space, decide)
        # Drop digits that are at their end, and advance the last of the others.
        while wheel and wheel[-1] + 1 == arities[len(wheel) - 1]:
            wheel.pop()
        if not wheel:
            return
        wheel[-1] += 1


def encode(space: object, architecture: object) -> tuple[int, ...]:
    """Return the architecture as zeros and ones, one per option of each choice of the space; for predictors.

    The length is the same for all architectures: a choice that this architecture never opens is all zeros.
    """
    taken = decisions(space, architecture)
    code: list[int] = []
    for name, choice in choices(space).items():
        picked = choice.picked(taken[name]) if name in taken else ()
        code += [int(i in picked) for i in range(len(choice.options))]
    return tuple(code)
