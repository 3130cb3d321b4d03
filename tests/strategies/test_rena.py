"""RENA: its reward, the gradient of its policy, and what it learns."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest
import torch

from nas.history import Evaluated, History, Limit, Proposal
from nas.membership import taken_decisions
from nas.space import decisions, one_of, resolve, sample
from nas.strategies.controllers.controller import PolicyLoss, Sample
from nas.strategies.controllers.logit_table import TablePolicy
from nas.strategies.rena import MODIFICATION, Rena, modification
from nas.testing.strategies import simulate_search

SPACE = tuple(one_of(f"c{i}", range(4)) for i in range(8))
"""Values are the sums of the first half; the cost, of the second half, does not pay."""


def finish(history: History, number: int) -> None:
    taken = history.proposals[number].architecture
    history.finish(number, {"score": float(sum(taken[:4])), "cost": float(sum(taken[4:]))})


def evaluated(history: History, score: float, cost: float) -> Evaluated:
    number = history.start(Proposal(sample(SPACE, Random(len(history.proposals)))))
    history.finish(number, {"score": score, "cost": cost})
    return history.finished[number]


def test_the_reward_falls_by_what_is_outside_the_limits() -> None:
    history = History("score", limits={"cost": Limit(most=8.0)})
    strategy = Rena(penalty=0.5)
    assert strategy.reward(history, evaluated(history, 6.0, 8.0)) == 6.0
    assert strategy.reward(history, evaluated(history, 6.0, 12.0)) == pytest.approx(6 * 0.5**0.5)
    assert strategy.reward(history, evaluated(history, -6.0, 12.0)) == pytest.approx(-6 / 0.5**0.5)


def test_the_step_of_the_policy_is_that_of_a_gradient_by_torch() -> None:
    taken = taken_decisions(SPACE, resolve(SPACE, lambda choice: 2))
    path = modification(taken, "c3", 1)
    assert [choice.arity for choice, _ in path] == [8, 3], "the choices, and the options but the present one"
    policy = TablePolicy("SGD", 0.5)
    logits = [torch.zeros(choice.arity, dtype=torch.float64, requires_grad=True) for choice, _ in path]
    for advantage in (2.0, -1.0, 0.5):
        log_p = [each.log_softmax(0) for each in logits]
        entropy = sum(-(each.exp() * each).sum() for each in log_p)
        loss = -advantage * sum(each[way] for each, (_, way) in zip(log_p, path, strict=True)) - 0.1 * entropy
        slopes = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            for each, slope in zip(logits, slopes, strict=True):
                each -= 0.5 * slope
        policy.descend([Sample(path, advantage)], PolicyLoss(0.1))
    for (choice, _), each in zip(path, logits, strict=True):
        assert policy.logits[choice.name].values == pytest.approx(each.tolist())


def test_a_modification_changes_one_decision_of_a_parent_among_the_best() -> None:
    strategy = Rena(parents=3)
    history = simulate_search(strategy, SPACE, 60, finish=finish, objective="score")
    modified = [each for each in history.proposals if MODIFICATION in each.notes]
    assert len(modified) == 57
    for proposal in modified:
        parent = history.proposals[proposal.parents[0]]
        own, theirs = decisions(SPACE, proposal.architecture), decisions(SPACE, parent.architecture)
        assert [name for name in own if own[name] != theirs[name]] == [proposal.notes[MODIFICATION][0]]


def test_it_learns_which_choices_to_change_and_keeps_to_the_limits() -> None:
    limits = {"cost": Limit(most=4.0)}
    best = []
    for seed in range(5):
        strategy = Rena(momentum=0.9 + seed / 1000)  # another digest, and so another search
        history = simulate_search(strategy, SPACE, 120, finish=finish, objective="score", limits=limits)
        best.append(history.best)
    assert all(each is not None and each.scores["cost"] <= 4 for each in best)
    assert fmean(each.scores["score"] for each in best if each is not None) > 11.5, "of 12"
