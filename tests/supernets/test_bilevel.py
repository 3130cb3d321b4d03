"""The bilevel step gives the gradients that its equations say, against differentiation of the step itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from nas.supernets.bilevel import BatchOutcome, Step, exact_second_order, first_order, second_order
from nas.supernets.darts import Darts
from nas.supernets.gates import StepContext
from nas.supernets.supernet import Supernet
from search_spaces import nasbench201

pytestmark = pytest.mark.usefixtures("one_thread")

LR, MOMENTUM, DECAY = 0.3, 0.9, 0.05
"""So large that each of them shows in the gradient."""


class _Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Parameter(torch.randn(3))
        self.unused = nn.Parameter(torch.randn(2))


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.options = nn.ModuleList(nn.Linear(5, 6) for _ in range(3))
        self.head = nn.Linear(6, 4)
        self.unused = nn.Linear(2, 2)


class _Net(nn.Module):
    """Three layers mixed by a softmax; smooth, so that finite differences can be exact."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.policy = _Model(), _Policy()

    def forward(self, x: Tensor) -> Tensor:
        shares = self.policy.mixing.softmax(0)
        mixed = sum(share * option(x).tanh() for share, option in zip(shares, self.model.options, strict=True))
        logits: Tensor = self.model.head(mixed)
        return logits


def smooth() -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    net = _Net().double()
    return net, [(torch.randn(8, 5).double(), torch.randint(4, (8,))) for _ in range(2)]


def supernet() -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    net = Supernet(nasbench201.network(nasbench201.nasbench201(), 2, 1, 4), Darts(), (3, 8, 8)).double()
    for alphas in net.policy.parameters():
        nn.init.normal_(alphas)
    net.moment = StepContext(0.0, torch.Generator())
    return net, [(torch.randn(6, 3, 8, 8).double(), torch.randint(4, (6,))) for _ in range(2)]


def with_velocities(net: nn.Module) -> list[Tensor | None]:
    """Return a momentum for every weight but the second, which has not been trained yet."""
    model = cast(nn.Module, net.model)
    velocities: list[Tensor | None] = [0.1 * torch.randn_like(weight) for weight in model.parameters()]
    velocities[1] = None
    return velocities


@dataclass(frozen=True)
class Answers:
    """The loss and the hits of a net on a batch, with its own or other parameters."""

    net: Any

    def __call__(self, batch: tuple[Tensor, Tensor], parameters: Mapping[str, Tensor] | None = None) -> BatchOutcome:
        images, labels = batch
        logits = self.net(images) if parameters is None else functional_call(self.net, dict(parameters), (images,))
        return BatchOutcome.of(logits, labels)


def step_of(net: Any, batches: Sequence[Any], penalised: bool = False) -> tuple[Step, list[tuple[int, ...]]]:
    """Return a step, and a list that says how often tensors were averaged over the workers, and how many."""
    averaged: list[tuple[int, ...]] = []

    step = Step(
        model=net.model,
        policy=net.policy,
        weights_batch=batches[0],
        alphas_batch=batches[1],
        outcome=Answers(net),
        penalty=lambda: penalty(net) if penalised else None,
        lr=LR,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        velocities=with_velocities(net),
        all_reduce_mean=lambda tensors: averaged.append(tuple(tensor.numel() for tensor in tensors)),
    )
    return step, averaged


def penalty(net: Any) -> Tensor:
    return 0.7 * next(net.policy.parameters()).square().sum()


def unrolled(step: Step, penalised: bool) -> tuple[list[Tensor], Tensor]:
    """Return the gradient of the loss after one step of SGD, by a graph through the step; written without the library."""
    net: Any = cast(Answers, step.outcome).net
    weights = dict(net.model.named_parameters())
    gradients = torch.autograd.grad(
        functional.cross_entropy(net(step.weights_batch[0]), step.weights_batch[1]),
        list(weights.values()),
        create_graph=True,
        allow_unused=True,
    )
    moved = {}
    for (name, weight), found, velocity in zip(weights.items(), gradients, step.velocities, strict=True):
        change = MOMENTUM * (0 if velocity is None else velocity) + DECAY * weight.detach()
        moved[f"model.{name}"] = weight.detach() - LR * (change + (0 if found is None else found))
    logits = functional_call(net, moved, (step.alphas_batch[0],))
    loss = functional.cross_entropy(logits, step.alphas_batch[1])
    total = loss + penalty(net) if penalised else loss
    alphas = list(net.policy.parameters())
    found = torch.autograd.grad(total, alphas, allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for a, g in zip(alphas, found, strict=True)], loss.detach()


def error(found: Sequence[Tensor | None], expected: Sequence[Tensor]) -> float:
    """Return the relative error of gradients."""
    own = torch.cat([torch.zeros(0) if each is None else each.flatten() for each in found])
    other = torch.cat([each.flatten() for each in expected])
    return float((own - other).norm() / other.norm())


def run(learn: Callable[[Step], BatchOutcome], step: Step) -> tuple[list[Tensor | None], Tensor]:
    """Let the alphas learn, check that nothing else has changed, and return their gradients and the loss."""
    net: Any = cast(Answers, step.outcome).net
    before = {name: each.clone() for name, each in net.state_dict().items()}
    places = [weight.data_ptr() for weight in net.model.parameters()]
    loss = learn(step).loss
    assert loss.dim() == 0
    assert not loss.requires_grad
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())
    assert [weight.data_ptr() for weight in net.model.parameters()] == places
    assert all(weight.grad is None for weight in net.model.parameters())
    return [alpha.grad for alpha in net.policy.parameters()], loss


both_nets = pytest.mark.parametrize("make", [smooth, supernet])
with_and_without_penalty = pytest.mark.parametrize("penalised", [False, True])


@both_nets
@with_and_without_penalty
def test_the_exact_second_order_is_that_of_the_unrolled_step(make: Callable[[], Any], penalised: bool) -> None:
    step, _ = step_of(*make(), penalised)
    expected, loss = unrolled(step, penalised)
    found, reported = run(exact_second_order, step)
    assert error(found, expected) < 1e-6
    assert reported.item() == pytest.approx(loss.item(), rel=1e-9)


@with_and_without_penalty
def test_finite_differences_come_near_the_second_order(penalised: bool) -> None:
    step, averaged = step_of(*smooth(), penalised)
    expected, loss = unrolled(step, penalised)
    found, reported = run(second_order, step)
    assert error(found, expected) < 1e-3
    assert reported.item() == pytest.approx(loss.item(), rel=1e-9)
    sizes = tuple(weight.numel() for weight in step.weights)
    assert averaged == [sizes, sizes], "the gradient of the weights, and the vector, are those of all workers"


@both_nets
@with_and_without_penalty
def test_the_first_order_is_the_plain_gradient(make: Callable[[], Any], penalised: bool) -> None:
    step, _ = step_of(*make(), penalised)
    net: Any = cast(Answers, step.outcome).net
    loss = functional.cross_entropy(net(step.alphas_batch[0]), step.alphas_batch[1])
    alphas = list(net.policy.parameters())
    total = loss + penalty(net) if penalised else loss
    plain = torch.autograd.grad(total, alphas, allow_unused=True)
    found, reported = run(first_order, step)
    assert error(found, [torch.zeros_like(a) if g is None else g for a, g in zip(alphas, plain, strict=True)]) < 1e-12
    assert reported.item() == pytest.approx(loss.item())


def test_the_orders_differ() -> None:
    """Else the tests above could not tell them apart."""
    step, _ = step_of(*smooth())
    second, _ = unrolled(step, False)
    found, _ = run(first_order, step)
    assert error(found, second) > 0.05


@pytest.mark.parametrize("order", ["first", "second", "exact"])
def test_darts_learns_by_its_order(order: Any) -> None:
    functions = {"first": first_order, "second": second_order, "exact": exact_second_order}
    step, _ = step_of(*smooth())
    expected, _ = run(functions[order], step)
    found, _ = run(Darts(order).learn, step)
    assert all(torch.equal(a, b) for a, b in zip(cast(Any, found), cast(Any, expected), strict=True))
