"""Strategies that learn a model from the evaluations: BANANAS and NPENAS, REINFORCE, the densities of BOHB."""

from __future__ import annotations

from collections import Counter
from random import Random
from statistics import fmean
from typing import Any, Literal

import numpy as np
import pytest

from nas.history import History, Limit, Proposal
from nas.pareto import hypervolume
from nas.predictors.learning import fitted_to
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.one_hot import OneHot
from nas.predictors.paths import Paths
from nas.records import digest
from nas.space import decisions, neighbours, one_of, sample, some_of
from nas.strategies.bananas import Bananas
from nas.strategies.bohb import Bohb
from nas.strategies.hyperband import Hyperband
from nas.strategies.kde import Density, Kde
from nas.strategies.npenas import Npenas
from nas.strategies.optuna import Optuna
from nas.strategies.pnas import Pnas
from nas.strategies.random_search import RandomSearch
from nas.strategies.reinforce import Reinforce
from nas.strategies.screened import Screened
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import SuccessiveHalving
from nas.testing.strategies import NESTED, SMALL, fail_often, generator, simulate_search

SUM = tuple(one_of(f"c{i}", range(5)) for i in range(6))
"""15,625 architectures, whose values are the sums of their numbers."""


QUICK = MlpEnsemble(members=2, epochs=5)


def total(history: History, number: int) -> None:
    history.finish(number, {"score": float(sum(history.proposals[number].architecture))})


# -------------------------------------------------------------------------------------------------------- BANANAS


@pytest.mark.parametrize(
    "strategy", [Bananas(encoding=OneHot()), Npenas(MlpEnsemble(), OneHot())], ids=["bananas", "npenas"]
)
def test_a_predictor_finds_what_is_better_than_random(strategy: Bananas | Npenas) -> None:
    history = simulate_search(strategy, SUM, 60, finish=total)
    assert max(history.value(done) for done in history.scored[:10]) <= 20
    assert history.best is not None
    assert history.value(history.best) >= 23


def test_a_round_is_fitted_once_and_proposes_each_candidate_once() -> None:
    history = simulate_search(Bananas(), SMALL, 60, workers=3)
    assert [each.origin for each in history.proposals[:10]] == ["random"] * 10
    predicted = [each for each in history.proposals if each.origin == "predicted"]
    assert len(predicted) > 40
    assert len({digest(each.architecture) for each in predicted}) == len(predicted)


def test_candidates_are_mutations_of_the_best_as_many_as_asked() -> None:
    history = simulate_search(Bananas(), SMALL, 30)
    for proposal in history.proposals[10:20]:
        best = {done.number for done in sorted(history.scored[:10], key=history.rank)[-5:]}
        (parent,) = proposal.parents
        assert parent in best
        assert proposal.architecture in set(neighbours(SMALL, history.proposals[parent].architecture))


@pytest.mark.parametrize("draws", ["random", "walk"])
def test_the_controls_draw_elsewhere(draws: Literal["random", "walk"]) -> None:
    history = simulate_search(Bananas(draws=draws), SMALL, 40)
    far = [
        proposal
        for proposal in history.proposals[10:]
        if not proposal.parents
        or proposal.architecture not in set(neighbours(SMALL, history.proposals[proposal.parents[0]].architecture))
    ]
    assert len(far) > 15


def test_a_search_that_is_cut_within_a_round_goes_on_as_it_would_have() -> None:
    strategy, whole = Bananas(), simulate_search(Bananas(), SMALL, 40, finish=fail_often)
    for cut in (11, 23, 37):
        again = History("score")
        for number in range(cut):
            again.start(whole.proposals[number])
            fail_often(again, number)
        assert strategy.propose(SMALL, again, generator(0, again)) == whole.proposals[cut]


def test_where_no_candidate_is_new_the_proposals_are_random() -> None:
    space = tuple(one_of(f"c{i}", range(4)) for i in range(3))
    history = simulate_search(Bananas(QUICK, OneHot()), space, 160)
    assert len(history.known) > 55, "64 architectures are almost all seen"
    assert len({each.architecture for each in history.proposals[-10:]}) > 5


def test_a_predictor_is_fitted_to_the_first_and_then_to_every_refit_more() -> None:
    assert [fitted_to(number, 20, 7) for number in (20, 26, 27, 34)] == [20, 20, 27, 34]


@pytest.mark.parametrize("strategy", [Bananas(encoding=OneHot()), Screened()], ids=["bananas", "screened"])
def test_what_is_outside_the_limits_is_no_prey(strategy: Strategy) -> None:
    # the sum is the score, and what it is limited by
    def finish(history: History, number: int) -> None:
        value = float(sum(history.proposals[number].architecture))
        history.finish(number, {"score": value, "cost": value})

    limits = {"cost": Limit(most=14)}
    history = simulate_search(strategy, SUM, 100, finish=finish, limits=limits)
    outside = fmean(done.scores["cost"] > 14 for done in history.scored[40:])
    assert outside < 0.5
    assert history.best is not None
    assert history.best.scores["score"] == 14


def test_npenas_is_bananas_with_ten_parents_and_the_mean() -> None:
    history = simulate_search(Npenas(MlpEnsemble(), Paths()), SMALL, 45)
    other = simulate_search(Bananas(acquisition="mean", parents=10), SMALL, 45)
    assert history.proposals == other.proposals


def test_the_settings_of_naszilla_can_be_given() -> None:
    paper = MlpEnsemble(members=5, layers=10, width=20, epochs=15, batch=32, lr=0.01, loss="absolute")
    assert simulate_search(Bananas(predictor=paper), SMALL, 14).best


# ----------------------------------------------------------------------------------------------------------- PNAS


def test_architectures_grow_level_by_level() -> None:
    strategy = Pnas(levels=3, width=12, expansions=40)
    history = simulate_search(strategy, SUM, 40, workers=2, finish=total)
    levels = [each.notes.get("level") for each in history.proposals]
    assert levels == [0] * 12 + [1] * 12 + [2] * 12 + [None] * 4
    for proposal in history.proposals[:36]:
        opened = 2 * (proposal.notes["level"] + 1)
        assert proposal.architecture[opened:] == (0,) * (6 - opened)
        for parent in proposal.parents:
            assert proposal.architecture[: opened - 2] == history.proposals[parent].architecture[: opened - 2]
    means = [fmean(map(history.value, history.scored[12 * level : 12 * level + 12])) for level in range(3)]
    assert means == sorted(means)
    assert means[2] > 13, "the best predicted are good: the mean of all is 12"
    assert {each.origin for each in history.proposals[36:]} == {"mutation"}


def test_with_two_objectives_it_goes_on_with_the_predicted_front() -> None:
    """The objectives are the sum and, to be small, the sum of the first half: a front has one member for each of the latter."""

    def finish(history: History, number: int) -> None:
        taken = history.proposals[number].architecture
        history.finish(number, {"score": float(sum(taken)), "cost": float(sum(taken[:3]))})

    found = []
    for strategy in (Pnas(levels=3, width=15, expansions=40), RandomSearch()):
        history = simulate_search(strategy, SUM, 60, finish=finish, objective=("score", "-cost"))
        found.append(hypervolume([history.values(each) for each in history.front], (0.0, -13.0)))
    front = [(float(cost + 12), -float(cost)) for cost in range(13)]
    assert found[0] > 0.75 * hypervolume(front, (0.0, -13.0))
    assert found[0] > found[1]
    mutations = [each for each in history.proposals[45:] if each.origin == "mutation"]
    assert all(each.parents for each in mutations)


def test_a_level_whose_evaluations_all_fail_is_expanded_all_the_same() -> None:
    history = simulate_search(
        Pnas(levels=3, width=5), SUM, 20, finish=lambda history, number: history.fail(number, "NaN")
    )
    assert Counter(each.notes.get("level") for each in history.proposals) == {0: 5, 1: 5, 2: 5, None: 5}


# ------------------------------------------------------------------------------------------------------- screened


def test_a_screen_takes_the_best_predicted_of_what_it_is_offered() -> None:
    values = {
        screened: fmean(map(history.value, history.scored[20:]))
        for screened, strategy in ((True, Screened(RandomSearch())), (False, RandomSearch()))
        for history in [simulate_search(strategy, SUM, 80, workers=2, finish=total)]
    }
    assert values[True] > values[False] + 3


def test_a_screen_takes_what_is_new() -> None:
    history = simulate_search(Screened(by=QUICK), tuple(one_of(f"c{i}", range(5)) for i in range(4)), 120, finish=total)
    assert len(history.known) > 85


def test_promotions_are_not_screened() -> None:
    history = simulate_search(Screened(SuccessiveHalving(epochs=(1, 3, 9)), first=5), SMALL, 90)
    assert {each.epochs for each in history.proposals} == {1, 3, 9}
    assert all(
        each.architecture == history.proposals[each.resumes].architecture
        for each in history.proposals
        if each.resumes is not None
    )


# ------------------------------------------------------------------------------------------------------ REINFORCE


def policy_of(history: History, strategy: Reinforce, space: Any) -> dict[str, list[float]]:
    """Return the probabilities of the first two options of every choice, counted from many proposals."""
    drawn = [decisions(space, strategy.propose(space, history, Random(i)).architecture) for i in range(4000)]
    return {name: [fmean(each[name] == way for each in drawn) for way in range(2)] for name in drawn[0]}


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("entropy", [0.0, 0.5])
def test_the_policy_is_that_of_torch(optimizer: Literal["Adam", "SGD"], entropy: float) -> None:
    torch = pytest.importorskip("torch")
    space = (one_of("a", range(2)), one_of("b", range(3)))
    lr = 0.1 if optimizer == "Adam" else 2.0
    strategy = Reinforce(lr=lr, entropy=entropy, optimizer=optimizer)
    history = simulate_search(strategy, space, 25)
    logits = {name: torch.zeros(arity, dtype=torch.float64, requires_grad=True) for name, arity in (("a", 2), ("b", 3))}
    steps = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}[optimizer](list(logits.values()), lr=lr)
    numerator = denominator = 0.0
    for done in history.scored:
        value = history.value(done)
        numerator, denominator = 0.9 * numerator + 0.1 * value, 0.9 * denominator + 0.1
        taken = decisions(space, done.architecture)
        loss = torch.zeros((), dtype=torch.float64)
        for name, each in logits.items():
            policy = torch.distributions.Categorical(logits=each)
            log_probability = policy.log_prob(torch.tensor(taken[name]))
            loss = loss - log_probability * (value - numerator / denominator) - entropy * policy.entropy()
        steps.zero_grad()
        loss.backward()
        steps.step()
    counted = policy_of(history, strategy, space)
    for name, each in logits.items():
        expected = each.softmax(0)[:2].tolist()
        assert counted[name] == pytest.approx(expected, abs=0.03)
    assert counted["b"] != pytest.approx([1 / 3, 1 / 3], abs=0.03), "it has learnt nothing"


def test_reinforce_learns() -> None:
    history = simulate_search(Reinforce(lr=0.1), SUM, 300, workers=4, finish=total)
    early, late = (fmean(map(history.value, part)) for part in (history.scored[:50], history.scored[-50:]))
    assert late > early + 4


def test_choices_below_others_have_logits_of_their_own() -> None:
    history = simulate_search(Reinforce(lr=0.3), NESTED, 200)
    values = {each.architecture for each in history.proposals}
    assert len(values) > 5
    assert history.best is not None
    last = Counter(each.architecture for each in history.proposals[-40:])
    assert last.most_common(1)[0][1] > 20, "the policy has converged"


# ----------------------------------------------------------------------------------------------------------- BOHB


def test_the_density_is_a_mean_of_products_of_kernels() -> None:
    vectors = [(0, 2), (1, 2), (2, 0), (1, 1)]
    scale = 1.06 * 4 ** (-1 / 6)
    bandwidths = (float(scale * np.std([0, 1, 2, 1])), float(scale * np.std([2, 2, 0, 1])))
    density = Density(tuple(vectors), ("a", "b"), (3, 3), bandwidths)

    def kernel(bandwidth: float, is_equal: bool) -> float:
        return 1 - bandwidth if is_equal else bandwidth / 2

    for point in ((0, 0), (1, 2), (2, 1)):
        products = [
            kernel(bandwidths[0], vector[0] == point[0]) * kernel(bandwidths[1], vector[1] == point[1])
            for vector in vectors
        ]
        assert density.density([point])[0] == pytest.approx(fmean(products))


def test_bandwidths_are_those_of_the_normal_reference_rule_and_bounded_where_asked() -> None:
    vectors = [(0, 4, 0), (1, 0, 0), (2, 4, -1), (4, 0, 1), (0, 4, 0)]
    arities = {"a": 5, "b": 5, "c": 2}
    scale = 1.06 * 5 ** (-1 / 7)
    free, bounded = (Kde(is_bounded=each)._density(vectors, arities) for each in (False, True))
    assert free.bandwidths == pytest.approx([scale * np.std(column) for column in zip(*vectors, strict=True)])
    assert free.bandwidths[1] > 1
    assert bounded.bandwidths[1] == 0.8
    assert free.options == (5, 5, 3), "not to be open is one more"
    every = [(a, b, c) for a in range(5) for b in range(5) for c in (-1, 0, 1)]
    assert bounded.density(every).sum() == pytest.approx(1)


def test_a_bounded_model_is_better_than_random() -> None:
    def late(strategy: Strategy) -> float:
        histories = [simulate_search(strategy, SUM, 120, seed=seed, finish=total) for seed in range(4)]
        return fmean(history.value(done) for history in histories for done in history.scored[-40:])

    assert late(Kde()) > late(RandomSearch()) + 1


def test_a_model_needs_more_good_and_bad_ones_than_choices() -> None:
    history = simulate_search(Kde(random=0.0), SUM, 20, finish=total)
    assert [each.origin for each in history.proposals] == ["random"] * 14 + ["density"] * 6


def test_the_model_is_that_of_the_longest_trainings_of_which_there_are_enough() -> None:
    strategy, history = Kde(random=0.0, samples=8), History("score")
    good, bad = (0,) * 6, (4,) * 6
    rng = Random(0)
    for number in range(40):
        # after one epoch large sums are good, after nine small ones
        epochs = 1 if number < 20 else 9
        architecture = sample(SUM, rng) if number % 2 else (good if epochs == 9 else bad)
        history.start(Proposal(architecture, epochs=epochs))
        score = sum(architecture) * (1.0 if epochs == 1 else -1.0)
        history.finish(number, {"score": score}, epochs=epochs)
    drawn = [strategy.propose(SUM, history, Random(i)).architecture for i in range(200)]
    assert fmean(map(sum, drawn)) < 10


def test_failures_are_bad() -> None:
    history = simulate_search(Kde(random=0.0), SUM, 60, finish=fail_often)
    assert len(history.failures) == 20
    assert Counter(each.origin for each in history.proposals)["density"] > 40


@pytest.mark.parametrize(
    "strategy",
    [
        Screened(Optuna({"RandomSampler": {}})),
        Bohb(Optuna({"RandomSampler": {}})),
        Hyperband(Optuna({"RandomSampler": {}})),
    ],
    ids=["screened", "bohb", "hyperband"],
)
def test_strategies_inside_others_may_have_settings_in_a_mapping(strategy: Strategy) -> None:
    pytest.importorskip("optuna")
    assert len(simulate_search(strategy, SMALL, 30).scored) == 30


@pytest.mark.parametrize("good", [0.9, 1.0])
def test_a_model_without_enough_bad_ones_is_none(good: float) -> None:
    history = simulate_search(Kde(good=good, random=0.0), SUM, 40, finish=total)
    assert {each.origin for each in history.proposals} == {"random"}


def test_choices_of_many_ways_have_a_density() -> None:
    assert len(simulate_search(Kde(random=0.0), some_of("p", 30, range(100)), 12).scored) == 12


def test_bohb_is_hyperband_around_its_model() -> None:
    strategies = Bohb(epochs=(1, 3, 9)), Hyperband(Kde(), (1, 3, 9))
    one, other = (simulate_search(strategy, SMALL, 90) for strategy in strategies)
    assert one.proposals == other.proposals
    assert {each.epochs for each in one.proposals} == {1, 3, 9}
