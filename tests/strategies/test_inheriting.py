"""The strategies whose children inherit weights: hill climbing by morphisms, and evolution by duels."""

from __future__ import annotations

from random import Random

import pytest

from nas.history import History
from nas.space import decisions, first_member, one_of
from nas.strategies.hill_climb import HillClimb, grown
from nas.strategies.large_scale_evolution import LargeScaleEvolution
from nas.testing.strategies import SMALL, fail_always, fail_often, simulate_search
from search_spaces.growing import growing

SIZES = tuple(one_of(f"size{i}", range(6)) for i in range(4))


def total(history: History, number: int) -> None:
    history.finish(number, {"score": float(sum(history.proposals[number].architecture))})


def test_growing_takes_the_next_larger_option_of_one_decision() -> None:
    space, rng = growing(), Random(0)
    member = first_member(space)
    for _ in range(200):
        before, after = decisions(space, member), decisions(space, grown(space, member, rng))
        changed = {name: (before[name], after[name]) for name in before if before[name] != after.get(name)}
        assert len(changed) == 1
        ((low, high),) = changed.values()
        assert high == low + 1
        assert set(after) - set(before) == set() or next(iter(changed)).endswith("depth"), "a depth opens its layers"
        member = grown(space, member, rng)
        if not any(True for name, decision in after.items() if decision == 0):
            break


def test_where_nothing_is_larger_the_architecture_stays() -> None:
    assert grown(SIZES, (5, 5, 5, 5), Random(0)) == (5, 5, 5, 5)


def test_hill_climbing_goes_on_from_the_best_child() -> None:
    history = simulate_search(HillClimb(neighbours=4, morphisms=1), SIZES, 1 + 4 * 6, finish=total)
    assert [each.origin for each in history.proposals[:6]] == ["start", "identity", *["morphism"] * 3, "identity"]
    assert history.proposals[0].architecture == (0, 0, 0, 0)
    for brood in range(6):
        children = range(1 + 4 * brood, 5 + 4 * brood)
        (parent,) = {history.proposals[number].parents for number in children}
        assert history.proposals[children[0]].architecture == history.proposals[parent[0]].architecture
        best = max(children, key=lambda number: history.finished[number].scores["score"])
        if brood < 5:
            assert history.finished[best].scores["score"] == history.value(
                history.finished[history.proposals[children[-1] + 1].parents[0]]
            )
    assert history.best is not None
    assert history.best.scores["score"] == 6, "each brood is one larger"


def test_hill_climbing_waits_for_the_whole_brood_and_tries_a_failed_one_again() -> None:
    strategy = HillClimb(neighbours=3, morphisms=2, grows=False)
    history = simulate_search(strategy, SMALL, 60, workers=8, finish=fail_often)
    for number, proposal in enumerate(history.proposals):
        if proposal.parents and proposal.origin == "identity":
            assert number % 3 == 1
    failing = simulate_search(strategy, SMALL, 20, workers=8, finish=fail_always)
    assert {each.origin for each in failing.proposals} == {"start"}
    started = History("score")
    started.finish(started.start(strategy.propose(SMALL, started, Random(0))), {"score": 1.0})  # type: ignore[arg-type]
    for number in range(1, 7):
        proposal = strategy.propose(SMALL, started, Random(number))
        assert proposal is not None
        assert proposal.parents == (0,), "the second brood, too"
        started.fail(started.start(proposal), "NaN")


@pytest.mark.parametrize("workers", [1, 5])
def test_the_loser_of_a_duel_dies_once_and_has_no_children_after(workers: int) -> None:
    strategy = LargeScaleEvolution(population=12, start="first")
    history = simulate_search(strategy, SIZES, 300, workers=workers, finish=total)
    assert {each.architecture for each in history.proposals[:12]} == {(0, 0, 0, 0)}
    dead = [proposal.notes["dies"] for proposal in history.proposals[12 + workers :] if "dies" in proposal.notes]
    assert len(set(dead)) == len(dead)
    died: set[int] = set()
    for proposal in history.proposals:
        assert not died.intersection(proposal.parents)
        died |= {number for name, number in proposal.notes.items() if name == "dies"}
    assert len(list(strategy.possible_parents(history))) == 12
    origins = [proposal.origin for proposal in history.proposals[12 + workers :]]
    assert 0.03 < origins.count("identity") / len(origins) < 0.2
    assert 0.03 < origins.count("reset") / len(origins) < 0.2
    assert history.best is not None
    assert history.best.scores["score"] > 12


def test_what_is_reset_has_no_parent_to_inherit_from() -> None:
    history = simulate_search(LargeScaleEvolution(population=4, identity=0.0, reset=1.0), SIZES, 30, finish=total)
    assert [each.parents for each in history.proposals] == [()] * 30
    assert {each.origin for each in history.proposals[4:]} == {"reset"}
