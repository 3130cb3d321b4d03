"""Strategies: what holds for every one that is found, on every space; then what each of them promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, SupportsIndex

import pytest

from nas.family import families
from nas.history import History, Proposal
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.records import RecordError, digest, import_all, record_classes
from nas.space import decisions, enumerate_architectures, mutate, neighbours, one_of, sample
from nas.strategies.bananas import Bananas
from nas.strategies.bohb import Bohb
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.fixed_proposals import FixedProposals
from nas.strategies.kde import Kde
from nas.strategies.local_search import LocalSearch
from nas.strategies.npenas import Npenas
from nas.strategies.optuna import Optuna
from nas.strategies.pnas import Pnas
from nas.strategies.random_search import RandomSearch
from nas.strategies.screened import Screened
from nas.strategies.strategy import Strategy
from nas.testing.strategies import CHECKS, SMALL, fail_often, generator, score, simulate_search, succeed
from search_spaces.bits import bits

import_all("nas.strategies")
STRATEGIES = {
    name: cls for name, cls in record_classes(Strategy).items() if cls.__module__.startswith("nas.strategies.")
}
FAMILIES = families()

QUICK = MlpEnsemble(members=2, epochs=2)
GUIDED: dict[str, Strategy] = {
    "Bananas": Bananas(QUICK),
    "Npenas": Npenas(QUICK),
    "Pnas": Pnas(QUICK),
    "Screened": Screened(by=QUICK),
}
"""Strategies with a predictor that is fitted in no time; with their own they are tested in the slow tests."""

every_strategy = pytest.mark.parametrize(
    "strategy",
    [
        *(pytest.param(GUIDED.get(name) or cls(), id=name) for name, cls in STRATEGIES.items()),
        pytest.param(RegularizedEvolution(mutations=4, mutation_rounds=10), id="RegularizedEvolution, decaying"),
        *(pytest.param(STRATEGIES[name](), id=f"{name} itself", marks=pytest.mark.slow) for name in GUIDED),
    ],
)
FIRST = "nasbench201"


@cache
def space_of(family: str) -> Any:
    return FAMILIES[family].space()


# ---------------------------------------------------------------------------------------------------- conformance


def test_strategies_are_found() -> None:
    assert {"RandomSearch", "RegularizedEvolution", "LocalSearch"} <= STRATEGIES.keys()


# random search meets every space always, the others in the slow tests
@pytest.mark.parametrize(
    ("name", "family"),
    [
        pytest.param(name, family, marks=[pytest.mark.slow] * (family != FIRST and name != "RandomSearch"))
        for name in STRATEGIES
        for family in FAMILIES
    ],
)
def test_proposals_are_members_of_the_space(name: str, family: str) -> None:
    strategy = GUIDED.get(name) or STRATEGIES[name]()
    history = simulate_search(strategy, space_of(family), 108, workers=3)
    for proposal in history.proposals:
        decisions(space_of(family), proposal.architecture)


@every_strategy
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_holds_for_every_strategy(check: Callable[[Strategy], None], strategy: Strategy) -> None:
    check(strategy)


# ---------------------------------------------------------------------------------------------------- cost


class Watched(list[Any]):
    """A list that counts how many of its members were looked at."""

    looked = 0

    def __iter__(self) -> Iterator[Any]:
        for each in super().__iter__():
            Watched.looked += 1
            yield each

    def __reversed__(self) -> Iterator[Any]:
        return iter(Watched(super().__reversed__()))

    def __contains__(self, item: object) -> bool:
        Watched.looked += len(self)
        return super().__contains__(item)

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        Watched.looked += len(found) if isinstance(key, slice) else 1
        return found


class WatchedDict(dict[Any, Any]):
    """A dictionary that counts how many of its members were looked at."""

    def __iter__(self) -> Iterator[Any]:
        return iter(Watched(super().__iter__()))

    def __getitem__(self, key: Any) -> Any:
        Watched.looked += 1
        return super().__getitem__(key)

    def keys(self) -> Any:
        return Watched(super().keys())

    def values(self) -> Any:
        return Watched(super().values())

    def items(self) -> Any:
        return Watched(super().items())


def watch(history: History) -> None:
    """Count from now on what is looked at in the history."""
    for name, value in vars(history).items():
        if type(value) in (list, dict):
            setattr(history, name, Watched(value) if type(value) is list else WatchedDict(value))
    Watched.looked = 0


FAST: dict[str, Strategy] = {
    "Optuna": Optuna("RandomSampler"),
    "Kde": Kde(random=1.0),
    "Bohb": Bohb(Kde(random=1.0)),
    "Bananas": Bananas(QUICK, refit=1000),
    "Npenas": Npenas(QUICK, refit=1000),
    "Pnas": Pnas(QUICK),
    "Screened": Screened(by=QUICK, refit=1000),
}
"""Strategies whose model would take minutes: without it, or with fewer fits."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("Optuna", "Screened", "Pnas", "Bananas", "Npenas")))
        for name in STRATEGIES
    ],
)
def test_a_proposal_looks_at_few_of_many_evaluations(name: str) -> None:
    space, strategy = bits(16), FAST.get(name) or STRATEGIES[name]()
    history = simulate_search(strategy, space, 3000)
    watch(history)
    assert strategy.propose(space, history, Random(0)) is not None
    assert 0 <= Watched.looked < 500


def test_looking_at_the_whole_history_is_noticed() -> None:
    history = simulate_search(RandomSearch(), SMALL, 100)
    watch(history)
    assert max(history.scored, key=history.value)
    assert list(history.finished.values())
    assert Watched.looked >= 200


# ---------------------------------------------------------------------------------------------------- evolution


def paper(strategy: RegularizedEvolution, evaluations: int, seed: int) -> list[Any]:
    """Return the architectures of algorithm 1, written as in the paper, with a population that changes."""
    population: list[tuple[float, Any]] = []
    models: list[Any] = []
    while len(models) < evaluations:
        rng = Random(seed << 32 | len(models))
        if len(models) < strategy.population:
            model = sample(SMALL, rng)
        else:
            drawn = (rng.choices if strategy.replacement else rng.sample)(population, k=strategy.sample)
            model = mutate(SMALL, max(drawn, key=lambda each: each[0])[1], rng)
        models.append(model)
        population.append((score(model), model))
        if strategy.removes == "worst":
            population.sort(key=lambda each: each[0])
        if len(population) > strategy.population:
            population.pop(0)
    return models


@pytest.mark.parametrize("replacement", [True, False], ids=["with", "without"])
@pytest.mark.parametrize("removes", ["oldest", "worst"])
@pytest.mark.parametrize("sizes", [(10, 3), (5, 5), (1, 1), (2, 1)], ids=str)
def test_evolution_is_algorithm_1(sizes: tuple[int, int], removes: Any, replacement: bool) -> None:
    strategy = RegularizedEvolution(*sizes, replacement=replacement, removes=removes)
    found = [proposal.architecture for proposal in simulate_search(strategy, SMALL, 80, seed=3).proposals]
    assert found == paper(strategy, 80, 3)


def test_parents_are_among_the_last_that_succeeded() -> None:
    strategy = RegularizedEvolution(8, 3)
    history, alive = History("score"), {}
    for number in range(150):
        proposal = strategy.propose(SMALL, history, generator(0, history))
        alive[number] = [done.number for done in history.scored[-8:]]
        fail_often(history, history.start(proposal))
    mutations = {i: each for i, each in enumerate(history.proposals) if each.origin == "mutation"}
    assert len(mutations) > 130
    assert all(len(alive[number]) == 8 for number in mutations), "mutations begin when the population is full"
    assert all(each.parents[0] in alive[number] for number, each in mutations.items())


def test_the_best_of_the_drawn_is_the_parent() -> None:
    history = simulate_search(RandomSearch(), SMALL, 40)
    proposal = RegularizedEvolution(20, 20, replacement=False).propose(SMALL, history, Random(0))
    assert proposal.parents == (max(history.scored[-20:], key=history.value).number,)


def test_a_sample_of_one_draws_all_alike() -> None:
    history = simulate_search(RandomSearch(), SMALL, 40)
    parents = Counter(RegularizedEvolution(20, 1).propose(SMALL, history, Random(i)).parents for i in range(1000))
    assert parents.keys() == {(number,) for number in range(20, 40)}
    assert max(parents.values()) < 100


def test_drawing_with_replacement_may_miss_the_best() -> None:
    history = simulate_search(RandomSearch(), SMALL, 5)
    best = max(history.scored, key=history.value).number
    for replacement, often in ((True, 0.672), (False, 1.0)):
        strategy = RegularizedEvolution(5, 5, replacement)
        found = sum(strategy.propose(SMALL, history, Random(i)).parents == (best,) for i in range(1000)) / 1000
        assert found == pytest.approx(often, abs=0.05)


def test_a_child_differs_from_its_parent_in_one_decision() -> None:
    history = simulate_search(RegularizedEvolution(5, 2), SMALL, 60)
    for proposal in history.proposals[5:]:
        (parent,) = proposal.parents
        assert proposal.architecture in set(neighbours(SMALL, history.proposals[parent].architecture))


def test_without_ageing_the_best_stay() -> None:
    strategy = RegularizedEvolution(5, 5, replacement=False, removes="worst")
    history = simulate_search(strategy, SMALL, 60)
    for number in range(5, 60):
        best = max(history.scored[:number], key=history.value)
        (parent,) = history.proposals[number].parents
        assert history.value(history.finished[parent]) == history.value(best)


@pytest.mark.parametrize("identity", [0.0, 0.3, 1.0])
def test_a_parent_is_trained_again_as_often_as_asked(identity: float) -> None:
    history = simulate_search(RandomSearch(), SMALL, 20)
    strategy = RegularizedEvolution(20, 5, identity=identity)
    proposals = [strategy.propose(SMALL, history, Random(i)) for i in range(1000)]
    same = [each for each in proposals if each.origin == "identity"]
    assert all(each.architecture == history.finished[each.parents[0]].architecture for each in same)
    assert len(same) / 1000 == pytest.approx(identity, abs=0.05)


def test_the_population_starts_at_random_and_then_mutates() -> None:
    history = simulate_search(RegularizedEvolution(7, 3), SMALL, 12)
    assert [proposal.origin for proposal in history.proposals] == ["random"] * 7 + ["mutation"] * 5


def test_free_workers_draw_from_what_has_finished() -> None:
    history = simulate_search(RegularizedEvolution(6, 3), SMALL, 40, workers=6)
    assert len(history.scored) == 40


def test_more_than_the_population_cannot_be_drawn_without_replacement() -> None:
    with pytest.raises(RecordError, match=r"^sample 9 is more than population 8: draw fewer, or with replacement$"):
        RegularizedEvolution(8, 9, replacement=False)
    assert RegularizedEvolution(8, 9).replacement


# ---------------------------------------------------------------------------------------------------- local search


def climbs(history: History) -> list[list[int]]:
    """Return the centres of each climb: where it started, and to where it moved."""
    found: list[list[int]] = []
    for number, proposal in enumerate(history.proposals):
        if proposal.origin == "start":
            found.append([number])
        elif proposal.parents[0] != found[-1][-1]:
            found[-1].append(proposal.parents[0])
    return found


def level(history: History, number: int) -> float:
    return history.value(history.finished[number])


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("move", ["first", "best"])
def test_local_search_climbs_to_a_local_optimum(move: Any, workers: int) -> None:
    history = simulate_search(LocalSearch(move), SMALL, 150, workers)
    first, *others = climbs(history)
    assert others, "it never started anew"
    summit = history.finished[max(range(others[0][0]), key=lambda number: level(history, number))]
    assert all(score(each) < history.value(summit) for each in neighbours(SMALL, summit.architecture))
    assert first[-1] == summit.number


@pytest.mark.parametrize("move", ["first", "best"])
def test_every_move_is_upwards_to_a_neighbour(move: Any) -> None:
    history = simulate_search(LocalSearch(move), SMALL, 200)
    for climb in climbs(history):
        levels = [level(history, number) for number in climb]
        assert levels == sorted(set(levels))
        for one, other in pairwise(climb):
            assert history.proposals[other].parents == (one,)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_climb_begins_at_the_best_of_several_starts(workers: int) -> None:
    history = simulate_search(LocalSearch(starts=5), SMALL, 120, workers)
    origins = [proposal.origin for proposal in history.proposals]
    climbs_begin = [i for i in range(1, 120) if origins[i - 1 : i + 1] == ["start", "neighbour"]]
    assert len(climbs_begin) > 3
    for first in climbs_begin:
        assert origins[first - 5 : first] == ["start"] * 5
        (centre,) = history.proposals[first].parents
        assert centre == max(range(first - 5, first), key=lambda number: level(history, number))


def test_starts_that_all_failed_are_followed_by_others() -> None:
    strategy, history = LocalSearch(starts=2), History("score")
    for number in range(2):
        history.fail(history.start(strategy.propose(SMALL, history, Random(number)) or pytest.fail("waits")), "NaN")
    proposal = strategy.propose(SMALL, history, Random(9))
    assert proposal is not None
    assert proposal.origin == "start"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("move", ["first", "best"])
def test_no_neighbour_is_proposed_twice(move: Any, workers: int) -> None:
    history, seen = simulate_search(LocalSearch(move), SMALL, 300, workers), set()
    for proposal, name in zip(history.proposals, history.digests, strict=True):
        assert proposal.origin == "start" or name not in seen
        seen.add(name)


def test_the_first_better_neighbour_is_the_next_centre() -> None:
    history = simulate_search(LocalSearch("first"), SMALL, 150)
    for number, proposal in enumerate(history.proposals[:-1]):
        if proposal.parents and level(history, number) > level(history, proposal.parents[0]):
            following = history.proposals[number + 1]
            assert following.parents in ((number,), ())


def test_the_best_of_all_neighbours_is_the_next_centre() -> None:
    history = simulate_search(LocalSearch("best"), SMALL, 150)
    climb = climbs(history)[0]
    assert len(climb) > 1
    for one, other in pairwise(climb):
        around = list(neighbours(SMALL, history.proposals[one].architecture))
        before = set(history.digests[: max(history.children[one]) + 1])
        assert {digest(each) for each in around} <= before
        assert level(history, other) == max(map(score, around))


def test_local_search_waits_for_its_start_and_for_the_last_neighbours() -> None:
    strategy, history = LocalSearch("best"), History("score")
    space = one_of("c", range(3))
    history.start(strategy.propose(space, history, Random(0)) or pytest.fail("nothing to start from"))
    assert strategy.propose(space, history, Random(0)) is None
    succeed(history, 0)
    for _ in range(2):
        history.start(strategy.propose(space, history, Random(0)) or pytest.fail("neighbours are left"))
    assert strategy.propose(space, history, Random(0)) is None


def test_local_search_starts_anew_where_the_start_failed() -> None:
    strategy, history = LocalSearch(), History("score")
    history.fail(history.start(strategy.propose(SMALL, history, Random(0)) or pytest.fail("nothing proposed")), "NaN")
    proposal = strategy.propose(SMALL, history, Random(1))
    assert proposal is not None
    assert proposal.origin == "start"


def test_neighbours_come_in_another_order_in_another_search() -> None:
    space = bits(8)
    orders = []
    for seed in (0, 1):
        history = History("score")
        history.finish(history.start(Proposal(sample(space, Random(seed)), "start")), {"score": 0.0})
        proposals = []
        for _ in range(8):
            proposals.append(LocalSearch("best").propose(space, history, Random(9)))
            history.finish(history.start(proposals[-1]), {"score": 0.0})
        start = history.proposals[0].architecture.values
        orders.append([i for p in proposals for i in range(8) if p.architecture.values[i] != start[i]])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(8))
    assert orders[0] != orders[1]


# ---------------------------------------------------------------------------------------------------- random search


def test_random_search_is_uniform_over_architectures_where_asked() -> None:
    space = one_of("root", (0, (one_of("a", (1, 2, 3)), one_of("b", (4, 5, 6)))))
    every = list(enumerate_architectures(space))
    counted = {
        uniform: Counter(
            RandomSearch(uniform).propose(space, History("score"), Random(i)).architecture for i in range(2000)
        )
        for uniform in ("choices", "architectures")
    }
    assert all(140 < counted["architectures"][each] < 260 for each in every)
    assert 900 < counted["choices"][0] < 1100


def test_random_search_draws_independently_of_the_history() -> None:
    history = simulate_search(RandomSearch(), SMALL, 30)
    assert RandomSearch().propose(SMALL, history, Random(4)) == RandomSearch().propose(SMALL, History("x"), Random(4))


def test_a_fixed_proposal_that_is_rejected_is_not_proposed_again() -> None:
    fixed, history = FixedProposals((((1,), "first"), ((2,), "second"))), History("score")
    rejected = fixed.propose(None, history, Random(0))
    assert rejected is not None
    history.reject(rejected)
    following = fixed.propose(None, history, Random(0))
    assert following is not None
    assert following.origin == "second"
