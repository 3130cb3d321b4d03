"""Choice: a decision left open in a tree, and the walks that find and replace choices.

This module, `counting` and `membership` know nothing of networks: they walk tuples and records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from itertools import combinations
from operator import attrgetter
from typing import Any, TypeVar, cast

from nas.fields import Open, shown, wrong
from nas.records import RecordError, record

T = TypeVar("T")

SCALARS = frozenset((int, float, bool, str, type(None)))


class SpaceError(RecordError):
    """A choice that does not fit; the message names it and what would fit."""


@record
class Choice(Open):
    """A decision not yet taken: one of the options or, with `k`, k distinct ones in their order.

    `supernet_only` options are mixed in by a supernet, such as `none` in DARTS; no architecture has them.
    """

    name: str
    options: tuple[Any, ...]
    k: int | None = None
    supernet_only: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        try:
            distinct = len(set(self.options))
        except TypeError as error:
            raise SpaceError(
                f"choice {self.name!r} has options {self.options} ({error}): write lists as tuples"
            ) from None
        if not self.options or distinct < len(self.options):
            raise SpaceError(f"choice {self.name!r} has options {self.options}: give at least one, all different")
        if self.k is not None and not 0 <= self.k <= len(self.options):
            raise SpaceError(
                f"choice {self.name!r} picks {self.k} of {len(self.options)}: give k from 0 to {len(self.options)}"
            )

    @property
    def arity(self) -> int:
        """The number of ways to take the decision; a decision is an integer from 0 to `arity` - 1."""
        return len(self.options) if self.k is None else math.comb(len(self.options), self.k)

    def picked(self, decision: int) -> tuple[int, ...]:
        """Return the indices of the options that a decision picks, ascending."""
        return (decision,) if self.k is None else _combination(len(self.options), self.k, decision)

    def value(self, decision: int) -> Any:
        """Return the value that a decision gives: an option or, with `k`, the tuple of k options."""
        if self.k is None:
            return self.options[decision]
        return tuple([self.options[i] for i in self.picked(decision)])

    def decided(self, decision: int) -> Any:
        """Return the same as `value`. Raises SpaceError where `decision` is out of range."""
        try:
            if decision >= 0:
                return self.value(decision)
        except (TypeError, IndexError):
            pass
        raise SpaceError(f"choice {self.name!r} has no decision {shown(decision)}: give 0 to {self.arity - 1}")

    def stand_ins(self) -> Iterator[Any]:
        """Yield every option or, with `k`, tuples of k options that together contain every option."""
        options = self.options + self.supernet_only
        for i in range(len(options)):
            # With `k`, a sliding window that wraps around: every option occurs in some tuple.
            yield options[i] if self.k is None else tuple(options[(i + j) % len(options)] for j in range(self.k))

    def adjacent(self, decision: int) -> list[int]:
        """Return the decisions that differ from this one in one option."""
        if self.k is None:
            return [other for other in range(len(self.options)) if other != decision]
        return _swapped(len(self.options), self.picked(decision))


def one_of(name: str, options: Iterable[T], *, supernet_only: Iterable[T] = ()) -> T:
    """Leave open which one of `options` takes this place. Typed as an option, so that it fits the annotated field."""
    return cast(T, Choice(name, _options(name, options), None, _options(name, supernet_only)))


def some_of(name: str, k: int, options: Iterable[T]) -> tuple[T, ...]:
    """Leave open which `k` distinct `options` take this place, in their order."""
    if not isinstance(k, int):
        raise wrong(k, "the number of options to pick, as some_of('edges', 2, [...])", "k")
    return cast(tuple[T, ...], Choice(name, _options(name, options), k))


def check_tree(tree: object) -> None:
    """Raise RecordError where `tree` is neither a space nor an architecture: a single value, a class, a torch module."""
    if isinstance(tree, type) or not (isinstance(tree, tuple | list | dict | set) or is_dataclass(tree)):
        raise wrong(tree, "a space: a record, as a Chain of nodes, or a tuple of records", "the space")


def _options(name: object, options: Iterable[T]) -> tuple[T, ...]:
    if not isinstance(name, str) or not isinstance(options, Iterable):
        raise SpaceError(
            f"choice {name!r} has options {options!r}: give a name and then a list, as one_of('kernel', [3, 5])"
        )
    return tuple(options)


@lru_cache(maxsize=65536)
def _combination(n: int, k: int, index: int) -> tuple[int, ...]:
    """Return the combination of k out of range(n) at position `index` of the lexicographic order."""
    picked: list[int] = []
    for i in range(n):
        if len(picked) == k:
            break
        # Combinations that pick i next come first; `with_i` counts the ways to pick the rest after i.
        with_i = math.comb(n - i - 1, k - len(picked) - 1)
        if index < with_i:
            picked.append(i)
        else:
            index -= with_i
    if len(picked) < k:
        raise IndexError(index)
    return tuple(picked)


@lru_cache(maxsize=65536)
def combination_index(n: int, picked: tuple[int, ...]) -> int:
    """Return the lexicographic index of a combination; the inverse of `_combination`."""
    index, start = 0, 0
    for position, i in enumerate(picked):
        # Skip the combinations that have a smaller item j at this position.
        index += sum(math.comb(n - j - 1, len(picked) - position - 1) for j in range(start, i))
        start = i + 1
    return index


@lru_cache(maxsize=65536)
def _swapped(n: int, picked: tuple[int, ...]) -> list[int]:
    """Return the indices of the combinations with one item replaced, ascending."""
    mine = set(picked)
    swapped = (mine - {out} | {into} for out in mine for into in range(n) if into not in mine)
    return sorted(combination_index(n, tuple(sorted(each))) for each in swapped)


@cache
def _getter_of(cls: Any) -> Callable[[Any], tuple[Any, ...]] | None:
    names = [f.name for f in fields(cls)] if is_dataclass(cls) else []
    if len(names) == 1:
        return lambda tree, name=names[0]: (getattr(tree, name),)  # type: ignore[misc]
    return attrgetter(*names) if names else None


parts_of: Callable[[Any], Callable[[Any], tuple[Any, ...]] | None] = _getter_of
"""The getter of all field values of a class's records; None where the class is no record or has no fields."""


def is_open(tree: Any) -> bool:
    """Whether the tree contains a choice. A record caches the answer, as it never changes."""
    kind = type(tree)
    if kind in SCALARS:
        return False
    if kind is tuple:
        return any(map(is_open, tree))
    if kind is Choice:
        return True
    values_of = parts_of(kind)
    if values_of is None:
        if kind in (list, dict, set):
            raise SpaceError(f"the tree contains a {kind.__name__}, {tree!r}: write a tuple")
        return False
    known: bool | None = getattr(tree, "_is_open", None)
    if known is None:
        known = any(map(is_open, values_of(tree)))
        object.__setattr__(tree, "_is_open", known)  # a record is frozen: this bypasses its own __setattr__
    return known


def is_unambiguous(space: Any) -> bool:
    """Whether no two options of any choice can become the same tree. A record caches the answer."""
    known: bool | None = getattr(space, "_is_unambiguous", None)
    if known is None:
        pairs = (pair for choice in choices(space).values() for pair in combinations(choice.options, 2))
        known = all(_surely_differ(first, second) for first, second in pairs)
        object.__setattr__(space, "_is_unambiguous", known)
    return known


def _surely_differ(first: Any, second: Any) -> bool:
    """Whether two options stay different however their own choices are closed."""
    kind = type(first)
    if kind is not type(second):
        return Choice not in (kind, type(second))
    if not is_open(first) and not is_open(second):
        return bool(first != second)
    if kind is Choice:
        # Two choices may become the same tree; telling would take a comparison of all their options.
        return False
    if kind is tuple:
        return len(first) != len(second) or any(map(_surely_differ, first, second))
    values_of: Any = parts_of(kind)
    return any(map(_surely_differ, values_of(first), values_of(second)))


def rebuild(tree: T, change: Callable[[Choice], Any], done: dict[int, Any] | None = None) -> T:
    """Return the tree with every outermost choice replaced by `change(choice)`; parts without a choice are kept as they are.

    A record object that occurs at several places is rebuilt once and stays one object. `done` caches rebuilt records by identity;
    pass it on where `change` itself calls `rebuild`.
    """
    return cast(T, _rebuilt(tree, change, {} if done is None else done))


def _rebuilt(tree: Any, change: Callable[[Choice], Any], done: dict[int, Any]) -> Any:
    kind: Any = type(tree)
    if kind is Choice:
        return change(tree)
    if not is_open(tree):
        return tree
    if kind is tuple:
        return tuple([_rebuilt(part, change, done) for part in tree])
    if id(tree) not in done:
        values_of: Any = parts_of(kind)
        parts = [part if type(part) in SCALARS else _rebuilt(part, change, done) for part in values_of(tree)]
        done[id(tree)] = kind(*parts)
    return done[id(tree)]


def choices(space: object) -> dict[str, Choice]:
    """Return every choice of the space by name, an outer one before those inside its options."""
    found: dict[str, Choice] = {}

    def visit(choice: Choice) -> Choice:
        if found.setdefault(choice.name, choice) != choice:
            raise clash(choice.name)
        rebuild(choice.options, visit)
        return choice

    rebuild(space, visit)
    return found


def decide_one(space: T, choice: Choice, decision: int) -> T:
    """Return the space with one choice decided wherever its name occurs; the other choices stay open."""

    def change(other: Choice) -> Any:
        if other.name == choice.name:
            return rebuild(other.value(decision), change)
        options = rebuild(other.options, change)
        return other if options is other.options else Choice(other.name, options, other.k, other.supernet_only)

    return rebuild(space, change)


def clash(name: str) -> SpaceError:
    return SpaceError(
        f"two choices are named {name!r} and have different options: rename one, or give both the same options"
    )
