"""Controllers of REINFORCE: what holds for every one that is found; the gradients of the LSTM; what PPO corrects for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import comb, exp, log
from random import Random
from statistics import fmean
from typing import Any, Literal

import pytest
import torch

from nas.family import families
from nas.history import History, Proposal
from nas.membership import taken_decisions
from nas.records import record_classes
from nas.space import Choice, choices, count, enumerate_architectures, one_of, resolve, sample, some_of
from nas.strategies.controllers.controller import Controller, Path, Policy, PolicyLoss, Sample
from nas.strategies.controllers.logit_table import LogitTable
from nas.strategies.controllers.lstm import Lstm
from nas.strategies.networks.lstm_policy import DecisionLstm, LstmPolicy
from nas.strategies.reinforce import LOG_PROBABILITY, Reinforce
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import SuccessiveHalving
from nas.testing.strategies import CHECKS, NESTED, SMALL, generator, simulate_search

CONTROLLERS = record_classes(Controller)
FAMILIES = families()
SMALL_LSTM = Lstm(units=5, layers=2, initial=0.8)

OPENING = (
    one_of("depth", [(one_of("a", range(3)),), (one_of("a", range(3)), some_of("edges", 2, range(4)))]),
    one_of("c", "xyz"),
)
"""A space of 63 architectures, in which one choice opens two others, one of them a `some_of`."""

MATCH = tuple(one_of(f"c{i}", range(5)) for i in range(6))
TARGET = (3, 0, 4, 1, 2, 0)


def hits(history: History, number: int) -> None:
    """Score an architecture by the number of its decisions that are right, each in its own place."""
    architecture = history.proposals[number].architecture
    history.finish(number, {"score": float(sum(a == b for a, b in zip(architecture, TARGET, strict=True)))})


def paths(space: Any) -> Iterator[Path]:
    for architecture in enumerate_architectures(space):
        yield tuple(taken_decisions(space, architecture).values())


# ---------------------------------------------------------------------------------------------------- conformance


def test_controllers_are_found() -> None:
    assert {"LogitTable", "Lstm"} <= CONTROLLERS.keys()


@pytest.mark.parametrize("loss", ["REINFORCE", pytest.param("PPO", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CONTROLLERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_holds_for_every_strategy(
    check: Callable[[Strategy], None], name: str, loss: Literal["REINFORCE", "PPO"]
) -> None:
    controller = Lstm(units=8) if name == "Lstm" else CONTROLLERS[name]()
    batch, passes = (1, 1) if loss == "REINFORCE" else (12, 2)
    check(Reinforce(lr=0.005, controller=controller, loss=loss, batch=batch, passes=passes))


every_policy = pytest.mark.parametrize("controller", [LogitTable(), SMALL_LSTM], ids=["table", "lstm"])


def taught(controller: Controller, space: Any) -> Policy:
    """Return a policy after some steps towards the sum of its decisions, so that its probabilities differ."""
    policy, rng = controller.policy(space, "seed", "Adam", 0.1), Random(0)
    for _ in range(5):
        path = tuple(taken_decisions(space, sample(space, rng)).values())
        policy.descend([Sample(path, sum(decision for _, decision in path) - 3.0)], PolicyLoss())
    return policy


@every_policy
@pytest.mark.parametrize("space", [SMALL, NESTED, OPENING], ids=["small", "nested", "opening"])
def test_probabilities_of_all_architectures_add_up_to_one(space: Any, controller: Controller) -> None:
    policy = taught(controller, space)
    probabilities = [exp(policy.log_probability(path)) for path in paths(space)]
    assert sum(probabilities) == pytest.approx(1)
    assert max(probabilities) > 2 / len(probabilities)


@every_policy
def test_architectures_are_drawn_as_often_as_their_probabilities_say(controller: Controller) -> None:
    policy, rng = taught(controller, OPENING), Random(1)
    drawn = [resolve(OPENING, policy.drawing(rng)) for _ in range(3000)]
    for architecture in enumerate_architectures(OPENING):
        probability = exp(policy.log_probability(tuple(taken_decisions(OPENING, architecture).values())))
        deviation = (probability * (1 - probability) / 3000) ** 0.5
        assert drawn.count(architecture) / 3000 == pytest.approx(probability, abs=4.5 * deviation + 1e-4)


@pytest.mark.parametrize("family", ["nasnet", "activation", "macro", "darts", "hierarchical"])
def test_the_path_of_an_architecture_is_the_order_in_which_its_decisions_were_taken(family: str) -> None:
    space = FAMILIES[family].space()
    for seed in range(5):
        asked, rng = list[tuple[Choice, int]](), Random(seed)

        def decide(choice: Choice, asked: list[tuple[Choice, int]] = asked, rng: Random = rng) -> int:
            asked.append((choice, rng.randrange(choice.arity)))
            return asked[-1][1]

        architecture = resolve(space, decide)
        object.__setattr__(architecture, "_taken", (None, None))  # as when it is read from a journal
        assert list(taken_decisions(space, architecture).values()) == asked


# ---------------------------------------------------------------------------------------------------- gradients


def lstm_policy(optimizer: Literal["Adam", "SGD"] = "SGD", lr: float = 1.0) -> LstmPolicy:
    policy = SMALL_LSTM.policy(OPENING, "seed", optimizer, lr)
    assert isinstance(policy, LstmPolicy)
    return policy


def told(network: DecisionLstm, path: Path) -> tuple[float, float]:
    """Return the log-probability and the entropy of a path, by the equations of an LSTM; gates are i, f, g, o."""
    weights = {name: each.detach() for name, each in network.named_parameters()}
    names = list(choices(OPENING))
    x, log_probability, entropy = weights["start"][0], 0.0, 0.0
    hidden = [torch.zeros(5, dtype=torch.float64)] * 2
    cells = [torch.zeros(5, dtype=torch.float64)] * 2
    for choice, decision in path:
        for layer in range(2):
            gates = weights[f"lstm.weight_ih_l{layer}"] @ x + weights[f"lstm.bias_ih_l{layer}"]
            gates = gates + weights[f"lstm.weight_hh_l{layer}"] @ hidden[layer] + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = gates.chunk(4)
            cells[layer] = f.sigmoid() * cells[layer] + i.sigmoid() * g.tanh()
            hidden[layer] = x = o.sigmoid() * cells[layer].tanh()
        kind = names.index(choice.name)
        logits = weights[f"outputs.{kind}.weight"] @ x + weights[f"outputs.{kind}.bias"]
        probabilities = (logits.exp() / logits.exp().sum()).tolist()
        assert len(probabilities) == (comb(4, 2) if choice.name == "edges" else len(choice.options))
        log_probability += log(probabilities[decision])
        entropy -= sum(each * log(each) for each in probabilities)
        x = weights[f"embeddings.{kind}.weight"][decision]
    return log_probability, entropy


def test_the_network_is_an_lstm_over_the_decisions() -> None:
    network = lstm_policy().network
    for path in paths(OPENING):
        assert [each.item() for each in network(path)] == pytest.approx(told(network, path))


def loss_of(network: DecisionLstm, samples: Sequence[Sample], entropy: float, clip: float | None) -> float:
    """Return the loss as the papers write it."""
    losses = []
    for each in samples:
        log_probability, disorder = told(network, each.path)
        if clip is None:
            objective = each.advantage * log_probability
        else:
            ratio = exp(log_probability - each.log_probability)
            clamped = min(max(ratio, 1 - clip), 1 + clip)
            objective = min(ratio * each.advantage, clamped * each.advantage)
        losses.append(-objective - entropy * disorder)
    return fmean(losses)


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_a_step_follows_the_gradient_of_the_loss(entropy: float, clip: float | None) -> None:
    policy, rng = lstm_policy(), Random(0)
    every = [tuple(taken_decisions(OPENING, sample(OPENING, rng)).values()) for _ in range(6)]
    # ratios below, within and above the clipped range, with advantages of either sign
    ratios, advantages = (0.5, 0.9, 1.5, 0.5, 1.1, 1.5), (2.0, -1.0, 3.0, -2.0, 1.5, -0.7)
    samples = [
        Sample(path, advantage, policy.log_probability(path) - log(ratio))
        for path, ratio, advantage in zip(every, ratios, advantages, strict=True)
    ]
    before = {name: each.detach().clone() for name, each in policy.network.named_parameters()}
    expected = {}
    for name, parameter in policy.network.named_parameters():
        flat = parameter.data.view(-1)
        for at in {0, len(flat) // 2, len(flat) - 1}:
            value, found = flat[at].item(), []
            for shift in (1e-5, -1e-5):
                flat[at] = value + shift
                found.append(loss_of(policy.network, samples, entropy, clip))
            flat[at] = value
            expected[name, at] = (found[0] - found[1]) / 2e-5
    policy.descend(samples, PolicyLoss(entropy, clip))
    after = dict(policy.network.named_parameters())
    stepped = {(name, at): (before[name] - after[name].detach()).view(-1)[at].item() for name, at in expected}
    assert stepped == pytest.approx(expected, abs=1e-7)
    assert max(map(abs, stepped.values())) > 0.01


def test_the_table_and_the_lstm_follow_the_same_loss() -> None:
    """With one decision, and nothing learnt but the bias of the output, an LSTM is a table."""
    space = (one_of("c", range(4)),)
    table = LogitTable().policy(space, "", "SGD", 0.5)
    lstm = Lstm(units=1, initial=1e-6).policy(space, "", "SGD", 0.5)
    (each,) = [path for path in paths(space) if path[0][1] == 2]
    for loss in (PolicyLoss(), PolicyLoss(0.3), PolicyLoss(0.0, 0.2), PolicyLoss(0.1, 0.2)):
        samples = [Sample(each, 1.0, log(0.2)), Sample(each, -0.4, log(0.3))]
        for policy in (table, lstm):
            policy.descend(samples, loss)
    found = ([policy.log_probability(path) for path in paths(space)] for policy in (table, lstm))
    assert next(found) == pytest.approx(next(found), abs=1e-4)


def test_a_ratio_too_large_for_a_number_is_no_error() -> None:
    path = next(paths(OPENING))
    assert PolicyLoss(clip=0.2).slope(Sample(path, 1.0, -800.0), -1.0) == 0
    assert PolicyLoss(clip=0.2).slope(Sample(path, -1.0, -800.0), -1.0) > 1e300


# ---------------------------------------------------------------------------------------------------- weights


def test_weights_are_drawn_from_the_seed_alone_and_cost_no_one_else_a_number() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, again = (lstm_policy().network.state_dict() for _ in range(2))
    assert torch.rand(3).equal(expected)
    other = SMALL_LSTM.policy(OPENING, "another", "SGD", 1.0)
    assert isinstance(other, LstmPolicy)
    assert all(each.equal(again[name]) for name, each in first.items())
    assert not any(each.equal(other.network.state_dict()[name]) for name, each in first.items())
    assert all(each.abs().max() <= 0.8 for each in first.values())
    assert max(each.abs().max() for each in first.values()) > 0.75


def test_choices_with_equal_options_share_their_layers_where_asked() -> None:
    sizes = {}
    for is_shared in (False, True):
        policy = Lstm(units=5, is_shared=is_shared).policy(SMALL, "", "Adam", 0.1)
        assert isinstance(policy, LstmPolicy)
        sizes[is_shared] = [each.out_features for each in policy.network.outputs if isinstance(each, torch.nn.Linear)]
    assert sizes == {False: [10, 3, 3, 3, 3], True: [10, 3]}


# ---------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize(
    "strategy",
    [
        Reinforce(lr=0.01, controller=Lstm(units=20)),
        pytest.param(
            Reinforce(lr=0.02, controller=Lstm(units=20), loss="PPO", batch=8, passes=3), marks=pytest.mark.slow
        ),
        Reinforce(lr=0.1, loss="PPO", batch=8, passes=8),
    ],
    ids=["lstm", "lstm, PPO", "table, PPO"],
)
def test_the_policy_learns_what_is_good_in_each_place(strategy: Reinforce) -> None:
    history = simulate_search(strategy, MATCH, 200, workers=4, finish=hits)
    early, late = (fmean(map(history.value, part)) for part in (history.scored[:40], history.scored[-40:]))
    assert early < 3
    assert late > 4


def test_an_lstm_learns_what_goes_together() -> None:
    """Where two decisions must agree, each is as good as any other: a table can only settle for one, an LSTM need not."""
    space, found = (one_of("a", range(4)), one_of("b", range(4))), {}

    def agree(history: History, number: int) -> None:
        a, b = history.proposals[number].architecture
        history.finish(number, {"score": float(a == b)})

    for name, controller, lr in (("lstm", Lstm(units=16), 0.01), ("table", LogitTable(), 0.05)):
        strategy = Reinforce(lr=lr, controller=controller, entropy=0.3)
        history = simulate_search(strategy, space, 500, finish=agree)
        last = history.scored[-100:]
        found[name] = fmean(map(history.value, last)), len({each.architecture for each in last if history.value(each)})
    assert found["lstm"][0] > 0.8
    assert found["lstm"][1] == 4
    assert found["table"][0] < 0.6


# ---------------------------------------------------------------------------------------------------- PPO


def test_a_proposal_of_ppo_notes_how_probable_it_was() -> None:
    strategy = Reinforce(loss="PPO", lr=0.3)
    history = simulate_search(strategy, SMALL, 60, workers=3)
    uniform = -log(count(SMALL))
    noted = [each.notes[LOG_PROBABILITY] for each in history.proposals]
    assert noted[:3] == pytest.approx([uniform] * 3)
    assert max(noted) > uniform + 0.5
    assert not Reinforce().propose(SMALL, history, Random(0)).notes


def test_the_first_pass_of_ppo_is_reinforce_where_nothing_is_in_flight() -> None:
    plain, clipped = (simulate_search(Reinforce(lr=0.2, loss=loss), SMALL, 80) for loss in ("REINFORCE", "PPO"))
    assert plain.digests == clipped.digests


def test_ppo_takes_no_step_from_a_proposal_that_the_policy_has_left_behind() -> None:
    """A second pass moves a probability until its ratio is clipped, whatever the number of passes."""
    policy = LogitTable().policy(MATCH, "", "SGD", 0.5)
    path = next(paths(MATCH))
    noted = policy.log_probability(path)
    for _ in range(200):
        policy.descend([Sample(path, 1.0, noted)], PolicyLoss(clip=0.2))
    once = policy.log_probability(path)
    policy.descend([Sample(path, 1.0, noted)], PolicyLoss(clip=0.2))
    assert policy.log_probability(path) == once
    assert once > noted + log(1.2)


def test_evaluations_that_the_policy_did_not_draw_are_learnt_from() -> None:
    strategy, history = Reinforce(lr=0.3, loss="PPO", batch=5, passes=3), History("score")
    for number in range(60):
        hits(history, history.start(Proposal(sample(MATCH, Random(number)))))
    drawn = [strategy.propose(MATCH, history, Random(i)).architecture for i in range(200)]
    assert fmean(sum(a == b for a, b in zip(each, TARGET, strict=True)) for each in drawn) > 2
    halving = SuccessiveHalving(of=strategy, epochs=(1, 3), eta=2)
    assert simulate_search(halving, MATCH, 60, finish=hits).resumed


def test_the_policy_changes_when_a_batch_is_full() -> None:
    strategy = Reinforce(lr=0.5, batch=10)
    history = History("score")
    drawn = []
    for _ in range(31):
        proposal = strategy.propose(MATCH, history, generator(0, history))
        drawn.append(strategy.propose(MATCH, history, Random(7)).architecture)
        hits(history, history.start(proposal))
    changed = [number for number in range(1, 31) if drawn[number] != drawn[number - 1]]
    assert changed
    assert all(number % 10 == 0 for number in changed)
