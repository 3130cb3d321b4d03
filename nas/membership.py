"""Membership: whether an architecture belongs to a space, and by which decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, final

from nas.choice import SCALARS, Choice, SpaceError, check_tree, clash, combination_index, is_open, parts_of, rebuild
from nas.fields import shown

Taken = dict[str, tuple[Choice, int]]
"""Each choice by name with the decision taken, an outer choice before those inside it."""


def taken_decisions(space: object, architecture: object) -> Taken:
    """Return each choice of the space with the decision that gives this architecture.

    Raises SpaceError, with the choice that fails, where the architecture is no member of the space.
    """
    check_tree(space)
    made_of, taken = getattr(architecture, "_taken", (None, None))
    if made_of is not space or taken is None:
        taken = _find(space, architecture)
        remember(space, architecture, taken)
    return taken


def remember(space: object, architecture: object, taken: Taken) -> None:
    """Cache on an architecture the decisions that give it from a space; the cache is not pickled."""
    if is_dataclass(architecture):
        object.__setattr__(architecture, "_taken", (space, taken))


def _find(space: object, architecture: object) -> Taken:
    if is_open(architecture):
        rebuild(architecture, _refuse)
    # Backtracking is slow: try without it first.
    straight = _Straight()
    if straight.trees(space, architecture):
        return straight.taken
    match = _Match()
    for _ in match.trees(space, architecture):
        return match.taken
    # The deepest failure is the most telling: the search got furthest there.
    _, reason = max(
        match.failures, default=(0, f"its structure differs: {_short(architecture)}"), key=lambda each: each[0]
    )
    raise SpaceError(f"not a member of the space: {reason}")


def _refuse(choice: Choice) -> None:
    raise SpaceError(f"not a member of the space: its choice {choice.name!r} is still open: resolve it")


@final
class _Straight:
    """A search for decisions without backtracking: each choice takes its first option that matches.

    Where it succeeds the result is right, and it is fast. It fails where choices that share a name need a later option to agree.
    `matched` caches pairs of records that matched, by identity, so that a cell that occurs at several places is compared once.
    """

    def __init__(self) -> None:
        self.taken: Taken = {}
        self.matched: set[tuple[int, int]] = set()

    def trees(self, space: Any, tree: Any) -> bool:
        """Whether two trees match, the second one closed; `taken` then holds the decisions."""
        if space is tree:
            return True
        kind: Any = type(space)
        if kind is Choice:
            return self.choice(space, tree)
        if kind is not type(tree):
            return False
        if kind in SCALARS:
            return bool(space == tree)
        if not is_open(space):
            return bool(space == tree)
        if kind is tuple:
            return len(space) == len(tree) and all(map(self.trees, space, tree))
        pair = id(space), id(tree)
        if pair not in self.matched:
            values_of: Any = parts_of(kind)
            if not all(map(self.trees, values_of(space), values_of(tree))):
                return False
            self.matched.add(pair)
        return True

    def choice(self, choice: Choice, tree: Any) -> bool:
        """Whether a choice can become this tree."""
        if choice.name in self.taken:
            return self.trees(_decided(self.taken, choice), tree)
        if choice.k is None:
            found = self.first(choice, 0, tree) is not None
        else:
            found = type(tree) is tuple and len(tree) == choice.k and self.picks(choice, tree)
        return found

    def first(self, choice: Choice, start: int, tree: Any) -> int | None:
        """Return the index of the first option from `start` that matches, and record the decision."""
        before = len(self.taken)
        for i in range(start, len(choice.options)):
            option = choice.options[i]
            if type(option) is type(tree) or type(option) is Choice:
                if choice.k is None:
                    self.taken[choice.name] = choice, i
                if self.trees(option, tree):
                    return i
                while len(self.taken) > before:
                    # Undo the decisions of the failed option, and the cached matches that relied on them.
                    self.taken.popitem()
                self.matched.clear()
        return None

    def picks(self, choice: Choice, trees: tuple[Any, ...]) -> bool:
        """Whether the picks of a `some_of` match options in their order."""
        self.taken[choice.name] = choice, -1  # keeps the outer choice before the inner ones
        picked: list[int] = []
        for tree in trees:
            i = self.first(choice, picked[-1] + 1 if picked else 0, tree)
            if i is None:
                return False
            picked.append(i)
        self.taken[choice.name] = choice, combination_index(len(choice.options), tuple(picked))
        return True


def _decided(taken: Taken, choice: Choice) -> Any:
    """Return the value that a choice has at its other places."""
    same, decision = taken[choice.name]
    if same is not choice and same != choice:
        raise clash(choice.name)
    return choice.value(decision)


@final
class _Match:
    """A search for decisions with backtracking: each method yields once per way to match the two sides.

    `taken` holds the current decisions, `failures` the choices that matched in no way, with their depth.
    """

    def __init__(self) -> None:
        self.taken: Taken = {}
        self.failures: list[tuple[int, str]] = []

    def trees(self, space: Any, tree: Any) -> Iterator[None]:
        """Match any two trees."""
        kind: Any = type(space)
        if kind is Choice:
            yield from self.choice(space, tree)
        elif not is_open(space):
            if space is tree or (kind is type(tree) and space == tree):
                # No choice inside: compare directly.
                yield
        elif kind is tuple and type(tree) is tuple:
            yield from self.parts(space, tree, 0)
        elif kind is type(tree) and (values_of := parts_of(kind)):
            yield from self.parts(values_of(space), values_of(tree), 0)

    def parts(self, spaces: tuple[Any, ...], trees: tuple[Any, ...], start: int) -> Iterator[None]:
        """Match two tuples of trees from position `start`."""
        if len(spaces) != len(trees):
            return
        # Skip parts that need no search; iterating here keeps the recursion shallow.
        while start < len(spaces) and (spaces[start] is trees[start] or type(spaces[start]) in SCALARS):
            if spaces[start] != trees[start]:
                return
            start += 1
        if start == len(spaces):
            yield
            return
        for _ in self.trees(spaces[start], trees[start]):
            yield from self.parts(spaces, trees, start + 1)

    def choice(self, choice: Choice, tree: Any) -> Iterator[None]:
        """Match a choice, and record a failure where no way matches."""
        before, matched = len(self.taken), False
        known = choice.name in self.taken
        for _ in self.trees(_decided(self.taken, choice), tree) if known else self.fresh(choice, tree):
            matched = True
            yield
        if not matched:
            reason = f"choice {choice.name!r} cannot be {_short(tree)}; its options are {_short(choice.options)}"
            self.failures.append((before, reason))

    def fresh(self, choice: Choice, tree: Any) -> Iterator[None]:
        """Match a choice with each of its options."""
        if choice.k is None:
            for decision, option in enumerate(choice.options):
                self.taken[choice.name] = choice, decision
                yield from self.trees(option, tree)
            self.taken.pop(choice.name, None)
        elif type(tree) is tuple and len(tree) == choice.k:
            self.taken[choice.name] = choice, -1  # keeps the outer choice before the inner ones
            yield from self.picks(choice, tree, ())
            del self.taken[choice.name]

    def picks(self, choice: Choice, tree: tuple[Any, ...], picked: tuple[int, ...]) -> Iterator[None]:
        """Match the picks of a `some_of` one after another, with options in their order."""
        if len(picked) == choice.k:
            self.taken[choice.name] = choice, combination_index(len(choice.options), picked)
            yield
            return
        for i in range(picked[-1] + 1 if picked else 0, len(choice.options)):
            for _ in self.trees(choice.options[i], tree[len(picked)]):
                yield from self.picks(choice, tree, (*picked, i))


def _short(tree: object) -> str:
    return shown(tree, limit=160)
