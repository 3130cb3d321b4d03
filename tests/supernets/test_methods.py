"""Every method of search that is found does what its protocol promises, on cells and on spaces that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import pytest
import torch
from methods import METHOD_CLASSES
from torch import Tensor, nn
from torch.func import functional_call

from nas.building import Node
from nas.choice import choices, one_of
from nas.operations.conv import Conv
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip, Zero
from nas.space import decisions, sample
from nas.supernets.bilevel import BatchOutcome, Step
from nas.supernets.derivation import prune
from nas.supernets.gates import StepContext
from nas.supernets.method import Method
from nas.supernets.mixed import Mixed, WeightedBranch
from nas.supernets.supernet import Supernet
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual
from search_spaces import darts, nasbench201, nasnet

METHODS = METHOD_CLASSES
SIZE = 8
CLASSES = 4

pytestmark = pytest.mark.usefixtures("one_thread")


def blocks(width: int) -> Network:
    """Return a space without cells: a block, one of them with a choice inside, an open field, and a depth."""
    inner = one_of("inner", [SepConv(3), DilConv(3)])
    block = one_of("block", [Conv(3), Residual(Conv(3), Skip()), Chain((inner, Conv(1)))], supernet_only=[Zero()])
    stages = (
        Stage(block, channels=width),
        Stage(SepConv(one_of("kernel", [3, 5])), channels=2 * width, stride=2),
        Stage(Conv(1), one_of("depth", [1, 2, 4]), channels=2 * width),
    )
    return Network(Stage(Conv(3, "none"), channels=width), stages, Classifier(CLASSES))


@dataclass(frozen=True)
class Case:
    """A space, and how its members, and the space itself, become networks."""

    space: Any
    network: Callable[[Any], Node]


# widths that the parts of the channels which methods mix by default divide, inside a block twice
CASES = {
    "darts": Case(darts.darts(), lambda cells: darts.network(cells, 12, 3, CLASSES)),
    "nasbench201": Case(nasbench201.nasbench201(), lambda cell: nasbench201.network(cell, 12, 1, CLASSES)),
    "nasnet": Case(
        nasnet.nasnet(("none", "sep3", "avg3", "max3"), 2), lambda cells: nasnet.network(cells, 12, 1, CLASSES)
    ),
    "blocks": Case(blocks(16), lambda network: network),
}

every_method = pytest.mark.parametrize("name", METHODS)
every_case = pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case == "nasnet")) for case in CASES]
)


def supernet(method: Method, case: str, seed: int = 0) -> Supernet:
    torch.manual_seed(seed)
    return Supernet(CASES[case].network(CASES[case].space), method, (3, SIZE, SIZE))


def images(seed: int, number: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(number, 3, SIZE, SIZE, generator=generator)
    return x, torch.randint(CLASSES, (number,), generator=generator)


def step_of(net: Supernet, method: Method, seed: int = 0) -> Step:
    """Return a step on random images."""

    def outcome(batch: tuple[Tensor, Tensor], parameters: Mapping[str, Tensor] | None = None) -> BatchOutcome:
        logits = net(batch[0]) if parameters is None else functional_call(net, dict(parameters), (batch[0],))
        return BatchOutcome.of(logits, batch[1])

    return Step(
        model=net.model,
        policy=net.policy,
        weights_batch=images(seed),
        alphas_batch=images(seed + 1000),
        outcome=outcome,
        penalty=lambda: method.penalty(net.policy),
        lr=0.025,
        momentum=0.9,
        weight_decay=3e-4,
        velocities=[None] * len(list(net.model.parameters())),
        all_reduce_mean=lambda tensors: None,
    )


def gradients(net: Supernet, method: Method, generator: torch.Generator, seed: int = 0) -> list[Tensor]:
    """Let the policy learn once, as a search does, and return the gradients of its parameters."""
    step = step_of(net, method, seed)
    if method.joint:
        net.moment = StepContext(0.5, generator)
        loss, penalty = step.loss(step.weights_batch), step.penalty()
        torch.autograd.backward(loss if penalty is None else loss + penalty, inputs=step.alphas)
    else:
        net.moment = StepContext(0.5, generator, for_alphas=True)
        reported = method.learn(step)
        assert reported.loss.dim() == 0
        assert not reported.loss.requires_grad
        assert reported.loss.isfinite()
        assert 0 <= reported.hits <= len(step.alphas_batch[1])
    assert all(weight.grad is None for weight in net.model.parameters()), "the weights learn elsewhere"
    return [torch.zeros_like(each) if each.grad is None else each.grad.clone() for each in step.alphas]


@cache
def untrained(name: str, case: str) -> Supernet:
    """Return a supernet that no test changes."""
    return supernet(METHODS[name](), case)


# ---------------------------------------------------------------------------------------------------- conformance


@every_method
@every_case
def test_a_supernet_gives_logits(name: str, case: str) -> None:
    net = untrained(name, case)
    net.moment = StepContext(0.0, torch.Generator().manual_seed(0))
    logits = net(images(0)[0])
    assert logits.shape == (4, CLASSES)
    assert logits.isfinite().all()
    assert set(net.policy.gates(net.moment)) == set(net.choices)


@every_method
@every_case
def test_everything_that_is_learnt_of_the_architecture_gets_a_gradient(name: str, case: str) -> None:
    method, generator = METHODS[name](), torch.Generator().manual_seed(0)
    net = supernet(method, case)
    totals = [torch.zeros_like(each) for each in net.policy.parameters()]
    for seed in range(60):
        totals = [total + new.abs() for total, new in zip(totals, gradients(net, method, generator, seed), strict=True)]
        if all(total.all() for total in totals):
            return
    # what a controller has read of an option that it never drew is not used
    assert name == "Enas"
    assert all(total.any() for total in totals)


@every_method
@every_case
def test_a_derived_architecture_is_a_member(name: str, case: str) -> None:
    space, net, method = CASES[case].space, untrained(name, case), METHODS[name]()
    scored: list[Any] = []

    def score(architecture: Any) -> float:
        scored.append(architecture)
        return len(scored)

    found = method.derive(space, net.policy, score, Random(0))
    assert decisions(space, found)
    assert not scored or found == scored[-1], "the last had the highest score"
    assert found == method.derive(space, net.policy, lambda each: scored.index(each), Random(0))
    if strengths := net.policy.strengths():
        assert decisions(space, method.derive_from(space, strengths))


@every_method
@every_case
def test_strengths_are_those_of_every_option(name: str, case: str) -> None:
    net = untrained(name, case)
    strengths = net.policy.strengths()
    assert set(strengths) == (set() if name == "Spos" else set(net.choices))
    for choice, each in strengths.items():
        assert len(each) == len(net.choices[choice].options) + len(net.choices[choice].supernet_only)
        assert all(0 <= strength <= 1 for strength in each)


@every_method
def test_the_same_seed_gives_the_same_gates_and_gradients(name: str) -> None:
    found = []
    for seed, elsewhere in ((1, 0), (1, 5), (2, 0)):
        method = METHODS[name]()
        net = supernet(method, "nasbench201")
        torch.manual_seed(elsewhere)
        gates = net.policy.gates(StepContext(0.5, torch.Generator().manual_seed(seed)))
        numbers = [each.weights if each.weights is not None else torch.tensor(each.active) for each in gates.values()]
        generator = torch.Generator().manual_seed(seed)
        found.append([torch.cat(numbers).detach(), *gradients(net, method, generator)])
    first, second, other = found
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    if name in ("DrNas", "Enas", "Gdas", "Proxyless", "Snas", "Spos"):
        assert not torch.equal(first[0], other[0])


@every_method
@every_case
def test_gates_draw_from_their_generator_alone(name: str, case: str) -> None:
    net = untrained(name, case)
    before = torch.get_rng_state()
    net.policy.gates(StepContext(0.5, torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before)


@contextmanager
def called(net: nn.Module) -> Iterator[set[int]]:
    """Note which modules are called in the block, by identity."""
    seen: set[int] = set()
    hooks = [each.register_forward_pre_hook(lambda module, _: seen.add(id(module))) for each in net.modules()]
    yield seen
    for hook in hooks:
        hook.remove()


@every_method
@every_case
def test_a_path_is_computed_alone(name: str, case: str) -> None:
    space, net = CASES[case].space, untrained(name, case)
    architecture = sample(space, Random(3))
    taken = decisions(space, architecture)
    net.take(space, architecture)
    with called(net.model) as seen:
        path = net(images(0)[0])
    assert torch.equal(net(images(0)[0]), path)
    net.use(None)
    mixtures = [each for each in net.model.modules() if isinstance(each, Mixed) and id(each) in seen]
    assert mixtures
    for mixture in mixtures:
        computed = {i for i, option in enumerate(mixture.options) if id(option) in seen}
        assert computed == ({taken[mixture.name]} if mixture.name in taken else set())
    known = choices(space)
    for branch in (each for each in net.model.modules() if isinstance(each, WeightedBranch) and id(each) in seen):
        choice = known[branch.name]
        assert (id(branch.branch) in seen) is (branch.index in choice.picked(taken[branch.name]))


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.mixes_all])
def test_a_method_that_says_so_computes_every_option(name: str) -> None:
    net = untrained(name, "darts")
    net.moment = StepContext(0.5, torch.Generator().manual_seed(0))
    with called(net.model) as seen:
        net(images(0)[0])
    for mixture in (each for each in net.model.modules() if isinstance(each, Mixed)):
        assert all(id(option) in seen for i, option in enumerate(mixture.options) if i in mixture.computed)


@every_method
@every_case
def test_members_of_a_pruned_space_are_members_of_the_whole(name: str, case: str) -> None:
    space, strengths = CASES[case].space, untrained(name, case).policy.strengths()
    if not strengths:
        pytest.skip("nothing is learnt by which to prune")
    smaller = prune(space, strengths, 2)
    kept = [each for each in choices(smaller).values() if each.k is None]
    assert all(each.options and len(each.options + each.supernet_only) <= 2 for each in kept)
    for seed in range(3):
        assert decisions(space, sample(smaller, Random(seed)))


@every_method
def test_the_phases_of_a_method_are_searches_on_ever_smaller_spaces(name: str) -> None:
    case, method = CASES["nasbench201"], METHODS[name]()
    space, strengths = case.space, untrained(name, "nasbench201").policy.strengths()
    phases = method.phases(76, 3)
    assert sum(phase.epochs for phase in phases) == 76
    assert phases[0].options is None, "nothing is known yet by which to prune"
    for phase in phases:
        assert 0 <= phase.alphas_from < phase.epochs
        assert phase.method.phases(phase.epochs, phase.alphas_from)[0].method == phase.method
        space = space if phase.options is None else prune(space, strengths, phase.options)
        net = Supernet(case.network(space), phase.method, (3, SIZE, SIZE))
        net.moment = StepContext(0.5, torch.Generator().manual_seed(0))
        assert net(images(0)[0]).isfinite().all()
        strengths = net.policy.strengths()
        assert decisions(case.space, phase.method.derive(space, net.policy, lambda each: 0.0, Random(0)))
