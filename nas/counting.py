"""Counting: the exact number of architectures in a space."""

from __future__ import annotations

from functools import lru_cache

from nas.choice import Choice, check_tree, choices, clash, decide_one, rebuild


def count(space: object) -> int:
    """Return the exact number of ways to close the choices. Raises SpaceError where two choices clash."""
    check_tree(space)
    choices(space)
    return ways_of(space)


def ways_of(space: object) -> int:
    """Return the same as `count`, without its checks; for a part of a space too."""
    return _ways(tuple(_frontier(space).values()))


def _frontier(tree: object) -> dict[str, Choice]:
    """Return the outermost choices: those inside no other choice."""
    found: dict[str, Choice] = {}

    def visit(choice: Choice) -> Choice:
        if found.setdefault(choice.name, choice) != choice:
            raise clash(choice.name)
        return choice

    rebuild(tree, visit)
    return found


@lru_cache(maxsize=16384)
def _ways(open_choices: tuple[Choice, ...]) -> int:
    """Count the ways to close these choices together.

    Choices that share no name are independent, so their counts multiply. A choice that shares a name with later ones is decided,
    option by option, in all of them.
    """
    total = 1
    for i, choice in enumerate(open_choices):
        rest = open_choices[i + 1 :]
        if _is_independent(choice, rest):
            total *= _own_ways(choice)
        else:
            together = (choice, *rest)
            return total * sum(ways_of(decide_one(together, choice, decision)) for decision in range(choice.arity))
    return total


def _is_independent(choice: Choice, others: tuple[Choice, ...]) -> bool:
    # Independent: its names are in no other choice, its own name not in its options, and no name in two picks of a `some_of`.
    parts = [choices(option).keys() for option in choice.options]
    mine = {choice.name}.union(*parts)
    alone = choice.k is None or len(mine) == 1 + sum(map(len, parts))  # picks of one `some_of` are closed together
    return alone and choice.name not in set().union(*parts) and mine.isdisjoint(choices(others))


def _own_ways(choice: Choice) -> int:
    """Sum the counts of the options or, with `k`, of all k-subsets (the elementary symmetric polynomial)."""
    ways = [ways_of(option) for option in choice.options]
    if choice.k is None:
        return sum(ways)
    # sums[size] counts the ways to pick and close `size` of the options seen so far.
    sums = [1] + [0] * choice.k
    for each in ways:
        # Downwards, so that each option is used at most once in a subset.
        for size in range(choice.k, 0, -1):
            sums[size] += sums[size - 1] * each
    return sums[choice.k]
