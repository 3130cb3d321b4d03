"""Zero-cost proxies: what holds for every one that is found, identities that fix their definitions, and searches by them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from cifar import unpacked
from scipy.linalg import hadamard
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional
from toy_evaluators import ends

from nas.building import build
from nas.data import Cifar10, Digits
from nas.evaluation.costs import network_costs
from nas.evaluation.evaluator import Job
from nas.evaluation.evaluator_chain import EvaluatorChain
from nas.evaluation.proxies import Proxies, Proxy
from nas.evaluation.proxies.epe_nas import EpeNas
from nas.evaluation.proxies.fisher import Fisher
from nas.evaluation.proxies.grad_norm import GradNorm
from nas.evaluation.proxies.grasp import Grasp
from nas.evaluation.proxies.jacob_cov import JacobCov
from nas.evaluation.proxies.l2_norm import L2Norm
from nas.evaluation.proxies.nwot import Nwot
from nas.evaluation.proxies.plain import Plain
from nas.evaluation.proxies.snip import Snip
from nas.evaluation.proxies.synflow import Synflow
from nas.evaluation.proxies.zen import Zen
from nas.evaluation.training import Training
from nas.history import Limit
from nas.plain import from_plain
from nas.records import RecordError, record, record_classes, to_plain
from nas.testing.evaluators import check_evaluator, performed, task_for
from nas.training import Recipe, seeded
from search_spaces import darts, nasbench201
from search_spaces.nasbench201 import from_edges, from_string
from search_spaces.resnet import basic, cifar

Call = Callable[..., Any]

PROXIES = [
    *(cls() for cls in record_classes(Proxy).values() if cls.__module__.startswith("nas.")),
    Nwot("all"),
    Fisher("channel"),
]

NAMES = {"synflow", "nwot", "jacob_cov", "epe_nas", "grad_norm", "snip", "plain", "grasp", "fisher", "zen", "l2_norm"}

every_proxy = pytest.mark.parametrize("proxy", PROXIES, ids=lambda each: each.name)

SMALL = {"channels": 4, "cells_per_stage": 1}

MIXED = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"
DEAD_BRANCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
DISCONNECTED = "|none~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|none~2|"


def batch(number: int = 32, shape: tuple[int, int, int] = (3, 16, 16), classes: int = 10) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    return torch.randn(number, *shape, generator=random), torch.arange(number) % classes


def cell_network(text: str, seed: int = 0) -> nn.Module:
    with seeded(seed):
        return build(nasbench201.network(from_string(text), **SMALL), (3, 16, 16))


def scale_invariant() -> nn.Module:
    """Return a network whose convolutions all stand before a batch norm, and which has no other weights.

    The epsilon of a norm would make it depend a little on the scale of what it reads.
    """
    with seeded(1):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8, eps=1e-12),
            nn.ReLU(),
            nn.Conv2d(8, 10, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(10, eps=1e-12),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


# ---------------------------------------------------------------------------------------------------- every proxy


def test_there_are_the_proxies_of_the_field() -> None:
    assert {each.name for each in PROXIES} == {*NAMES, "nwot_all", "fisher_per_channel"}


@every_proxy
@pytest.mark.parametrize("text", [MIXED, DEAD_BRANCH], ids=["mixed", "dead branch"])
def test_a_score_is_finite_and_a_function_of_the_seed(proxy: Proxy, text: str) -> None:
    scores = [proxy.score(cell_network(text, seed), *batch(), seed=seed) for seed in (0, 0, 1)]
    assert all(map(math.isfinite, scores))
    assert scores[0] == scores[1]
    assert scores[0] != scores[2], "other weights"


@every_proxy
def test_a_residual_network_has_a_score(proxy: Proxy) -> None:
    with seeded(0):
        model = build(cifar(basic(), 1), (3, 16, 16))
    assert math.isfinite(proxy.score(model, *batch()))


@every_proxy
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_network_stays_as_it_is(proxy: Proxy, training: bool) -> None:
    model, (images, labels) = cell_network(MIXED).train(training), batch()
    first = next(model.parameters())
    first.grad = torch.ones_like(first)
    model.register_forward_hook(lambda module, inputs, output: None)
    before, hooks = deepcopy(model.state_dict()), {name: _hooks(part) for name, part in model.named_modules()}
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    proxy.score(model, images, labels)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {name: _hooks(part) for name, part in model.named_modules()} == hooks
    assert all(part.training is training for part in model.modules())
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(weight.grad is None for weight in list(model.parameters())[1:])
    assert torch.equal(images, batch()[0])
    assert not images.requires_grad
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def _hooks(part: nn.Module) -> list[int]:
    return [len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks)]


IN_ANOTHER_PROCESS = """
import json, torch
from nas.data import Cifar10, Digits
from nas.evaluation.evaluator import Job
from nas.evaluation.proxies import Proxies
from nas.testing.evaluators import performed, task_for
from search_spaces.nasbench201 import from_edges, from_string
torch.set_num_threads({threads})
evaluator = Proxies(Digits(), {names}, 16)
job = Job(0, from_string({cell!r}), 5)
print(json.dumps(performed(evaluator.evaluate(task_for(evaluator, "nasbench201", {network}), job))[1]))
"""


@pytest.mark.slow
def test_another_process_has_the_same_scores(root: Path) -> None:
    evaluator = Proxies(Digits(), (*sorted(NAMES), "params"), 16)
    job = Job(0, from_string(MIXED), 5)
    _, scores = performed(evaluator.evaluate(task_for(evaluator, "nasbench201", SMALL), job))
    code = IN_ANOTHER_PROCESS.format(names=evaluator.names, cell=MIXED, network=SMALL, threads=torch.get_num_threads())
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == scores


@every_proxy
def test_auxiliary_heads_leave_a_score_as_it_is(proxy: Proxy) -> None:
    models = []
    for auxiliary in (False, True):
        with seeded(0):
            cells = darts.family.published["DARTS_V2"]
            models.append(build(darts.network(cells, channels=4, layers=3, auxiliary=auxiliary), (3, 32, 32)))
    models[1].load_state_dict(models[0].state_dict(), strict=False)
    first, second = (proxy.score(model, *batch(8, (3, 32, 32), 4)) for model in models)
    assert first == second


@every_proxy
def test_dropout_leaves_a_score_as_it_is(proxy: Proxy) -> None:
    model = cell_network(MIXED)
    dropping = deepcopy(model)
    head: Any = dropping.head
    head.insert(len(head) - 1, nn.Dropout(0.9))
    assert proxy.score(dropping, *batch()) == proxy.score(model, *batch())


@every_proxy
def test_a_disconnected_cell_is_a_failure_with_a_reason(proxy: Proxy) -> None:
    model = cell_network(DISCONNECTED)
    if proxy == L2Norm():
        assert proxy.score(model, *batch()) > 0
        return
    with pytest.raises(RecordError, match=f"no path from input to output, and so no {proxy.name}"):
        proxy.score(model, *batch())


# ----------------------------------------------------------------------------------------------------- identities


def test_synflow_of_a_chain_is_the_layers_times_the_output() -> None:
    """Each of L layers without bias carries the whole flow R, that of the network with absolute weights."""
    with seeded(0):
        layers = [nn.Linear(12, 20, bias=False), nn.Linear(20, 6, bias=False), nn.Linear(6, 10, bias=False)]
    chain = nn.Sequential(nn.Flatten(), layers[0], nn.BatchNorm1d(20), nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    signal = torch.ones(12, dtype=torch.float64)
    for layer in layers:
        signal = layer.weight.detach().double().abs() @ signal
    score = Synflow().score(chain, *batch(4, (3, 2, 2)))
    assert score == pytest.approx(math.log(3 * float(signal.sum())), rel=1e-14)


def test_synflow_is_finite_where_float32_is_not() -> None:
    with seeded(0):
        deep = nn.Sequential(
            nn.Flatten(), *(nn.Linear(768, 768) for _ in range(40)), nn.LayerNorm(768), nn.Linear(768, 10)
        )
    assert math.log(torch.finfo(torch.float32).max) < Synflow().score(deep, *batch(4)) < 700


def test_plain_of_a_convolution_before_a_batch_norm_is_zero() -> None:
    model = scale_invariant()
    assert abs(Plain().score(model, *batch())) < 1e-6
    assert Snip().score(model, *batch()) > 0.1


def test_grasp_of_convolutions_before_a_batch_norm_is_the_squared_gradient() -> None:
    model, (images, labels) = scale_invariant(), batch()
    functional.cross_entropy(deepcopy(model)(images), labels).backward()
    twin = deepcopy(model)
    functional.cross_entropy(twin(images), labels).backward()
    convs = [twin[0].weight, twin[3].weight]  # type: ignore[index]
    squared = sum(float(weight.grad.square().sum()) for weight in convs)
    assert Grasp().score(model, images, labels) == pytest.approx(squared, rel=1e-3)
    norms = sum(float(weight.grad.norm()) for weight in convs)
    assert GradNorm().score(model, images, labels) == pytest.approx(norms, rel=1e-6)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((-1.0, 1.0, -1.0, 1.0), 2 * math.log(4)),
        ((1.0, -1.0, -1.0, 1.0), math.log(12)),
        ((1.0, -1.0, 1.0, -1.0), -math.inf),
    ],
    ids=["opposite", "half agree", "equal"],
)
def test_nwot_of_two_images_with_four_units(second: tuple[float, ...], expected: float) -> None:
    model = nn.Sequential(nn.Flatten(), nn.ReLU())
    images = torch.tensor([[1.0, -1.0, 1.0, -1.0], second]).view(2, 4, 1, 1)
    labels = torch.tensor([0, 1])
    assert Nwot().measure(model, images, labels) == pytest.approx(expected)
    if expected == -math.inf:
        with pytest.raises(RecordError, match="nwot is -inf"):
            Nwot().score(model, images, labels)


def test_nwot_counts_the_relus_that_feed_the_output() -> None:
    images, labels = batch()
    dead, live = cell_network(DEAD_BRANCH), cell_network(MIXED)
    assert Nwot().score(dead, images, labels) < Nwot("all").score(dead, images, labels)
    assert Nwot().score(live, images, labels) == Nwot("all").score(live, images, labels)


class Square(nn.Module):
    """A network whose gradients with respect to an image are the image itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).square() / 2


def test_jacob_cov_of_uncorrelated_rows_is_minus_their_number() -> None:
    rows = torch.from_numpy(hadamard(64)[1:33]).float()
    assert JacobCov().score(Square(), rows.view(32, 1, 8, 8), torch.zeros(32)) == pytest.approx(-32, abs=1e-6)
    with pytest.raises(RecordError, match="jacob_cov is nan"):
        JacobCov().score(Square(), torch.zeros(32, 1, 8, 8), torch.zeros(32))


def test_epe_nas_compares_images_of_one_class() -> None:
    """Per class of two uncorrelated images: 2 log(1 + k) on the diagonal, 2 log k off it."""
    rows, labels = torch.from_numpy(hadamard(64)[1:5]).float().view(4, 1, 8, 8), torch.tensor([7, 7, 9, 9])
    each = 2 * (math.log(1 + 1e-5) + math.log(1e-5))
    assert EpeNas().score(Square(), rows, labels) == pytest.approx(2 * -each)
    assert EpeNas().score(Square(), rows, torch.tensor([7, 7, 9, 8])) == pytest.approx(-each), "one image is none"
    with pytest.raises(RecordError, match="the batch has no two"):
        EpeNas().score(Square(), rows, torch.arange(4))


def test_epe_nas_compares_many_classes_with_each_other() -> None:
    """Of two classes the difference is counted both ways, and divided by two."""
    rows = torch.randn(5, 1, 11, 10, generator=torch.Generator().manual_seed(0))
    parts = [part.flatten(1).double() for part in (rows[:2], rows[2:])]
    means = [float((part.corrcoef().abs() + 1e-5).log().sum()) / len(part) for part in parts]
    score = EpeNas().score(Square(), rows, torch.tensor([7, 7, 9, 9, 9]))
    assert score == pytest.approx(abs(means[0] - means[1]))


def test_fisher_is_that_of_channels_or_of_their_weights() -> None:
    with seeded(0):
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
        )
    images, labels = batch()
    conv = model[0](images)
    logits = model[4](functional.relu(conv).mean((2, 3)))
    found = torch.autograd.grad(functional.cross_entropy(logits, labels), [conv, logits])
    parts = [(a * g).flatten(2).sum(2) if a.dim() == 4 else a * g for a, g in zip((conv, logits), found, strict=True)]
    sums = [float(part.detach().square().mean(0).sum() / 2) for part in parts]
    assert Fisher("channel").score(model, images, labels) == pytest.approx(sum(sums), rel=1e-5)
    assert Fisher().score(model, images, labels) == pytest.approx(27 * sums[0] + 4 * sums[1], rel=1e-5)


def test_l2_norm_is_a_sum_over_layers() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 2), nn.Flatten(), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[2].weight.fill_(-3.0)
    assert L2Norm().score(model, torch.zeros(2, 1, 2, 2), torch.zeros(2)) == 5


def test_zen_does_not_depend_on_the_images_or_the_weights() -> None:
    images, labels = batch()
    scores = [
        Zen().score(cell_network(MIXED, seed), x, labels, 4) for seed, x in ((0, images), (1, torch.zeros_like(images)))
    ]
    assert scores[0] == scores[1]
    assert scores[0] != Zen().score(cell_network(MIXED), images, labels, 5)


def test_a_network_that_a_proxy_cannot_score_is_a_failure_with_a_reason() -> None:
    with seeded(0):
        smooth = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    with pytest.raises(RecordError, match="no ReLU module, whose units nwot counts"):
        Nwot().score(smooth, *batch())
    with pytest.raises(RecordError, match="Sequential has no `head`"):
        Zen().score(smooth, *batch())


# ------------------------------------------------------------------------------------------------------ evaluator


def test_it_is_an_evaluator_as_others() -> None:
    check_evaluator(Proxies(Digits(), (*sorted(NAMES - {"plain", "snip"}), "params", "macs"), 16), "nasbench201", SMALL)


def test_names_are_read_and_written() -> None:
    plain = {"Proxies": {"data": "Digits", "names": ["synflow", {"Fisher": {"per": "channel"}}, "macs"]}}
    evaluator = from_plain(plain, Proxies)
    assert evaluator.scores() == ("synflow", "fisher_per_channel", "macs")
    assert from_plain(to_plain(evaluator), Proxies) == evaluator
    assert Proxies(Digits()).scores() == ("synflow", "nwot")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("synflo",), "no proxy 'synflo': did you mean 'synflow'"),
        ((), "names is empty"),
        (("fisher", Fisher()), "names has fisher twice"),
        (("macs", "macs"), "names has macs twice"),
    ],
)
def test_names_that_are_none_are_refused(names: tuple[Any, ...], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        Proxies(Digits(), names)


def test_each_proxy_is_measured_as_if_it_were_alone() -> None:
    together = Proxies(Digits(), ("zen", "synflow", "jacob_cov", "params"), 16)
    task = task_for(together, "nasbench201", SMALL)
    job = Job(0, from_string(MIXED), 5)
    _, scores = performed(together.evaluate(task, job))
    assert tuple(scores) == together.scores()
    for name in together.scores():
        assert performed(Proxies(Digits(), (name,), 16).evaluate(task, job))[1] == {name: scores[name]}
    assert together.costs(task, job.architecture) == {"params": scores["params"]}
    assert not Proxies(Digits()).costs(task, job.architecture)


def test_the_costs_of_a_disconnected_cell_are_known() -> None:
    evaluator = Proxies(Digits(), ("params", "macs", "l2_norm"), 16)
    task, job = task_for(evaluator, "nasbench201", SMALL), Job(0, from_string(DISCONNECTED), 5)
    _, scores = performed(evaluator.evaluate(task, job))
    assert scores["params"] == network_costs(task.network(job.architecture), (1, 8, 8))["params"]


@record
class Depth(Proxy):
    """The number of modules."""

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        return len(list(model.modules()))


def test_a_proxy_of_ones_own_has_a_name() -> None:
    evaluator = Proxies(Digits(), ("depth",), 4)
    job = Job(0, from_string(MIXED), 5)
    assert performed(evaluator.evaluate(task_for(evaluator, "nasbench201", SMALL), job))[1]["depth"] > 10


def test_a_chain_trains_what_a_proxy_lets_through() -> None:
    training = Training(Digits(), Recipe(epochs=1, batch=50, drop_path=0.0), validation=200, images=100)
    chain = EvaluatorChain((Proxies(Digits(), batch=16), training))
    task, job = task_for(chain, "nasbench201", SMALL), Job(0, from_string(MIXED), 5)
    _, scores = performed(chain.evaluate(task, job))
    assert {"synflow", "nwot", "validation_top1_percent", "params"} <= set(scores)
    limited = replace(task, limits={"synflow": Limit(least=scores["synflow"] + 1)})
    assert set(performed(chain.evaluate(limited, job))[1]) == {"synflow", "nwot"}


SEARCH = """
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: {RegularizedEvolution: {population: 4, sample: 2}}
evaluator: {Proxies: {names: [synflow, params], data: Digits, batch: 16}}
rules: {budget: {evaluations: 12}, objective: synflow, duplicates: evaluate}
"""


def test_a_search_by_a_proxy(tmp_path: Path, call: Call) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH)
    answer = call("search", tmp_path / "search.yaml", "--run-dir", tmp_path / "run")
    assert answer.returncode == 0, answer.stderr
    finished = ends(tmp_path / "run")
    assert len(finished) == 12
    assert all(each.get("failure") or set(each["scores"]) == {"synflow", "params"} for each in finished)
    assert "synflow" in answer.stdout


def test_an_unknown_proxy_is_named_with_its_line(tmp_path: Path, call: Call) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH)
    answer = call("search", tmp_path / "search.yaml", "evaluator.names=[nwott]", "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert "no proxy 'nwott': did you mean 'nwot'" in answer.stderr


# --------------------------------------------------------------------------------------------- published orders

CELLS, ELSEWHERE = 30, 40
"""The number of cells here, which take three minutes, and there."""

EXPECTED = {
    "synflow": 0.756,
    "nwot": 0.790,
    "nwot_all": 0.728,
    "jacob_cov": 0.672,
    "epe_nas": 0.631,
    "grad_norm": 0.637,
    "snip": 0.627,
    "fisher": 0.539,
    "zen": 0.257,
    "l2_norm": 0.712,
    "params": 0.790,
    "macs": 0.790,
}
"""Rank correlations with accuracy that another program measured on other cells."""


@pytest.fixture(scope="module")
def cifar_data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with CIFAR-10, as NAS_DATA is."""
    return unpacked(shared_data, tmp_path_factory.mktemp("cifar"))


def connected_cells(table: Any, seed: int) -> Mapping[Any, float]:
    """Return cells with a path from input to output, and their accuracy after 200 epochs on CIFAR-10's validation images."""
    names = list(nasbench201.OPERATIONS)
    accuracy = table["values"][:, list(table["columns"]).index("c10_valid200")]
    found = {}
    for row in Random(seed).sample(range(len(accuracy)), 2 * CELLS):
        operations = [names[i] for i in table["ops"][row]]
        pairs = iter(operations)
        cell = from_edges([[(next(pairs), source) for source in range(node)] for node in (1, 2, 3)])
        if accuracy[row] > 11:  # ten classes: cells without a path are right on 10 %
            found[cell] = float(accuracy[row])
    return dict(list(found.items())[:CELLS])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_proxies_order_cells_of_nasbench201_as_measured_elsewhere(
    shared_data: Path, cifar_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GraSP, which takes as long as all others together, and plain, which is no proxy, are left out."""
    monkeypatch.setenv("NAS_DATA", str(cifar_data))
    names = tuple(Nwot("all") if name == "nwot_all" else name for name in EXPECTED)
    evaluator = Proxies(Cifar10(), names)
    task = task_for(evaluator, "nasbench201", {})
    cells = connected_cells(np.load(shared_data / "nasbench201.npz"), 2026)
    scores = [performed(evaluator.evaluate(task, Job(0, cell, seed)))[1] for seed, cell in enumerate(cells)]
    own = {name: spearmanr([each[name] for each in scores], list(cells.values())).statistic for name in EXPECTED}
    print(f"\n{len(cells)} cells: " + ", ".join(f"{name} {own[name]:+.3f} ({EXPECTED[name]:+.3f})" for name in own))
    for name, expected in EXPECTED.items():
        # both are samples: two deviations of the difference of their Fisher transforms (Bonett and Wright 2000)
        tolerance = 2 * math.sqrt((1 + expected**2 / 2) * (1 / (CELLS - 3) + 1 / (ELSEWHERE - 3)))
        assert abs(math.atanh(own[name]) - math.atanh(expected)) < tolerance, name
