"""Regularized evolution before its population is full."""

from __future__ import annotations

from random import Random

import pytest

from nas.history import History
from nas.space import taken_decisions
from nas.strategies.evolution import RegularizedEvolution
from search_spaces.bits import bits

pytestmark = pytest.mark.usefixtures("own_records")


def test_evolution_draws_at_random_until_its_population_has_succeeded() -> None:
    strategy, history, space = RegularizedEvolution(population=4, sample=2), History("score"), bits(8)

    def next_origin() -> str:
        proposal = strategy.propose(space, history, Random(len(history.proposals)))
        history.start(proposal)
        return proposal.origin

    assert [next_origin() for _ in range(12)] == ["random"] * 12, "many are in flight"
    for number in range(5):
        history.fail(number, "out of memory")
    for number in range(5, 8):
        history.finish(number, {"score": 1.0})
        assert next_origin() == "random"
    history.finish(8, {"score": 1.0})
    assert next_origin() == "mutation"


def test_mutations_decay_by_one_after_each_round_of_children() -> None:
    strategy = RegularizedEvolution(population=2, sample=2, mutations=3, mutation_rounds=4)
    assert [strategy.mutations_after(children) for children in range(14)] == [3] * 4 + [2] * 4 + [1] * 6
    assert [RegularizedEvolution(mutations=3).mutations_after(children) for children in (0, 99)] == [3, 3]


def test_a_child_has_as_many_mutations_as_its_round() -> None:
    # Of 200 bits a mutation flips one: three in a row flip three, or one where two of them hit the same bit.
    strategy = RegularizedEvolution(population=2, sample=2, mutations=3, mutation_rounds=4)
    space, history, rng = bits(200), History("score"), Random(0)
    flipped = []
    for number in range(14):
        proposal = strategy.propose(space, history, rng)
        if proposal.parents:
            parent = history.finished[proposal.parents[0]].architecture
            flipped.append(
                sum(taken(space, parent)[name] != bit for name, bit in taken(space, proposal.architecture).items())
            )
        history.start(proposal)
        history.finish(number, {"score": rng.random()})
    assert flipped == [3] * 4 + [2] * 4 + [1] * 4


def taken(space: object, architecture: object) -> dict[str, int]:
    return {name: decision for name, (_, decision) in taken_decisions(space, architecture).items()}
