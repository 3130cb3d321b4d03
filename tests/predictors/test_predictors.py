"""Predictors and encodings: what holds for every one that is found; then what each of them promises."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, Literal

import numpy as np
import pytest

from nas.family import families
from nas.history import History, Proposal
from nas.plain import from_plain
from nas.predictors.acquisition import acquire
from nas.predictors.adjacency import Adjacency
from nas.predictors.encoding import Encoding, coded
from nas.predictors.gaussian_process import GaussianProcess
from nas.predictors.graph import Graph
from nas.predictors.graph_network import GraphNetwork
from nas.predictors.learning import fitted
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.networks.mlp import Perceptrons
from nas.predictors.one_hot import OneHot
from nas.predictors.paths import Paths
from nas.predictors.predictor import Predictor
from nas.records import RecordError, digest, import_all, record_classes, to_plain
from nas.space import decisions, one_of, sample
from search_spaces import nasbench201

import_all("nas.predictors")
PREDICTORS = [cls() for name, cls in record_classes(Predictor).items() if cls.__module__.startswith("nas.")]
ENCODINGS = [cls() for name, cls in record_classes(Encoding).items() if cls.__module__.startswith("nas.")]

every_predictor = pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda each: type(each).__name__)
every_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda each: type(each).__name__)

Data = tuple[Any, Any]


@cache
def data(seed: int, number: int = 120) -> Data:
    """Return codes of ten bits, and values that are a sum with one product, far from zero."""
    codes = np.random.default_rng(seed).integers(0, 2, (number, 10)).astype(float)
    return codes, 90 + codes @ np.arange(10) / 10 + codes[:, 0] * codes[:, 9]


def ranks(values: Any) -> Any:
    return values.argsort().argsort()


# ------------------------------------------------------------------------------------------------ every predictor


@every_predictor
def test_a_predictor_ranks_what_it_has_not_seen(predictor: Predictor) -> None:
    predict = predictor.fit(*data(0), 0)
    codes, values = data(1)
    mean, deviation = predict(codes)
    assert mean.shape == deviation.shape == values.shape
    assert np.corrcoef(ranks(mean), ranks(values))[0, 1] > 0.8
    assert abs(mean.mean() - values.mean()) < 0.5, "predictions are values, not standardised ones"
    assert (deviation >= 0).all()
    assert deviation.max() > 0


# three fits of a graph network take too long for a normal run
@pytest.mark.parametrize(
    "predictor",
    [
        pytest.param(each, id=type(each).__name__, marks=[pytest.mark.slow] * isinstance(each, GraphNetwork))
        for each in PREDICTORS
    ],
)
def test_a_predictor_is_a_function_of_its_data_and_seed(predictor: Predictor) -> None:
    codes, _ = data(1)
    one, same, other = (predictor.fit(*data(0), seed)(codes)[0] for seed in (3, 3, 4))
    assert (one == same).all()
    assert (one != other).any()


@every_predictor
@pytest.mark.parametrize("number", [1, 2, 33])
def test_a_predictor_is_fitted_to_little_and_to_equal_values(predictor: Predictor, number: int) -> None:
    codes, _ = data(0)
    mean, deviation = predictor.fit(codes[:number], np.full(number, 7.0), 0)(codes)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()


@every_predictor
def test_a_predictor_is_written_and_read(predictor: Predictor) -> None:
    assert from_plain(to_plain(predictor), Predictor) == predictor


# ------------------------------------------------------------------------------------------------- every encoding


@every_encoding
@pytest.mark.parametrize("family", families())
def test_every_space_has_features(encoding: Encoding, family: str) -> None:
    space = families()[family].space()
    drawn = [sample(space, Random(seed)) for seed in range(6)]
    features = [encoding.features(space, each) for each in drawn]
    assert all(features)
    codes = coded(features, encoding.vocabulary(features))
    assert (codes.sum(1) == [len(each) for each in features]).all()
    again = [encoding.features(space, from_plain(to_plain(each), type(each))) for each in drawn]
    assert again == features, "features depend on the architecture alone"


@pytest.mark.parametrize("encoding", [OneHot(), Adjacency()], ids=lambda each: type(each).__name__)
def test_other_architectures_have_other_features(encoding: Encoding) -> None:
    space = nasbench201.nasbench201()
    drawn = {digest(each): each for each in (sample(space, Random(seed)) for seed in range(300))}
    assert len({encoding.features(space, each) for each in drawn.values()}) == len(drawn)


@every_encoding
def test_decisions_outside_of_cells_are_features_too(encoding: Encoding) -> None:
    space = (nasbench201.nasbench201(), one_of("lr", (0.1, 0.01, 0.001)))
    cell = sample(space, Random(0))[0]
    assert len({encoding.features(space, (cell, lr)) for lr in (0.1, 0.01, 0.001)}) == 3


def test_one_hot_features_are_the_decisions() -> None:
    space = one_of("depth", [(one_of("a", range(3)),), (one_of("a", range(3)), one_of("b", range(3)))])
    architecture = sample(space, Random(1))
    taken = decisions(space, architecture)
    assert OneHot().features(space, architecture) == {f"{name}={decision}" for name, decision in taken.items()}


TEXT = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"


def shape_of(feature: str) -> str:
    """Return a path's operations without the digests of their settings."""
    return ">".join(part.split("#")[0] for part in feature.split(">"))


def test_paths_are_the_sequences_of_operations_from_input_to_output() -> None:
    found = Paths().features(nasbench201.nasbench201(), nasbench201.from_string(TEXT))
    expected = {"0>Zero", "0>Conv>Conv", "0>Conv>AvgPool", "0>Conv>Skip>AvgPool"}
    assert {shape_of(each) for each in found} == expected
    assert len(found) == 4


def test_truncated_paths_are_the_shortest() -> None:
    space = nasbench201.nasbench201()
    features = [Paths().features(space, nasbench201.from_string(TEXT))]
    assert [shape_of(each).count(">") for each in Paths(most=2).vocabulary(features)] == [1, 2]


def test_adjacency_has_each_edge_once() -> None:
    found = Adjacency().features(nasbench201.nasbench201(), nasbench201.from_string(TEXT))
    assert {each.split("#")[0] for each in found} == {
        "0-1:Conv",
        "0-2:Conv",
        "1-2:Skip",
        "0-3:Zero",
        "1-3:Conv",
        "2-3:AvgPool",
    }


def test_a_graph_has_a_node_for_each_record_and_each_state() -> None:
    found = Graph().features(nasbench201.nasbench201(), nasbench201.from_string(TEXT))
    labelled = {feature.split(": ")[0] for feature in found if ": " in feature}
    linked = {tuple(feature.split(" -> ")) for feature in found if ": " not in feature}
    edges = ["nodes.0.0.", "nodes.1.0.", "nodes.1.1.", "nodes.2.0.", "nodes.2.1.", "nodes.2.2."]
    assert labelled == {"", *edges, "state0", "state1", "state2", "state3"}
    assert {("", edge) for edge in edges} <= linked
    assert {("state1", "nodes.2.1."), ("nodes.2.1.", "state3")} <= linked
    assert len(linked) == 18
    assert {"nodes.2.1.: source=1", "nodes.2.1.: operation=Conv", "nodes.2.1.: operation.kernel=3"} <= found


def test_nodes_are_named_by_their_place_and_values_outside_of_records_belong_to_the_whole() -> None:
    found = Graph().features(None, (nasbench201.from_string(TEXT), 0.1))
    assert {": 1=0.1", "0.: Cell", " -> 0.", "0. -> 0.nodes.0.0.", "0.state0 -> 0.nodes.0.0."} <= found


def test_what_has_no_features_is_refused() -> None:
    with pytest.raises(RecordError, match="no architecture has a feature"):
        coded([frozenset()], {})


def test_features_that_were_never_seen_are_left_out() -> None:
    space, history = one_of("x", range(4)), History("score")
    for x in range(3):
        history.finish(history.start(Proposal(x)), {"score": float(x)})
    mean, _ = fitted(MlpEnsemble(), OneHot(), space, history, history.scored)([2, 3])
    nothing, _ = MlpEnsemble().fit(np.eye(3), np.arange(3.0), 3)(np.zeros((1, 3)))
    assert mean[0] > 1.5
    assert mean[1] == pytest.approx(nothing[0])


def test_a_gaussian_process_is_sure_of_what_it_was_fitted_to() -> None:
    codes, values = data(0)
    for process in (GaussianProcess("rbf"), GaussianProcess("matern")):
        mean, deviation = process.fit(codes, values, 0)(codes)
        _, elsewhere = process.fit(codes[:20], values[:20], 0)(codes[20:])
        assert np.abs(mean - values).max() < 0.2
        assert deviation.max() < elsewhere.mean()


# ---------------------------------------------------------------------------------------------------- graph networks

NAMES = ["a: X", "a: Y", "b: X", "b: Y", "a -> b", "b -> a"]


def test_a_graph_network_sees_links_and_not_names_of_nodes() -> None:
    graphs = np.array([[1, 0, 0, 1, 1, 0], [0, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1], [1, 0, 0, 1, 0, 0]], float)
    predict = GraphNetwork().fit_named(NAMES, graphs[[0, 2, 3]], np.array([1.0, 2.0, 3.0]), 0)
    mean, _ = predict(graphs)
    assert mean[1] == pytest.approx(mean[0], abs=1e-5), "the same graph under other names"
    assert mean == pytest.approx([1, 1, 2, 3], abs=0.3)


def test_a_graph_network_leaves_out_nodes_that_a_graph_does_not_have() -> None:
    one = GraphNetwork(epochs=1).fit_named(NAMES[:1], np.array([[1.0]]), np.array([0.0]), 0)
    absent = GraphNetwork(epochs=1).fit_named(["a: X", "b: X"], np.array([[1.0, 0.0]]), np.array([0.0]), 0)
    assert one(np.array([[1.0]]))[0] == pytest.approx(absent(np.array([[1.0, 0.0]]))[0], abs=1e-6)


def test_a_search_gives_a_graph_network_the_links_of_trees() -> None:
    space, history = nasbench201.nasbench201(), History("score")
    drawn = [sample(space, Random(seed)) for seed in range(30)]
    for each in drawn:
        convolutions = sum(type(edge.operation).__name__ == "Conv" for edges in each.nodes for edge in edges)
        history.finish(history.start(Proposal(each)), {"score": float(convolutions)})
    mean, _ = fitted(GraphNetwork(), Graph(), space, history, history.scored)(drawn)
    values = np.array([done.scores["score"] for done in history.scored])
    assert np.corrcoef(mean, values)[0, 1] > 0.9


# ---------------------------------------------------------------------------------------------------- perceptrons


@pytest.mark.parametrize("loss", ["squared", "absolute"])
def test_gradients_of_perceptrons_are_those_of_torch(loss: Literal["squared", "absolute"]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    networks = Perceptrons(3, [5, 7, 6, 1], rng)
    codes, targets = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4))
    weights = [torch.tensor(each, requires_grad=True) for each in networks.weights]
    biases = [torch.tensor(each, requires_grad=True) for each in networks.biases]
    x = torch.tensor(codes)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = x @ weight + bias
        x = x if i == 2 else x.relu()
    distance = x[..., 0] - torch.tensor(targets)
    (distance**2 if loss == "squared" else distance.abs()).mean(1).sum().backward()
    expected = [each.grad.numpy() for each in (*weights, *biases)]
    for own, other in zip(networks.gradients(codes, targets, loss), expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)


def test_a_step_of_perceptrons_is_that_of_adam() -> None:
    torch = pytest.importorskip("torch")
    networks = Perceptrons(2, [3, 1], np.random.default_rng(1))
    weight = torch.tensor(networks.weights[0].copy(), requires_grad=True)
    bias = torch.tensor(networks.biases[0].copy(), requires_grad=True)
    adam = torch.optim.Adam([weight, bias], lr=0.01, eps=1e-30)
    rng = np.random.default_rng(2)
    for _ in range(5):
        codes, targets = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4))
        adam.zero_grad()
        ((torch.tensor(codes) @ weight + bias)[..., 0] - torch.tensor(targets)).pow(2).mean(1).sum().backward()
        adam.step()
        networks.descend(codes, targets, 0.01, "squared")
    np.testing.assert_allclose(networks.weights[0], weight.detach().numpy(), rtol=1e-6)


# ---------------------------------------------------------------------------------------------------- acquisition


def test_acquisitions_are_what_they_are_called() -> None:
    mean, deviation, rng = np.array([1.0, 2.0, 2.0]), np.array([3.0, 0.0, 1.0]), Random(0)
    assert (acquire("mean", mean, deviation, 2.0, rng) == mean).all()
    assert acquire("ucb", mean, deviation, 2.0, rng).tolist() == [2.5, 2.0, 2.5]
    drawn = np.array([acquire("its", mean, deviation, 2.0, rng) for _ in range(4000)])
    assert drawn.mean(0) == pytest.approx(mean, abs=0.2)
    assert drawn.std(0) == pytest.approx(deviation, abs=0.2)
    samples = np.random.default_rng(0).normal(mean, deviation, (400_000, 3))
    assert acquire("pi", mean, deviation, 2.0, rng)[[0, 2]] == pytest.approx((samples > 2).mean(0)[[0, 2]], abs=0.01)
    improvement = np.maximum(samples - 2, 0).mean(0)
    assert acquire("ei", mean, deviation, 2.0, rng) == pytest.approx(improvement, abs=0.01)
