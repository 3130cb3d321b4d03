"""A supernet is an ordinary module: it can be copied, averaged, saved, moved and switched, also in the middle of a training."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from methods import METHOD_CLASSES
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nas.operations.conv import Conv
from nas.space import one_of, sample
from nas.supernets.execution import Recomputed
from nas.supernets.gates import StepContext
from nas.supernets.grouped import group_cells
from nas.supernets.supernet import Supernet
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from search_spaces import nasbench201

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = {name: cls().phases(76, 0)[-1].method for name, cls in METHOD_CLASSES.items()}
FORMS = [(name, form) for name, each in METHODS.items() for form in ("plain", "grouped")[: 1 + each.mixes_all]]
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
SPACE = nasbench201.nasbench201()


def space() -> Network:
    """Return a cell, and behind it an open depth and an open field."""
    deep = Stage(Conv(one_of("kernel", [1, 3])), one_of("depth", [1, 2]), 12)
    return Network(Conv(3, "none"), (Stage(SPACE, 1, 12), deep), Classifier(4))


def supernet(name: str, form: str) -> Supernet:
    torch.manual_seed(0)
    net = Supernet(space(), METHODS[name], (3, 8, 8))
    if form == "grouped":
        group_cells(net.model)
    net.moment = StepContext(0.5, torch.Generator().manual_seed(3))
    return net


def answer(net: nn.Module) -> Tensor:
    """Return the logits of a supernet in evaluation; what it draws, it draws as if it were new."""
    inner: Any = net.module if isinstance(net, AveragedModel) else net
    inner.moment = StepContext(0.5, torch.Generator().manual_seed(5))
    with torch.no_grad():
        logits: Tensor = net.eval()(X)
    return logits


def train(net: Supernet) -> None:
    """Take a step of all that learns; what the gates hold afterwards has a graph."""
    learning = torch.optim.SGD(net.parameters(), 0.1)
    net.train()(X).square().sum().backward()
    learning.step()


COPIES: dict[str, Callable[[Supernet], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "average": AveragedModel,
}


@pytest.mark.parametrize(
    ("name", "form"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (each[0] not in ("Darts", "PcDarts", "Spos"))) for each in FORMS],
)
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_in_the_middle_of_a_training_is_a_supernet_of_its_own(how: str, name: str, form: str) -> None:
    net = supernet(name, form)
    train(net)
    net(X)  # the graph of a forward pass that no backward pass has freed
    before = answer(net)
    net(X)
    other = COPIES[how](net)
    assert torch.equal(answer(other), before)
    train(other.module if how == "average" else other)
    assert not torch.equal(answer(other), before)
    assert torch.equal(answer(net), before), "the copy has weights and gates of its own"


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_saved_weights_and_alphas_make_the_same_supernet(name: str, form: str) -> None:
    net, other = supernet(name, form), supernet(name, form)
    train(net)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    assert not torch.equal(answer(other), answer(net))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(answer(other), answer(net))


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_supernet_goes_to_other_numbers_and_modes_and_back(name: str, form: str) -> None:
    net = supernet(name, form)
    net(X)
    wanted = answer(net)
    assert not any(each.training for each in net.modules())
    assert answer(net.bfloat16().to(memory_format=torch.channels_last).float()).isfinite().all()  # type: ignore[call-overload]
    for dtype in (torch.float64, torch.bfloat16):
        net = supernet(name, form).to(dtype)
        net.moment = StepContext(0.5, torch.Generator().manual_seed(5))
        assert net.train()(X.to(dtype)).dtype == dtype
    assert torch.allclose(answer(supernet(name, form).double().float()), wanted, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_an_average_of_the_weights_follows_the_training(name: str) -> None:
    net = supernet(name, "plain")
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    average.update_parameters(net)
    before = [each.detach().clone() for each in net.parameters()]
    train(net)
    average.update_parameters(net)
    for mean, old, new in zip(average.module.parameters(), before, net.parameters(), strict=True):
        torch.testing.assert_close(mean, (old + new) / 2)
    assert answer(average).isfinite().all()


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_copy_of_a_path_computes_the_path(name: str, form: str) -> None:
    net, tree = supernet(name, form), space()
    net.take(tree, sample(tree, Random(0)))
    for how in ("deepcopy", "pickle"):
        assert torch.equal(answer(COPIES[how](net)), answer(net))


def test_a_copy_of_the_weights_alone_computes_what_they_computed_last() -> None:
    net = supernet("Darts", "grouped")
    last = net(X)
    copied = copy.deepcopy(net.model)
    assert torch.equal(copied(X), last)


def test_cells_that_are_computed_again_can_be_copied() -> None:
    net = supernet("Darts", "plain")
    layers: Any = net.model.get_submodule("layers")
    layers[0] = Recomputed(layers[0])
    train(net)
    net(X)
    assert torch.equal(answer(copy.deepcopy(net)), answer(net))
