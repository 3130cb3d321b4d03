"""Successive halving and Hyperband: who is promoted, when, and from which checkpoint."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nas.history import History, Proposal
from nas.records import RecordError
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.fixed_proposals import FixedProposals
from nas.strategies.hyperband import Hyperband
from nas.strategies.local_search import LocalSearch
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import SuccessiveHalving
from nas.testing.strategies import SMALL, check_strategy, fail_always, fail_often, generator, simulate_search

ASHA = SuccessiveHalving()


def search(strategy: Strategy, values: list[float], objective: str = "score") -> History:
    """Search with one worker; the n-th new proposal has the n-th value at every rung. Ends with the last value."""
    history, roots = History(objective), 0
    while True:
        proposal = strategy.propose(SMALL, history, generator(0, history))
        assert proposal is not None
        if proposal.resumes is None:
            if roots == len(values):
                return history
            roots += 1
        number = history.start(proposal)
        value = values[len([each for each in range(history.root(number)) if history.proposals[each].resumes is None])]
        history.finish(number, {"score": value}, epochs=proposal.epochs)


def steps(history: History) -> list[tuple[int | None, int | None]]:
    return [(proposal.resumes, proposal.epochs) for proposal in history.proposals]


def test_asha_promotes_whoever_is_in_the_best_third_by_now() -> None:
    # after three the best, #1, goes on; #4 is better than all before: it goes on when a second place is open, with six
    history = search(ASHA, [0.1, 0.5, 0.3, 0.6, 0.2, 0.0])
    assert steps(history) == [(None, 1), (None, 1), (None, 1), (1, 3), (None, 1), (4, 3), (None, 1), (None, 1)]
    assert [history.proposals[n].architecture for n in (3, 5)] == [history.proposals[n].architecture for n in (1, 4)]


def test_asha_fills_the_top_rung_from_the_best_of_the_rung_below() -> None:
    history = search(ASHA, [float(n) for n in range(12)])
    top = [proposal for proposal in history.proposals if proposal.epochs == 9]
    assert top
    # promoted from the middle rung, not from the bottom
    assert {history.proposals[proposal.resumes or 0].epochs for proposal in top} == {3}
    assert history.best is not None
    assert history.best.proposal.epochs == 9


def test_a_cohort_is_compared_when_all_of_it_has_ended() -> None:
    halving = SuccessiveHalving(epochs=(1, 3), eta=2, cohort=4)
    history = search(halving, [3.0, 1.0, 2.0, 0.0, 5.0, 5.0, 5.0, 5.0])
    first = [(None, 1)] * 4 + [(0, 3), (2, 3)]
    # of equal ones the earlier go on
    assert steps(history) == [*first, *[(None, 1)] * 4, (6, 3), (7, 3)]


def test_a_minimised_score_promotes_the_lowest() -> None:
    history = search(ASHA, [0.5, 0.1, 0.3, 0.9], "-score")
    assert steps(history)[3] == (1, 3)


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    assert Hyperband(epochs=(1, 3, 9, 27, 81)).sizes() == [81, 27, 9, 6, 5]  # table 1, R = 81
    assert Hyperband(epochs=(12, 200)).sizes() == [3, 2]


def test_hyperband_runs_its_brackets_in_turn() -> None:
    # brackets of nine, three and three proposals; then from the start
    history = simulate_search(Hyperband(), SMALL, 13 + 4 + 3 + 13)
    epochs = [proposal.epochs for proposal in history.proposals]
    assert epochs[:13] == [1] * 9 + [3] * 3 + [9]
    assert epochs[13:17] == [3] * 3 + [9]
    assert epochs[17:20] == [9] * 3
    assert epochs[20:] == epochs[:13]


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize(
    "strategy", [ASHA, SuccessiveHalving(cohort=9), Hyperband()], ids=["asha", "cohort", "hyperband"]
)
def test_nobody_is_promoted_twice_and_only_the_best_are(strategy: Strategy, workers: int) -> None:
    history = simulate_search(strategy, SMALL, 300, workers)
    resumed = Counter(proposal.resumes for proposal in history.proposals if proposal.resumes is not None)
    assert set(resumed.values()) == {1}
    for proposal in history.proposals:
        if proposal.resumes is not None:
            before = history.proposals[proposal.resumes]
            assert before.architecture == proposal.architecture
            assert strategy.rungs().index(proposal.epochs or 0) == strategy.rungs().index(before.epochs or 0) + 1
    if isinstance(strategy, SuccessiveHalving):
        rungs = Counter(proposal.epochs for proposal in history.proposals)
        # who was promoted early may fall behind later, so that ASHA promotes some more than a third
        assert rungs[1] / 3 - workers <= rungs[3] <= rungs[1] / 3 * (1.1 if strategy == ASHA else 1)


@pytest.mark.parametrize(
    "strategy", [ASHA, SuccessiveHalving(cohort=9), Hyperband()], ids=["asha", "cohort", "hyperband"]
)
def test_failures_are_not_promoted_and_stop_no_bracket(strategy: Strategy) -> None:
    history = simulate_search(strategy, SMALL, 400, 3, finish=fail_often)
    assert not {done.number for done in history.failures} & history.resumed.keys()
    assert {proposal.epochs for proposal in history.proposals[-200:]} == {1, 3, 9}
    assert not simulate_search(strategy, SMALL, 50, finish=fail_always).resumed


@pytest.mark.parametrize(
    "inner",
    [RandomSearch(), RegularizedEvolution(10, 3), LocalSearch()],
    ids=lambda inner: type(inner).__name__,
)
def test_it_goes_around_any_strategy(inner: Strategy) -> None:
    check_strategy(SuccessiveHalving(of=inner))
    check_strategy(Hyperband(of=inner))


def test_it_goes_around_a_list() -> None:
    given = FixedProposals(tuple((architecture, str(architecture)) for architecture in range(9)))
    halving = SuccessiveHalving(of=given, cohort=9)
    history: History = History("score")
    while (proposal := halving.propose(None, history, generator(0, history))) is not None:
        history.finish(history.start(proposal), {"score": proposal.architecture}, epochs=proposal.epochs)
    assert [proposal.architecture for proposal in history.proposals] == [*range(9), 8, 7, 6, 8]


def kept(history: History, strategy: Strategy) -> set[Any]:
    return set(strategy.resumable(history))


def test_only_those_that_may_be_promoted_keep_their_checkpoints() -> None:
    cohort = SuccessiveHalving(epochs=(1, 3), eta=3, cohort=9)
    history = History("score")
    for number, value in enumerate([5.0, 1.0, 4.0, 8.0, 2.0, 7.0, 3.0, 6.0, 0.0]):
        history.finish(history.start(Proposal(number, epochs=1)), {"score": value}, epochs=1)
    # the three best of nine
    assert kept(history, cohort) == {3, 5, 7}
    history.start(Proposal(3, "promotion", (3,), epochs=3, resumes=3))
    assert kept(history, cohort) == {5, 7}
    # in an endless rung a rank may change: 9 // 3 + the root of 9 + 1 are kept, less the one that is promoted
    assert len(kept(history, SuccessiveHalving(epochs=(1, 3)))) == 6


def test_an_evaluation_that_was_trained_longer_is_a_better_parent() -> None:
    history = History("score")
    for epochs, value in ((1, 0.9), (9, 0.5), (None, 0.1)):
        history.finish(history.start(Proposal(epochs, epochs=epochs)), {"score": value}, epochs=epochs)
    assert [done.epochs for done in history.ranked] == [1, 9, None]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: SuccessiveHalving(epochs=(3, 1)), "epochs is [3, 1]: give ascending numbers, as [1, 3, 9]"),
        (lambda: Hyperband(epochs=()), "epochs is []: give ascending numbers"),
        (lambda: SuccessiveHalving(cohort=8), "cohort is 8, and none of it reaches the last rung: give at least 9"),
        (lambda: SuccessiveHalving(of=ASHA).check(), "of is SuccessiveHalving, which has rungs of its own"),
        (
            lambda: Hyperband(of=LocalSearch()).check(2),
            "of is LocalSearch, which goes by one objective, and there are 2",
        ),
    ],
)
def test_what_cannot_work_is_refused(made: Any, message: str) -> None:
    with pytest.raises(RecordError) as refused:
        made()
    assert message in str(refused.value)
