"""Checks that hold for every strategy, by simulated searches whose workers finish in the order in which they began."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from nas.history import History, Limit, Proposal
from nas.journal import finished_event, read_event, started_event
from nas.plain import from_plain
from nas.records import RecordError, digest, to_plain
from nas.space import SpaceError, decisions, one_of, sample, some_of
from nas.strategies.strategy import Strategy
from nas.testing.requirement import require, require_record

SMALL = (some_of("picks", 2, range(5)), *(one_of(f"c{i}", range(3)) for i in range(4)))
"""A space of 810 architectures."""

# `a` is one choice, which occurs in both options of `depth`
NESTED = (
    one_of("depth", [(one_of("a", range(3)),), (one_of("a", range(3)), one_of("b", range(3)))]),
    one_of("c", "xyz"),
)
"""A space in which one choice opens others."""

Finish = Callable[[History, int], object]


def score(architecture: Any) -> float:
    """Return a pseudo-random score between 0 and 1 that depends on the architecture alone."""
    return int(digest(architecture), 16) / 2**64


def succeed(history: History, number: int) -> None:
    """Finish an evaluation with its score, and a cost that knows nothing of it."""
    architecture = history.proposals[number].architecture
    history.finish(number, {"score": score(architecture), "cost": score((architecture, "cost"))})


def fail_often(history: History, number: int) -> None:
    """Fail every third evaluation."""
    if number % 3 == 1:
        history.fail(number, "out of memory")
    else:
        succeed(history, number)


def fail_always(history: History, number: int) -> None:
    """Fail an evaluation."""
    history.fail(number, "NaN")


def simulate_search(
    strategy: Strategy,
    space: Any,
    evaluations: int,
    workers: int = 1,
    seed: int = 0,
    finish: Finish = succeed,
    objective: str | tuple[str, ...] = "score",
    limits: Mapping[str, Limit] | None = None,
) -> History:
    """Search with simulated workers; the one that has worked longest finishes first."""
    history, working = History(objective, limits), deque[int]()
    while len(history.finished) < evaluations:
        while len(working) < workers and len(history.proposals) < evaluations:
            proposal = strategy.propose(space, history, generator(seed, history))
            if proposal is None and strategy.ends and not working:
                return history
            if proposal is None:
                require(
                    bool(working),
                    "the strategy proposes nothing while nothing is in flight, before the budget is spent",
                )
                break
            working.append(history.start(proposal))
        finish(history, working.popleft())
    return history


def generator(seed: int, history: History) -> Random:
    """Return the random generator of the next proposal: one per proposal, as in a run."""
    return Random(seed << 32 | len(history.proposals))


def in_flight(strategy: Strategy, space: Any, evaluations: int) -> History:
    """Return a history of a simulated search with two further proposals in flight."""
    history = simulate_search(strategy, space, evaluations)
    for _ in range(2):
        if (proposal := strategy.propose(space, history, generator(0, history))) is not None:
            history.start(proposal)
    return history


def replayed(history: History) -> History:
    """Return the history as it is read back from its journal."""
    again = History([f"{'-' if sign < 0 else ''}{name}" for name, sign in history.objectives], history.limits)
    for number in range(len(history.proposals)):
        read_event(again, started_event(history, number, 0.0))
    for done in history.finished.values():
        read_event(again, finished_event(done, 0.0))
    return again


def it_is_a_record(strategy: Strategy) -> None:
    """Check that a strategy can be written to a run folder, and read from it."""
    require_record(strategy, Strategy)


# Searches below have more than 100 evaluations, the largest default population: a strategy must leave its random start.


def it_proposes_members_of_the_space(strategy: Strategy) -> None:
    """Check that proposals are members of the space, also where one choice opens others."""
    for space in (SMALL, NESTED):
        for proposal in simulate_search(strategy, space, 108, workers=3).proposals:
            try:
                decisions(space, proposal.architecture)
            except SpaceError as error:
                raise AssertionError(f"a proposal is no member of the space: {error}") from None


def its_parents_are_evaluations_that_succeeded(strategy: Strategy) -> None:
    """Check that a proposal has an origin, and as parents the numbers of earlier evaluations that succeeded."""
    history = simulate_search(strategy, SMALL, 160, workers=4, finish=fail_often)
    for number, proposal in enumerate(history.proposals):
        require(bool(proposal.origin), f"proposal {number} has no origin")
        for parent in proposal.parents:
            require(parent < number, f"proposal {number} has the parent {parent}, which comes after it")
            require(
                history.finished[parent].failure is None, f"proposal {number} has the parent {parent}, which failed"
            )


def it_depends_on_history_and_generator_alone(strategy: Strategy) -> None:
    """Check that a resumed search is the same search: no state in the strategy, no other source of randomness."""
    history = in_flight(strategy, SMALL, 130)
    again = replayed(history)
    proposals = [strategy.propose(SMALL, each, Random(5)) for each in (history, again, history)]
    proposals.append(from_plain(to_plain(strategy), Strategy).propose(SMALL, again, Random(5)))
    require(
        all(each == proposals[0] for each in proposals), f"it proposes differently for the same history: {proposals}"
    )


def it_leaves_the_history_as_it_is(strategy: Strategy) -> None:
    """Check that a strategy only reads the history."""
    history = in_flight(strategy, SMALL, 120)
    # what `fold` keeps for a strategy is private to the history
    before = {name: repr(value) for name, value in vars(history).items() if not name.startswith("_")}
    strategy.propose(SMALL, history, Random(0))
    changed = [name for name, value in before.items() if repr(vars(history)[name]) != value]
    require(not changed, f"it changes the history's {', '.join(changed)}")


def it_searches_the_same_with_the_same_seed(strategy: Strategy) -> None:
    """Check that the same seed gives the same search, and another seed another one."""
    first, again, other = (simulate_search(strategy, SMALL, 130, workers=2, seed=seed).digests for seed in (0, 0, 1))
    require(first == again, "the same seed gives a different search")
    require(strategy.ends or first != other, "another seed gives the same search")


def it_goes_on_after_failures(strategy: Strategy) -> None:
    """Check that the search continues after failures, whether some evaluations fail or all."""
    some = simulate_search(strategy, SMALL, 130, workers=3, finish=fail_often)
    # 43 of the 130 fail
    require(len(some.scored) + len(some.screened) == 87, "failures end the search")
    require(
        len(simulate_search(strategy, SMALL, 110, workers=3, finish=fail_always).failures) == 110,
        "failures end the search",
    )


def it_searches_a_space_of_two(strategy: Strategy) -> None:
    """Check that both architectures are proposed, again and again; the run reuses their scores."""
    history = simulate_search(strategy, one_of("only", (1, 2)), 130, workers=2)
    require(
        {each.architecture for each in history.proposals} == {1, 2},
        "it does not propose both architectures of a space of two",
    )


def it_reads_the_objective_by_its_sign(strategy: Strategy) -> None:
    """Check that it maximises `History.value`: a strategy that reads the scores themselves climbs where it should descend."""
    up, down = History("score"), History("-score")
    for number in range(120):
        architecture = sample(SMALL, Random(number))
        for history, value in ((up, score(architecture)), (down, -score(architecture))):
            history.finish(history.start(Proposal(architecture)), {"score": value})
    same = strategy.propose(SMALL, up, Random(1)) == strategy.propose(SMALL, down, Random(1))
    require(same, "minimising a score and maximising its negative give different proposals: read history.value")


def it_goes_by_several_objectives(strategy: Strategy) -> None:
    """Check a search of two objectives, if the strategy says that it takes several: replayed, it goes on the same."""
    if not strategy.several_objectives:
        return
    try:
        strategy.check(2)
    except RecordError:
        return  # its settings go by one objective, which a run says before it begins
    history = simulate_search(strategy, SMALL, 160, workers=3, finish=succeed, objective=("score", "-cost"))
    again = replayed(history)
    require(history.front == again.front, "the front is another one when the journal is replayed")
    same = strategy.propose(SMALL, history, Random(3)) == strategy.propose(SMALL, again, Random(3))
    require(same, "it proposes differently for the same history of two objectives")


def it_goes_by_limits(strategy: Strategy) -> None:
    """Check a search with a limit that some evaluations break: replayed, it goes on the same, and the best is within."""
    history = simulate_search(strategy, SMALL, 160, workers=3, limits={"cost": Limit(most=0.3)})
    require(history.best is not None and history.best.scores["cost"] <= 0.3, "the best is outside the limit")
    again = replayed(history)
    same = strategy.propose(SMALL, history, Random(3)) == strategy.propose(SMALL, again, Random(3))
    require(same, "it proposes differently for the same history with a limit")


def its_parents_have_kept_their_weights(strategy: Strategy) -> None:
    """Check that no proposal has a parent that `possible_parents` left out before: the weights of such a one are removed."""
    removed = set[int]()

    def finish(history: History, number: int) -> None:
        fail_often(history, number)
        needed = {parent for proposal in history.in_flight.values() for parent in proposal.parents}
        removed.update(history.finished.keys() - needed - set(strategy.possible_parents(history)))

    history = History("score")
    for number in range(130):
        proposal = strategy.propose(SMALL, history, generator(0, history))
        while proposal is None and history.in_flight:
            finish(history, min(history.in_flight))
            proposal = strategy.propose(SMALL, history, generator(0, history))
        if proposal is None:
            return  # it has ended
        lost = removed.intersection(proposal.parents)
        require(not lost, f"proposal {number} has the parents {lost}, which were no possible parents before")
        history.start(proposal)
        if len(history.in_flight) == 3:
            finish(history, min(history.in_flight))


CHECKS: tuple[Callable[[Strategy], None], ...] = (
    it_is_a_record,
    it_proposes_members_of_the_space,
    its_parents_are_evaluations_that_succeeded,
    it_depends_on_history_and_generator_alone,
    it_leaves_the_history_as_it_is,
    it_searches_the_same_with_the_same_seed,
    it_goes_on_after_failures,
    it_searches_a_space_of_two,
    it_reads_the_objective_by_its_sign,
    it_goes_by_several_objectives,
    it_goes_by_limits,
    its_parents_have_kept_their_weights,
)


def check_strategy(strategy: Strategy) -> None:
    """Check what holds for every strategy. Raises AssertionError with what does not."""
    for check in CHECKS:
        check(strategy)
