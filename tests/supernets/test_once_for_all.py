"""Once-for-all: phases of a store of elastic weights, its teacher, transformed kernels; distillation from a trained network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from cut_off import scores_of_search
from killing import same_tensors, supernet_searched_whole_and_killed
from torch import Tensor

from nas.data import Augmentation, Digits
from nas.evaluation.evaluator import Task
from nas.records import RecordError
from nas.space import decisions, first_member, sample
from nas.supernets.big_nas import BigNas
from nas.supernets.bilevel import BatchOutcome
from nas.supernets.elastic import ElasticStore
from nas.supernets.elastic_method import Elastic, ElasticNet, ElasticStep
from nas.supernets.method import Phase
from nas.supernets.once_for_all import OnceForAll
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.supernet_trainer import SupernetTrainer
from nas.supernets.uniform_elastic import UniformElastic
from nas.training import seeded
from nas.training.distillation import Distillation
from nas.training.peers import Peers
from search_spaces.mobile import mobile

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = mobile((4, 8), (1, 2), depth=2, kernels=(3, 5, 7), expansions=(2.0, 3.0), squeezes=(0.0,), last=8)
TASK = Task(SPACE, lambda network: network, {}, (1, 8, 8))
DECLARED = SupernetSearch(
    OnceForAll(candidates=4),
    Digits(),
    epochs=4,
    weights=WeightsRecipe(batch=50, lr=0.1, channels_last=False, augmentation=Augmentation(crop_pad=1)),
    alphas=AlphasRecipe(images=100),
    images=150,
)
EXPERIMENT = """
space: {mobile: {widths: [4, 8], strides: [1, 2], depth: 1, kernels: [3, 5], expansions: [2, 3], last: 8}}
supernet:
  method: {OnceForAll: {kernel_transforms: true}}
  data: Digits
  epochs: 8
  images: 200
  alphas: {images: 100}
  weights: {batch: 50, lr: 0.1}
strategy: RandomSearch
rules: {budget: {evaluations: 4}}
"""


def net_of(method: Elastic) -> ElasticNet:
    torch.manual_seed(0)
    return ElasticNet(SPACE, lambda network: network, method, (1, 8, 8)).double()


@cache
def untouched() -> ElasticNet:
    """Return a net that no test changes."""
    return net_of(OnceForAll())


def of_kind(part: str) -> set[str]:
    return {name for name in decisions(SPACE, untouched().model.largest) if name.endswith(part)}


# ---------------------------------------------------------------------------------------------------- phases


def test_what_a_choice_changes_is_found_from_the_networks() -> None:
    sizes = untouched().model.sizes
    assert {name for name, found in sizes.items() if found == {"kernel"}} == of_kind("/kernel")
    assert {name for name, found in sizes.items() if found == {"depth"}} == of_kind("/stands")
    assert {name for name, found in sizes.items() if found == {"width"}} == of_kind("/expansion")
    assert {name for name, found in sizes.items() if not found} == of_kind("/squeeze"), "of one option each"


@pytest.mark.parametrize(
    ("phase", "free"),
    [(0, ()), (1, ("/kernel",)), (2, ("/kernel", "/stands")), (3, ("/kernel", "/stands", "/expansion"))],
)
def test_choices_that_are_not_free_are_as_in_the_largest(phase: int, free: tuple[str, ...]) -> None:
    net, method, rng = untouched(), OnceForAll(), Random(0)
    largest = decisions(SPACE, net.model.largest)
    varied = set[str]()
    for _ in range(200):
        drawn = decisions(SPACE, method.sample(net, phase, rng))
        varied |= {name for name in drawn.keys() & largest.keys() if drawn[name] != largest[name]}
    assert varied == {name for name in largest if name.endswith(free)} - of_kind("/squeeze") if free else not varied


def test_phases_are_equally_long() -> None:
    assert [OnceForAll().phase(epoch / 8) for epoch in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    method = OnceForAll(frees=(("kernel", "depth"), ("width",)), samples=(1, 1))
    assert [method.phase(epoch / 6) for epoch in range(6)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"samples": (1, 2)}, "samples has 2 phases, and frees has 3: give a number for each"),
        ({"frees": (("kernel",), ("depth",)), "samples": (1, 1)}, "give each of kernel, depth, width once"),
        ({"frees": (("kernel",), ("kernel",), ("depth", "width"))}, "give each of kernel, depth, width once"),
    ],
)
def test_phases_that_free_not_all_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match=says):
        OnceForAll(**settings)


# ---------------------------------------------------------------------------------------------------- gradients


def log_softmax(logits: Tensor) -> Tensor:
    return logits - logits.exp().sum(1, keepdim=True).log()


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.99])
def test_the_gradients_are_those_of_labels_and_of_the_teacher(progress: float) -> None:
    net, method = net_of(OnceForAll()), OnceForAll()
    x, y = torch.randn(6, 1, 8, 8, dtype=torch.double), torch.tensor([0, 1, 2, 3, 4, 5])
    taught, ran = torch.randn(6, 10, dtype=torch.double), list[Any]()

    def run(architecture: Any) -> Tensor:
        ran.append(architecture)
        logits: Tensor = net.model(x, architecture)
        return logits

    method.add_gradients(
        ElasticStep(net, run, lambda logits: BatchOutcome.of(logits, y), lambda: taught, Random(3), progress)
    )
    phase = method.phase(progress)
    rng = Random(3)
    assert ran == (
        [method.sample(net, phase, rng) for _ in range((1, 2, 4)[phase - 1])] if phase else [net.model.largest]
    )
    gradients = [each.grad for each in net.model.parameters() if each.grad is not None]
    loss = torch.zeros((), dtype=torch.double)
    for architecture in ran:
        found = log_softmax(net.model(x, architecture))
        loss = loss - found[range(6), y].mean()
        if phase:
            loss = loss - (log_softmax(taught).exp() * found).sum(1).mean()
    expected = torch.autograd.grad(loss, list(net.model.parameters()), allow_unused=True)
    torch.testing.assert_close(gradients, [each for each in expected if each is not None], rtol=1e-9, atol=1e-11)


def test_a_uniform_step_is_that_of_one_random_architecture_on_labels() -> None:
    net = net_of(UniformElastic())
    x, y, ran = torch.randn(6, 1, 8, 8, dtype=torch.double), torch.arange(6), list[Any]()

    def run(architecture: Any) -> Tensor:
        ran.append(architecture)
        logits: Tensor = net.model(x, architecture)
        return logits

    step = ElasticStep(net, run, lambda logits: BatchOutcome.of(logits, y), lambda: x, Random(3), 0.5)
    outcome = UniformElastic().add_gradients(step)
    assert ran == [sample(SPACE, Random(3))]
    assert float(outcome.loss) == pytest.approx(float(-log_softmax(net.model(x, ran[0]).detach())[range(6), y].mean()))


def test_the_teacher_is_the_largest_as_it_was() -> None:
    net = net_of(OnceForAll())
    x = torch.randn(6, 1, 8, 8, dtype=torch.double)
    before = net.model.train()(x, net.model.largest).detach()
    teacher = net.keep_teacher()
    with torch.no_grad():
        for each in net.model.parameters():
            each.mul_(0.5)
        assert net.keep_teacher() is teacher
        torch.testing.assert_close(teacher(x), before, rtol=0, atol=1e-12)
    assert not any(each.requires_grad for each in teacher.parameters())


# ---------------------------------------------------------------------------------------------------- kernels


def transformed() -> ElasticStore:
    torch.manual_seed(0)
    return ElasticStore(SPACE, lambda network: network, (1, 8, 8), kernel_transforms=True).double()


def matrices(store: ElasticStore) -> dict[str, Tensor]:
    return {name: each for name, each in store.named_parameters() if each.dim() == 2 and "x" in name.rpartition(":")[2]}


def test_identities_leave_the_cropped_kernel() -> None:
    store, plain = transformed(), untouched().model
    assert {each.shape for each in matrices(store).values()} == {(9, 9), (25, 25)}
    for seed in range(3):
        member = sample(SPACE, Random(seed))
        found, expected = store.tensors(member), plain.tensors(member)
        assert all(torch.equal(each, expected[name]) for name, each in found.items())


def test_a_small_kernel_is_transformed_twice_and_a_large_one_never() -> None:
    store, rng = transformed(), np.random.default_rng(0)
    for each in matrices(store).values():
        each.data = torch.from_numpy(rng.normal(size=each.shape))
    name = next(
        each for each in store.tensors(store.largest) if "depthwise" in each or each.endswith("body.1.0.weight")
    )
    whole = store.tensors(store.largest)[name].detach().numpy()
    assert whole.shape[2:] == (7, 7)
    small = first_member(SPACE)
    found = store.tensors(small)[name].detach().numpy()
    assert found.shape[2:] == (3, 3)
    place = next(
        key
        for key, each in store.named_parameters()
        if each.shape == whole.shape and np.array_equal(each.detach(), whole)
    )
    held = dict(store.named_parameters())
    five = whole[:, :, 1:6, 1:6].reshape(*whole.shape[:2], 25) @ held[f"{place}:5x5"].detach().numpy()
    three = five.reshape(*whole.shape[:2], 5, 5)[:, :, 1:4, 1:4].reshape(*whole.shape[:2], 9)
    three = (three @ held[f"{place}:3x3"].detach().numpy()).reshape(*whole.shape[:2], 3, 3)
    np.testing.assert_allclose(found, three[: len(found)], rtol=0, atol=1e-12)


def test_a_member_with_transformed_kernels_is_an_ordinary_network() -> None:
    store = transformed().eval()
    with torch.no_grad():
        for each in matrices(store).values():
            each.add_(0.1 * torch.randn_like(each))
    x = torch.randn(4, 1, 8, 8, dtype=torch.double)
    for seed in range(3):
        member = sample(SPACE, Random(seed))
        torch.testing.assert_close(store.take_out(member)(x), store(x, member), rtol=0, atol=1e-12)
    store(x, first_member(SPACE)).sum().backward()
    learnt = [name for name, each in matrices(store).items() if each.grad is not None and each.grad.abs().sum() > 0]
    assert {name.rpartition(":")[2] for name in learnt} == {"3x3", "5x5"}
    assert matrices(store).keys() <= store.state_dict().keys()


# ---------------------------------------------------------------------------------------------------- resuming


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_search_that_was_cut_off_in_any_phase_resumes_bit_for_bit(epochs: int, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    assert scores_of_search(DECLARED, TASK, cut, tmp_path / "cut.pt", stop_after=epochs) is None
    assert scores_of_search(DECLARED, TASK, whole) == scores_of_search(DECLARED, TASK, cut, tmp_path / "cut.pt")
    assert (whole / "0.safetensors").read_bytes() == (cut / "0.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("epochs", [3, 5, 7])
def test_a_killed_search_resumes_to_the_same(epochs: int, tmp_path: Path) -> None:
    file = tmp_path / "ofa.yaml"
    file.write_text(EXPERIMENT, encoding="utf-8")
    whole, cut = supernet_searched_whole_and_killed(file, tmp_path, epochs)
    for name in ("supernets/0.safetensors", "best.safetensors"):
        assert same_tensors(whole / name, cut / name)


# ---------------------------------------------------------------------------------------------------- a trained teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, nas: Callable[..., Any]) -> Path:
    """Return the folder of a network that was trained on digits for a moment."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    network = "network(stem=conv3-4, head=classifier(classes=10))[conv3-8/2]"
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text("data: Digits\nrecipe: {epochs: 1, batch: 50, drop_path: 0, augmentation: {cutout: 0}}\n")
    done = nas("train", network, "--recipe", recipe, "images=150", "--run-dir", folder)
    assert done.returncode == 0, done
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("method", [BigNas(), OnceForAll(), UniformElastic()])
def test_a_trained_network_teaches(method: Elastic, teacher: Path) -> None:
    how = Distillation(str(teacher), temperature=2.0, alpha=0.7)
    declared = replace(DECLARED, method=method, weights=replace(DECLARED.weights, distillation=how))
    with seeded(0):
        net = ElasticNet(SPACE, lambda network: network, method, (1, 8, 8))
    turns = SupernetTrainer(net, declared, Phase(method, 4), declared.split(), 0, Peers())
    x, y = turns.fixed_batch(0)
    assert turns.teacher is not None
    with torch.no_grad():
        logits, taught = net.train()(x), turns.teacher(x)
        plain = -log_softmax(logits)[range(len(y)), y].mean()
        own, theirs = log_softmax(logits / 2), log_softmax(taught / 2)
        expected = 0.3 * plain + 0.7 * 4 * (theirs.exp() * (theirs - own)).sum(1).mean()
        assert float(turns.outcome((x, y)).loss) == pytest.approx(float(expected), rel=1e-5)
    turns.epoch(0, 0)
    assert not any(each.requires_grad and each.grad is not None for each in turns.teacher.parameters())


@pytest.mark.slow
def test_a_teacher_of_other_images_is_refused(teacher: Path) -> None:
    how = Distillation(str(teacher))
    declared = replace(DECLARED, weights=replace(DECLARED.weights, distillation=how), images=140)
    net = ElasticNet(SPACE, lambda network: network, OnceForAll(), (1, 8, 8))
    other = replace(declared.split(), classes=tuple("abcdefghij"))
    with pytest.raises(
        RecordError, match=r"the teacher .* was trained on images .*: give a teacher that was trained on"
    ):
        SupernetTrainer(net, declared, Phase(OnceForAll(), 4), other, 0, Peers())
