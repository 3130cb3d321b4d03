"""Checks that hold for every family: its space, and its published members."""

from __future__ import annotations

import json
from random import Random

from nas.choice import choices
from nas.family import Family
from nas.plain import from_plain
from nas.records import digest, to_plain
from nas.space import count, decisions, encode, mutate, neighbours, resolve, sample
from nas.testing.requirement import require

SAMPLES = 3


def it_is_the_same_whenever_it_is_made(family: Family) -> None:
    """Check that the space is equal each time it is made, since it is identified by its content."""
    require(bool(family.source), "the family has no source: give the paper or code that it is from")
    require(family.space() == family.space(), "`space` returns a different space each time")
    require(count(family.space()) > 1, "the space has one architecture: leave a choice open")


def its_samples_are_members(family: Family) -> None:
    """Check that a sample has no open choice, and that its decisions resolve to it again."""
    space, rng = family.space(), Random(0)
    for architecture in (sample(space, rng) for _ in range(SAMPLES)):
        taken = decisions(space, architecture)
        require(not choices(architecture), f"a sample has open choices: {architecture}")
        again = resolve(space, lambda choice, taken=taken: taken[choice.name])  # type: ignore[misc]
        require(again == architecture, "the decisions of a sample resolve to another architecture")
        length = sum(len(each.options) for each in choices(space).values())
        require(len(encode(space, architecture)) == length, f"the code of a sample is not of length {length}")


def its_mutants_are_neighbours(family: Family) -> None:
    """Check that a mutant is a neighbour of its parent, and differs from it."""
    space = family.space()
    architecture = sample(space, Random(0))
    around = set(neighbours(space, architecture))
    require(architecture not in around, "an architecture is its own neighbour")
    require(
        {mutate(space, architecture, Random(i)) for i in range(20)} <= around,
        "a mutant is not a neighbour of its parent",
    )


def its_members_come_back_from_json_and_text(family: Family) -> None:
    """Check that members are read back equal from JSON and from text, so that different members have different texts."""
    members = [sample(family.space(), Random(i)) for i in range(SAMPLES)] + list(family.published.values())
    for member in members:
        again = from_plain(json.loads(json.dumps(to_plain(member))))
        require(
            again == member and digest(again) == digest(member),
            "a member is not equal to what is read back from its JSON",
        )
        text = family.describe(member)
        require(family.parse(text) == member, f"`parse` does not read what `describe` writes: {text}")


CHECKS = (
    it_is_the_same_whenever_it_is_made,
    its_samples_are_members,
    its_mutants_are_neighbours,
    its_members_come_back_from_json_and_text,
)


def check_space(family: Family) -> None:
    """Check what holds for every family of architectures. Raises AssertionError with what does not."""
    for check in CHECKS:
        check(family)
