"""Each method of search does exactly what its paper says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import permutations
from random import Random
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Dirichlet
from torch.nn import functional

from nas.building import BuildError
from nas.choice import Choice, choices, one_of
from nas.operations.conv import Conv
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip, Zero
from nas.records import RecordError
from nas.space import decisions, sample
from nas.supernets.bilevel import BatchOutcome, Step
from nas.supernets.darts import Darts
from nas.supernets.derivation import derive, prune
from nas.supernets.drnas import DrNas
from nas.supernets.enas import Enas, EnasController
from nas.supernets.fair_darts import FairDarts
from nas.supernets.gates import Gates, StepContext
from nas.supernets.gdas import Gdas
from nas.supernets.method import Alphas, Differentiable, Method, divided
from nas.supernets.mixed import Mixed
from nas.supernets.partial import PartialChannels
from nas.supernets.pc_darts import PcDarts
from nas.supernets.pdarts import PDarts, SkipDropout
from nas.supernets.proxyless import Proxyless
from nas.supernets.snas import Snas
from nas.supernets.spos import Spos
from nas.supernets.supernet import Supernet
from nas.topology.cell import Cell, CellModule, Edge
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from search_spaces import darts, fairdarts, nasbench201

pytestmark = pytest.mark.usefixtures("one_thread")


def moment(seed: int = 0, progress: float = 0.0, for_alphas: bool = False) -> StepContext:
    return StepContext(progress, torch.Generator().manual_seed(seed), for_alphas)


def rows(numbers: Sequence[float], repeats: int) -> Tensor:
    """Return the same alphas for many choices: as many draws at once."""
    return torch.tensor(numbers, dtype=torch.float64).repeat(repeats, 1).requires_grad_()


def gumbels(shape: Sequence[int], seed: int) -> Tensor:
    """Draw Gumbel noise as the methods say they do, written here anew."""
    uniform = torch.empty(tuple(shape), dtype=torch.float64)
    return -torch.log(uniform.exponential_(generator=torch.Generator().manual_seed(seed)))


def gradient(weights: Tensor, alphas: Tensor, coefficients: Tensor) -> Tensor:
    (found,) = torch.autograd.grad((weights * coefficients).sum(), alphas)
    return found


def assert_frequencies(counts: Mapping[Any, int] | Tensor, expected: Mapping[Any, float] | Tensor, draws: int) -> None:
    """Check that frequencies lie within five standard deviations."""
    keys = expected.keys() if isinstance(expected, Mapping) else range(len(expected))
    for key in keys:
        p, found = float(expected[key]), int(counts[key]) / draws
        assert abs(found - p) < 5 * math.sqrt(p * (1 - p) / draws) + 1e-9, key


# ---------------------------------------------------------------------------------------------------- PC-DARTS


def test_pc_darts_has_as_many_weights_as_published() -> None:
    with torch.device("meta"):
        net = Supernet(darts.network(darts.darts(), channels=16, layers=8), PcDarts())
        plain = Supernet(darts.network(darts.darts(), channels=16, layers=8), Darts())
    assert sum(weight.numel() for weight in net.model.parameters()) == 299_578
    assert sum(weight.numel() for weight in plain.model.parameters()) == 1_930_618
    alphas, *betas = list(net.policy.parameters())
    assert alphas.numel() == sum(each.numel() for each in plain.policy.parameters()) == 224
    assert sum(each.numel() for each in betas) == 28


def test_pc_darts_mixes_a_part_of_the_channels_and_shuffles_them() -> None:
    x = torch.randn(2, 8, 4, 4)
    y = PartialChannels(_Negated(), 4, 1)(x)
    for channel in range(8):
        group, place = divmod(channel, 2)
        sign = -1 if channel < 2 else 1
        assert torch.equal(y[:, 4 * place + group], sign * x[:, channel])


@pytest.mark.parametrize("size", [4, 5])
def test_pc_darts_pools_what_bypasses_a_strided_mixture(size: int) -> None:
    x = torch.randn(2, 8, size, size)
    y = PartialChannels(nn.AvgPool2d(2, 2, ceil_mode=True), 2, 2)(x)
    assert torch.equal(y[:, 0::2], functional.avg_pool2d(x[:, :4], 2, ceil_mode=True))
    assert torch.equal(y[:, 1::2], functional.max_pool2d(x[:, 4:], 2, ceil_mode=True))


class _Negated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


def test_pc_darts_says_which_width_it_cannot_divide() -> None:
    with pytest.raises(BuildError) as caught:
        Supernet(darts.network(darts.darts(), channels=6, layers=3), PcDarts())
    said = "choice 'normal/0-2' would mix 1/4 of 6 channels: give a width that 4 divides, or another k"
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize(("reads", "concat"), [(1, (1, 2)), (2, (3,))])
def test_pc_darts_mixes_all_channels_of_whole_cells(reads: Any, concat: tuple[int, ...]) -> None:
    """Where the output has other channels than the site asks for, or two inputs are read, none can bypass."""
    cells = [
        Cell(((Edge(0, each),), (Edge(reads - 1, Skip()),)), concat, reads, preprocess="always")
        for each in (Conv(1), Conv(3))
    ]
    stages = (Stage(one_of("cell", cells), 2, 8 // len(concat)),)
    net = Supernet(Network(Stage(Conv(3, "none"), channels=8), stages, Classifier(3)), PcDarts())
    assert not [each for each in net.model.modules() if isinstance(each, PartialChannels)]
    assert net(torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_pc_darts_weighs_the_edges_of_a_node() -> None:
    net = Supernet(darts.network(darts.darts(), channels=4, layers=3), PcDarts())
    for alphas in net.policy.parameters():
        nn.init.normal_(alphas)
    gates = net.policy.gates(moment())
    for choice in net.choices.values():
        weights = gates[choice.name].weights
        assert weights is not None
        assert len(weights) == len(choice.options + choice.supernet_only)
        assert weights.sum().item() == pytest.approx(1)
    node = next(choice for choice in net.choices.values() if choice.name == "normal/4")
    derived = net.policy.strengths()
    best = {
        source: derived["normal/4"][source] * max(derived[f"normal/{source}-4"][:7])
        for source in range(len(node.options))
    }
    architecture = PcDarts().derive(darts.darts(), net.policy, lambda each: 0.0, Random(0))
    kept = {edge.source for edge in architecture.normal.nodes[2]}
    assert kept == set(sorted(best, key=lambda source: -best[source])[:2])


# ---------------------------------------------------------------------------------------------------- GDAS


def test_gdas_computes_one_option_an_edge() -> None:
    net = Supernet(nasbench201.network(nasbench201.nasbench201(), 4, 1), Gdas())
    net.moment = moment()
    mixtures = [each for each in net.model.modules() if isinstance(each, Mixed)]
    calls = [0] * len(mixtures)
    with ExitStack() as stack:
        for i, mixture in enumerate(mixtures):
            for option in mixture.options:
                hook = option.register_forward_hook(lambda *_, i=i: calls.__setitem__(i, calls[i] + 1))
                stack.callback(hook.remove)
        net(torch.randn(2, 3, 8, 8))
    assert calls == [1] * len(mixtures)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 2])
def test_gdas_is_hard_forwards_and_soft_backwards(progress: float, k: int) -> None:
    alphas = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    mixture = Gdas(10.0, 0.5).mix(alphas, k, moment(7, progress))
    perturbed = alphas.detach() + gumbels((5, 4), 7)
    order = perturbed.argsort(1, descending=True)
    expected = torch.zeros(5, 4, dtype=torch.float64)
    for row in range(5):
        expected[row, order[row, :k]] = 1
        assert mixture.active is not None
        assert mixture.active[row] == tuple(sorted(order[row, :k].tolist()))
    assert torch.equal(mixture.weights, expected)
    tau = 10.0 - 9.5 * progress
    p = (perturbed / tau).softmax(1)
    # only what is computed has a gradient to give
    c = torch.randn(5, 4, dtype=torch.float64) * expected
    jacobian = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    assert torch.allclose(gradient(mixture.weights, alphas, c), (jacobian @ c[:, :, None])[:, :, 0] / tau)


def test_gdas_draws_by_the_softmax_of_the_alphas() -> None:
    draws = 20_000
    mixture = Gdas().mix(rows([0.0, 1.0, -1.0], draws), 1, moment())
    assert_frequencies(mixture.weights.sum(0), torch.tensor([0.0, 1.0, -1.0]).softmax(0), draws)


# ---------------------------------------------------------------------------------------------------- SNAS


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_snas_mixes_by_the_concrete_distribution(progress: float) -> None:
    alphas = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    mixture = Snas(2.0, 0.5).mix(alphas, 1, moment(3, progress))
    tau = 2.0 - 1.5 * progress
    expected = torch.exp((alphas + gumbels((5, 4), 3)) / tau)
    expected = expected / expected.sum(1, keepdim=True)
    assert torch.allclose(mixture.weights, expected)
    c = torch.randn(5, 4, dtype=torch.float64)
    assert torch.allclose(gradient(mixture.weights, alphas, c), gradient(expected, alphas, c))


def test_snas_learns_from_the_images_of_the_weights() -> None:
    assert Snas.joint
    assert not Darts.joint


def test_snas_draws_are_nearly_hard_in_the_end() -> None:
    draws = 20_000
    weights = Snas().mix(rows([0.0, 1.0, -1.0], draws), 1, moment(0, 1.0)).weights
    assert (weights.max(1).values > 0.99).double().mean() > 0.9
    counts = functional.one_hot(weights.argmax(1), 3).sum(0)
    assert_frequencies(counts, torch.tensor([0.0, 1.0, -1.0]).softmax(0), draws)


# ---------------------------------------------------------------------------------------------------- DrNAS


def concentration(alphas: Tensor) -> Tensor:
    return torch.where(alphas > 0, alphas + 1, alphas.exp())


def test_drnas_draws_from_the_dirichlet_distribution() -> None:
    draws, numbers = 40_000, [0.5, 0.0, -1.0, 2.0]
    one = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    weights = DrNas().mix(one.expand(draws, 4), 1, moment()).weights
    expected = Dirichlet(concentration(one))
    assert torch.allclose(weights.sum(1), torch.ones(draws, dtype=torch.float64))
    assert torch.allclose(weights.mean(0), expected.mean, atol=0.005)
    assert torch.allclose(weights.var(0), expected.variance, atol=0.005)
    assert torch.allclose(DrNas().strength(one[None])[0], expected.mean)
    for option in range(4):  # the mean of the gradient is the gradient of the mean
        found = torch.autograd.grad(weights[:, option].mean(), one, retain_graph=True)[0]
        mean = torch.autograd.grad(expected.mean[option], one, retain_graph=True)[0]
        assert torch.allclose(found, mean, atol=0.005)


def test_drnas_leaves_the_generator_of_torch_alone() -> None:
    alphas = torch.zeros(3, 4)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = DrNas().mix(alphas, 1, moment(1)).weights
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(DrNas().mix(alphas, 1, moment(1)).weights, first)
    again = moment(1)
    assert not torch.equal(DrNas().mix(alphas, 1, again).weights, DrNas().mix(alphas, 1, again).weights)


def test_drnas_penalises_the_divergence_if_asked() -> None:
    policy = Alphas(DrNas(), {"a": Choice("a", (0, 1, 2)), "b": Choice("b", (0, 1))})
    for alphas in policy.parameters():
        nn.init.normal_(alphas)
    assert DrNas().penalty(policy) is None
    penalty = DrNas(kl=0.5).penalty(policy)
    assert penalty is not None
    expected = 0.0
    for alphas in policy.parameters():
        c = concentration(alphas.detach()).double()
        total = c.sum(1, keepdim=True)
        log_beta = torch.lgamma(total[:, 0]) - torch.lgamma(c).sum(1) - math.lgamma(c.shape[1])
        expected += float((log_beta + ((c - 1) * (torch.digamma(c) - torch.digamma(total))).sum(1)).sum())
    assert penalty.item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_drnas_learns_in_phases_of_more_channels_and_fewer_options() -> None:
    first, second = DrNas(kl=0.1).phases(51, 10)
    assert (first.method, second.method) == (
        DrNas(6, (), (), kl=0.1),
        DrNas(4, (), (), kl=0.1),
    )
    assert [first.epochs, second.epochs] == [26, 25]
    assert [first.options, second.options] == [None, 4]
    assert [first.keep_weights, second.keep_weights] == [False, True]
    assert [first.alphas_from, second.alphas_from] == [10, 10]
    assert len(DrNas(partial=(), options=()).phases(50, 0)) == 1
    with pytest.raises(RecordError, match=r"DrNas\.partial has 1 phases, options has 2: give as many"):
        DrNas(partial=(4,))


def test_an_edge_that_a_path_has_not_passes_nothing_by() -> None:
    """The channels that bypass a mixture belong to its edge, also where edges have no weights of their own."""
    space = darts.darts()
    net, architecture = Supernet(darts.network(space, channels=4, layers=3), DrNas(k=2)), sample(space, Random(0))
    assert "normal/3" not in net.choices
    cell = next(each for each in net.model.modules() if isinstance(each, CellModule))
    shapes: dict[nn.Module, tuple[int, ...]] = {}
    for module in cell.modules():
        module.register_forward_hook(lambda module, _, y: shapes.__setitem__(module, tuple(y.shape)))
    net.take(space, architecture)
    net(torch.randn(2, 3, 8, 8))
    for node, built in zip(architecture.normal.nodes, cell.nodes.children(), strict=True):
        absent = {source for source, edge in enumerate(built.children()) if shapes[edge] == (1, 1, 1, 1)}
        assert absent == set(range(len(list(built.children())))) - {edge.source for edge in node}


# ---------------------------------------------------------------------------------------------------- P-DARTS


def test_pdarts_has_the_published_phases() -> None:
    phases = PDarts().phases(75, 0)
    assert [phase.epochs for phase in phases] == [25, 25, 25]
    assert [phase.options for phase in phases] == [None, 5, 3]
    assert [dict(phase.network) for phase in phases] == [{"layers": 5}, {"layers": 11}, {"layers": 17}]
    assert [phase.alphas_from for phase in phases] == [10, 10, 10]
    assert not any(phase.keep_weights for phase in phases)
    assert [cast(PDarts, phase.method).skip_dropout for phase in phases] == [(0.0,), (0.4,), (0.7,)]
    assert not any(phase.network for phase in PDarts(layers=()).phases(75, 0))


def test_pdarts_says_what_does_not_fit() -> None:
    with pytest.raises(RecordError, match=r"PDarts\.layers has 2 phases, options has 3: give one or more"):
        PDarts(layers=(5, 11))
    with pytest.raises(
        RecordError, match=r"30 epochs in 3 phases are 10 each, and PDarts\.weights_only is 10: give more"
    ):
        PDarts().phases(30, 0)


def test_epochs_are_divided_evenly() -> None:
    assert divided(10, 3) == [4, 3, 3]
    with pytest.raises(RecordError, match="2 epochs are fewer than the 3 phases of the search: give more epochs"):
        divided(2, 3)


def test_pdarts_drops_numbers_of_identities_less_and_less() -> None:
    method = PDarts(layers=(), options=(8,), skip_dropout=(0.4,))
    net = Supernet(darts.network(darts.darts(), channels=4, layers=3), method)
    found = [each for each in net.model.modules() if isinstance(each, SkipDropout)]
    assert len(found) == 14 + 2 * (14 - 8), "one normal cell, and two reductions in which eight edges are strided"
    dropout = found[0]
    epochs = {0: 0.4 * 24 / 25, 9: 0.4 * 15 / 25, 10: 0.4, 15: 0.4 * math.exp(-1), 24: 0.4 * math.exp(-2.8)}
    for epoch, probability in epochs.items():
        dropout.gates.set({}, moment(0, epoch / 25))
        assert dropout.now() == pytest.approx(probability)
    x = torch.ones(1, 1, 100, 100)
    dropout.gates.set({}, moment(0, 0.4))
    torch.manual_seed(0)
    y = dropout(x)
    assert (y == 0).float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert y.max().item() == pytest.approx(1 / 0.6)
    assert torch.equal(dropout.eval()(x), x)
    assert not [
        each for each in Supernet(darts.network(darts.darts(), 4, 3), PDarts()).modules() if type(each) is SkipDropout
    ]


def strengths(favourite: type, space: Any, seed: int = 0) -> dict[str, list[float]]:
    """Return random strengths by which an operation is everywhere the strongest."""
    rng = Random(seed)
    return {
        choice.name: [
            rng.uniform(0.5, 1) if isinstance(option, favourite) else rng.uniform(0, 0.4)
            for option in (*choice.options, *choice.supernet_only)
        ]
        for choice in choices(space).values()
        if choice.k is None
    }


def skips_of(cell: Any) -> list[Any]:
    return [edge for node in cell.nodes for edge in node if isinstance(edge.operation, Skip)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("skips", [0, 2, 5])
def test_pdarts_leaves_few_skips_in_the_normal_cell(skips: int, seed: int) -> None:
    space = darts.darts()
    favoured = strengths(Skip, space, seed)
    plain = derive(space, favoured)
    assert len(skips_of(plain.normal)) == len(skips_of(plain.reduction)) == 8
    found = PDarts(skips=skips).derive_from(space, favoured)
    assert len(skips_of(found.normal)) == skips
    assert found.reduction == plain.reduction
    assert decisions(space, found)
    # those that are left are the strongest of those that were there
    place = darts.OPERATIONS.index(Skip())
    mine = {
        (node, edge.source): favoured[f"normal/{edge.source}-{node + 2}"][place]
        for node, edge in all_edges(plain.normal)
    }
    strongest = sorted(mine, key=lambda key: -mine[key])[:skips]
    assert {(node, edge.source) for node, edge in all_edges(found.normal) if type(edge.operation) is Skip} == set(
        strongest
    )


def all_edges(cell: Any) -> list[tuple[int, Any]]:
    return [(i, edge) for i, node in enumerate(cell.nodes) for edge in node]


def test_pdarts_leaves_alone_what_has_few_skips() -> None:
    space = darts.darts()
    favoured = strengths(SepConv, space)
    assert PDarts().derive_from(space, favoured) == derive(space, favoured)


def test_pdarts_ends_where_nothing_but_skips_is_left() -> None:
    space = prune(darts.darts(), strengths(Skip, darts.darts()), 1)
    found = PDarts().derive_from(space, {name: [0.9] for name in strengths(Skip, space)})
    assert len(skips_of(found.normal)) == 8


def test_pdarts_counts_every_skip_of_a_space_without_a_normal_cell() -> None:
    space = nasbench201.nasbench201()
    assert len(skips_of(PDarts().derive_from(space, strengths(Skip, space)))) == 2


# ---------------------------------------------------------------------------------------------------- FairDARTS


def test_fair_darts_lets_options_count_independently_and_pushes_them_apart() -> None:
    method = FairDarts()
    policy = Alphas(method, {"a": Choice("a", (0, 1, 2)), "b": Choice("b", (0, 1))})
    for alphas in policy.parameters():
        nn.init.normal_(alphas)
    every = [1 / (1 + math.exp(-alpha)) for alphas in policy.parameters() for alpha in alphas.flatten().tolist()]
    penalty = method.penalty(policy)
    assert penalty is not None
    assert penalty.item() == pytest.approx(-10 * sum((each - 0.5) ** 2 for each in every) / 5, rel=1e-5)
    torch.autograd.backward(penalty)
    for alphas in policy.parameters():
        assert alphas.grad is not None
        assert torch.equal(alphas.grad.sign(), -alphas.sign()), "descent leads away from 1/2"
    gates = policy.gates(moment())
    assert gates["a"].weights is not None
    assert gates["a"].weights.tolist() == pytest.approx(every[:3])
    assert policy.strengths()["b"] == pytest.approx(every[3:])


def test_fair_darts_keeps_what_is_above_the_threshold_with_two_edges_a_node() -> None:
    space = fairdarts.fairdarts()
    strengths = {name: [0.5, 0.5] for name, each in choices(space).items() if each.k is None}
    strengths |= {f"normal/{edge}": [0.5, 0.9] for edge in ("1-2/sep_conv_3x3", "1-2/skip_connect", "0-3/dil_conv_5x5")}
    strengths |= {"normal/1-5/sep_conv_3x3": [0.5, 0.86], "normal/2-5/sep_conv_3x3": [0.5, 0.85]}
    strengths |= {f"normal/{source}-5/sep_conv_5x5": [0.5, 0.95] for source in (3, 4)}
    found = FairDarts(threshold=0.85).derive_from(space, strengths)
    kept = [
        {(edge.source, path) for edge in edges for path in cast(Any, edge.operation).paths if path != Zero()}
        for edges in found.normal.nodes
    ]
    assert kept[0] == {(1, SepConv(3)), (1, Skip())}, "several operations of one edge"
    assert kept[1] == {(0, DilConv(5))}, "one edge only"
    assert kept[2] == set(), "none"
    assert kept[3] == {(3, SepConv(5)), (4, SepConv(5))}, (
        "the strongest two edges, and not the third above the threshold"
    )
    assert all(path == Zero() for edges in found.reduction.nodes for edge in edges for path in edge.operation.paths)
    assert decisions(space, found)


# ---------------------------------------------------------------------------------------------------- ProxylessNAS


@pytest.mark.parametrize("k", [1, 2])
def test_proxyless_opens_one_path_for_the_weights(k: int) -> None:
    alphas = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    mixture = Proxyless().mix(alphas, k, moment(3))
    assert not mixture.weights.requires_grad
    assert mixture.active is not None
    for row, active in zip(mixture.weights, mixture.active, strict=True):
        assert row.nonzero().flatten().tolist() == list(active)
        assert row[list(active)].tolist() == [1.0] * k


def test_proxyless_learns_the_alphas_of_two_paths_as_the_released_code_does() -> None:
    alphas = torch.randn(50, 4, dtype=torch.float64, requires_grad=True)
    mixture = Proxyless().mix(alphas, 1, moment(3, for_alphas=True))
    c = torch.randn(50, 4, dtype=torch.float64)
    found = gradient(mixture.weights, alphas, c)
    assert mixture.active is not None
    for row, pair in enumerate(mixture.active):
        assert len(pair) == 2
        assert sorted(mixture.weights[row].tolist()) == [0, 0, 0, 1], "one of the two is open"
        assert mixture.weights[row].argmax().item() in pair
        p = alphas[row, list(pair)].detach().softmax(0)
        expected = torch.zeros(4, dtype=torch.float64)
        for i in range(2):
            for j in range(2):
                expected[pair[i]] += c[row, pair[j]] * p[j] * (float(i == j) - p[i])
        assert torch.allclose(found[row], expected)


def test_proxyless_opens_by_the_probabilities_of_the_paper() -> None:
    numbers, draws = [0.0, 1.5, -1.0], 40_000
    p = torch.tensor(numbers, dtype=torch.float64).softmax(0).tolist()
    single = Proxyless().mix(rows(numbers, draws), 1, moment(1)).weights.sum(0)
    assert_frequencies(single, torch.tensor(p), draws)
    opened = Proxyless().mix(rows(numbers, draws), 1, moment(2, for_alphas=True)).weights.detach().sum(0)
    expected = torch.zeros(3)
    for a, b in permutations(range(3), 2):  # drawn in this order; then one of the two is opened
        drawn = p[a] * p[b] / (1 - p[a])
        expected[a] += drawn * p[a] / (p[a] + p[b])
        expected[b] += drawn * p[b] / (p[a] + p[b])
    assert abs(expected[1] - p[1]) > 0.02, "else the test does not tell the two apart"
    assert_frequencies(opened, expected, draws)


def test_proxyless_computes_two_options_an_edge_for_the_alphas() -> None:
    net = Supernet(nasbench201.network(nasbench201.nasbench201(), 4, 1), Proxyless())
    for for_alphas in (False, True):
        gates = net.policy.gates(moment(0, for_alphas=for_alphas))
        assert {len(gate.active) for gate in gates.values()} == {1 + for_alphas}


@pytest.mark.parametrize("k", [1, 2])
def test_proxyless_rescales_two_alphas_such_that_the_others_keep_their_probabilities(k: int) -> None:
    policy = Alphas(Proxyless(), {name: Choice(name, (0, 1, 2, 3), k if k > 1 else None) for name in "ab"})
    (alphas,) = policy.parameters()
    with torch.no_grad():
        alphas.normal_()
    gates, noted = policy.gates(moment(3, for_alphas=True)), Gates()
    noted.set(gates, moment())
    torch.autograd.backward(sum(gate.weights[each] * (each + 1) for gate in gates.values() for each in gate.active))
    before = alphas.detach().clone()
    torch.optim.Adam([alphas], 0.1, (0.0, 0.999)).step()
    raw = alphas.detach().clone()
    policy.method.after_step(policy, [before], noted)
    for i, name in enumerate("ab"):
        drawn = list(gates[name].active)
        others = [each for each in range(4) if each not in drawn]
        old, new = before[i].softmax(0), alphas[i].detach().softmax(0)
        assert torch.equal(alphas[i][others], before[i][others])
        assert torch.allclose(new[others], old[others], rtol=1e-5)
        assert not torch.allclose(raw[i].softmax(0)[others], old[others], rtol=1e-5)
        assert torch.allclose(alphas[i][drawn].softmax(0), raw[i][drawn].softmax(0)), (
            "among them, what Adam made of them"
        )


# ---------------------------------------------------------------------------------------------------- single path


def test_spos_draws_every_decision_uniformly() -> None:
    offered = {
        "one": Choice("one", (0, 1, 2), None, (9,)),
        "some": Choice("some", (0, 1, 2, 3), 2),
        "alone": Choice("alone", (0,)),
    }
    policy, now, draws = Spos().policy(offered), moment(), 6000
    assert not list(policy.parameters())
    counts: dict[tuple[str, tuple[int, ...]], int] = {}
    for _ in range(draws):
        for name, gate in policy.gates(now).items():
            assert gate.weights is None
            counts[name, gate.active] = counts.get((name, gate.active), 0) + 1
    expected = {(name, each.picked(i)): 1 / each.arity for name, each in offered.items() for i in range(each.arity)}
    assert counts.keys() == expected.keys()
    assert_frequencies(counts, expected, draws)


@pytest.mark.parametrize("method", [Spos(), Enas()], ids=repr)
def test_a_drawn_path_is_that_of_a_member(method: Method) -> None:
    """It has two edges a node, not all."""
    space = darts.darts()
    net = Supernet(darts.network(space, channels=4, layers=3), method)
    assert net.choices.keys() == choices(space).keys()
    for name, gate in net.policy.gates(moment()).items():
        assert len(gate.active) == (net.choices[name].k or 1)
        assert max(gate.active) < len(net.choices[name].options)


def test_spos_takes_the_best_of_its_candidates() -> None:
    space, scored = nasbench201.nasbench201(), []

    def score(cell: Any) -> float:
        scored.append(cell)
        return -float(decisions(space, cell)["0-1"])

    found = Spos(candidates=30).derive(space, Spos().policy({}), score, Random(0))
    assert decisions(space, found)["0-1"] == 0
    assert len(scored) == len(set(scored)) <= 30
    assert found == next(cell for cell in scored if decisions(space, cell)["0-1"] == 0), "of equals the first"


# ---------------------------------------------------------------------------------------------------- ENAS

OFFERED = {
    "a": Choice("a", ("x", "y", "z"), None, ("never",)),
    "b": Choice("b", (0, 1, 2, 3), 2),
    "c": Choice("c", ("x", "y", "z")),
}


def controller(method: Enas | None = None, seed: int = 0, spread: float = 1.0) -> EnasController:
    torch.manual_seed(seed)
    policy = EnasController(method or Enas(), OFFERED)
    for parameter in policy.parameters():
        nn.init.uniform_(parameter, -spread, spread)
    return policy


def test_enas_draws_with_the_probabilities_that_it_states() -> None:
    policy, draws = controller(), 3000
    now = moment()
    counts: dict[tuple[int, ...], int] = {}
    expected: dict[tuple[int, ...], float] = {}
    for _ in range(draws):
        gates = policy.gates(now)
        assert all(gate.weights is None for gate in gates.values())
        key = tuple(int(i) for each in policy.drawn for i in each)
        counts[key] = counts.get(key, 0) + 1
    for a in range(3):
        for b in permutations(range(4), 2):
            for c in range(3):
                policy.drawn = [torch.tensor([a]), torch.tensor(b), torch.tensor([c])]
                expected[a, *b, c] = policy.judge()[0].exp().item()
    assert len(expected) == 3 * 12 * 3
    assert sum(expected.values()) == pytest.approx(1, rel=1e-5)
    assert max(expected.values()) > 3 * min(expected.values()), "else all draws look alike"
    assert_frequencies({key: counts.get(key, 0) for key in expected}, expected, draws)


def test_enas_decides_by_what_it_decided_before() -> None:
    policy = controller()
    logits = []
    for first in range(3):
        policy.drawn = [torch.tensor([first]), torch.tensor([0, 1]), torch.tensor([0])]
        logits.append(policy._decide(lambda i, _: policy.drawn[i])[0])
    for one, other in ((0, 1), (1, 2)):
        assert torch.equal(logits[one][0], logits[other][0])
        assert not torch.allclose(logits[one][1], logits[other][1])
        assert not torch.allclose(logits[one][2], logits[other][2])


def test_enas_states_the_probabilities_along_the_likeliest_path() -> None:
    policy = controller()
    logits, picked = policy._decide(lambda i, each: each.sort(descending=True).indices[: policy.picks[i]])
    assert [len(each) for each in picked] == [1, 2, 1]
    for found, each in zip(policy.strengths().values(), logits, strict=True):
        assert found[: len(each)] == pytest.approx(each.softmax(0).tolist())
    policy.drawn = picked
    expected = sum(torch.distributions.Categorical(logits=each).entropy().item() for each in logits)
    assert policy.judge()[1].item() == pytest.approx(expected)


def test_enas_keeps_its_logits_small_and_begins_nearly_uniform() -> None:
    policy = controller(Enas(tanh_constant=0.5, temperature=0.01))
    logits, _ = policy._decide(lambda i, each: each.topk(policy.picks[i]).indices)
    assert all(each.abs().max() <= 0.5 for each in logits)
    assert any(each.abs().max() > 0.49 for each in logits)
    for name, each in EnasController(Enas(), OFFERED).strengths().items():
        drawable = len(OFFERED[name].options)
        assert each[:drawable] == pytest.approx([1 / drawable] * drawable, abs=0.1)
        assert each[drawable:] == [0.0] * len(OFFERED[name].supernet_only)


def enas_step(
    policy: EnasController, now: StepContext, reward: Callable[[Mapping[str, tuple[int, ...]]], float]
) -> Step:
    images = torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)

    def outcome(batch: Any) -> BatchOutcome:
        assert batch is images
        path = {name: gate.active for name, gate in policy.gates(now).items()}
        return BatchOutcome(torch.tensor(1.5), torch.tensor(len(images[1]) * reward(path)))

    fields: dict[str, Any] = {"penalty": None, "lr": 0.0, "momentum": 0.0, "weight_decay": 0.0, "velocities": ()}
    batches: Any = {"weights_batch": None, "alphas_batch": images, "all_reduce_mean": lambda tensors: None}
    return Step(model=nn.Module(), policy=policy, outcome=outcome, **fields, **batches)


def test_enas_follows_the_gradient_of_reinforce() -> None:
    method = Enas(entropy_weight=0.1, baseline_decay=0.75)
    policy = controller(method)
    policy.baseline.fill_(0.4)
    reported = method.learn(enas_step(policy, moment(), lambda path: 0.9))
    found = [parameter.grad for parameter in policy.parameters()]
    log_probability, entropy = policy.judge()
    reward = 0.9 + 0.1 * entropy.item()
    baseline = 0.75 * 0.4 + 0.25 * reward
    assert reported.loss.item() == pytest.approx(1.5)
    assert reported.hits.item() == pytest.approx(4 * 0.9)
    assert policy.state_dict()["baseline"].item() == pytest.approx(baseline)
    expected = torch.autograd.grad(log_probability, list(policy.parameters()))
    for own, other in zip(found, expected, strict=True):
        assert own is not None
        assert torch.allclose(own, -(reward - baseline) * other, atol=1e-6)


def test_enas_learns_what_is_rewarded() -> None:
    method = Enas(lstm_size=16, tanh_constant=2.5)
    torch.manual_seed(0)
    policy, now = EnasController(method, OFFERED), moment()
    optimizer = torch.optim.Adam(policy.parameters(), 0.01)
    before = policy.strengths()
    step = enas_step(policy, now, lambda path: 0.5 * (path["a"] == (2,)) + 0.5 * (path["b"] == (1, 3)))
    for _ in range(300):
        method.learn(step)
        optimizer.step()
    after = policy.strengths()
    assert before["a"][2] < 0.45
    assert after["a"][2] > 0.8
    assert after["b"][1] + after["b"][3] > 0.8


def test_enas_takes_the_best_of_its_candidates() -> None:
    space, scored = nasbench201.nasbench201(), []
    method = Enas(candidates=7)
    policy = method.policy(choices(space))

    def score(cell: Any) -> float:
        scored.append(cell)
        return float(len(scored) == 3)

    assert method.derive(space, policy, score, Random(0)) == scored[2]
    assert 3 < len(scored) <= 7


# ---------------------------------------------------------------------------------------------------- alphas


@pytest.mark.parametrize("method", [Darts(), Gdas(), Proxyless()], ids=repr)
def test_alphas_go_on_in_a_smaller_space(method: Differentiable) -> None:
    inner = Choice("inner", (Conv(1), Conv(3), Conv(5)))
    space = Choice("outer", (Skip(), inner, SepConv(3)), None, (SepConv(5),))
    before = Alphas(method, choices(space))
    nn.init.normal_(before.matrices[0])
    nn.init.normal_(before.matrices[1])
    left = {"outer": [0.1, 0.9, 0.2, 0.8], "inner": [0.1, 0.3, 0.2]}
    after = Alphas(method, choices(prune(space, left, 2)))
    after.take_over(before)
    old, new = alphas_of(before), alphas_of(after)
    assert new == {"outer": [old["outer"][1], old["outer"][3]], "inner": [old["inner"][1], old["inner"][2]]}


def alphas_of(policy: Alphas) -> dict[str, list[float]]:
    pairs = zip(policy.groups.values(), policy.matrices, strict=True)
    return {name: row for names, alphas in pairs for name, row in zip(names, alphas.tolist(), strict=True)}


def test_other_policies_begin_anew() -> None:
    first, second = controller(seed=0), controller(seed=1)
    state = {name: each.clone() for name, each in second.state_dict().items()}
    second.take_over(first)
    assert all(torch.equal(each, state[name]) for name, each in second.state_dict().items())
