"""Regularized evolution before its population is full."""

from __future__ import annotations

from random import Random

import pytest

from nas.history import History
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
