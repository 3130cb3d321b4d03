"""Building: a tree becomes the module that its paper describes, a space becomes its supernet, and mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Relaxation, Shape, Site, build
from nas.operations.conv import Conv
from nas.operations.drop_path import DropPath
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import SepConv
from nas.operations.skip import FactorizedReduce, Skip, Zero
from nas.records import record
from nas.space import Choice, SpaceError, one_of, some_of
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Auxiliary, Network
from nas.topology.residual import Residual
from search_spaces import darts, nasbench201, nasnet

V2 = darts.PUBLISHED["DARTS_V2"]


pytestmark = pytest.mark.usefixtures("one_thread")


@final
class _Mixed(nn.Module):
    def __init__(self, alpha: Tensor, parts: list[nn.Module]) -> None:
        super().__init__()
        self.alpha, self.parts = alpha, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.alpha.softmax(0)
        return torch.stack([weight * part(x) for weight, part in zip(weights, self.parts, strict=True)]).sum(0)


@final
class SoftmaxMixture(Relaxation):
    """DARTS in a dozen lines: all options at once, weighed by a softmax that the cells of a kind share."""

    def __init__(self) -> None:
        self.alphas: dict[str, Tensor] = {}

    def relax(self, choice: Choice, site: Site) -> nn.Module:
        options = (*choice.options, *choice.supernet_only)
        alpha = self.alphas.setdefault(choice.name, torch.zeros(len(options), requires_grad=True))
        return _Mixed(alpha, [site.build(option) for option in options])


@record
class BuildTracer(Node):
    """A cell that reads two outputs and adds nothing: it halves the size and sets the width where it must."""

    @property
    def inputs(self) -> int:
        return 2

    def build(self, site: Site) -> nn.Module:
        return _Traced(site)


@final
class _Traced(nn.Module):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        assert tuple(before.shape[1:]) == (self.site.before or self.site.shape)
        assert tuple(last.shape[1:]) == self.site.shape
        return last.new_zeros(len(last), *Node.shape(BuildTracer(), self.site))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def wiring(network: Network, input: Shape = (3, 32, 32)) -> list[tuple[int, int]]:
    """Return which two outputs each layer is given: 0 the stem's, 1 the first layer's, and so on."""
    model = build(network, input)
    outputs: list[Tensor] = []
    given: list[tuple[int, int]] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, _Traced):
            positions = [next(i for i, each in enumerate(outputs) if each is x) for x in inputs]
            given.append((positions[0], positions[1]))
        outputs.append(output)

    for part in [model.stem, *(part for part in model.modules() if isinstance(part, _Traced))]:
        part.register_forward_hook(keep)  # type: ignore[union-attr]
    model(torch.zeros(2, *input))
    return given


def tracers(**arguments: Any) -> Network:
    """Return a network of NASNet with tracers for cells."""
    cells: Any = SimpleNamespace(normal=BuildTracer(), reduction=BuildTracer())
    return nasnet.network(cells, **{"channels": 8, "cells_per_stage": 2, **arguments})


def run(node: Node, site: Site, inputs: int = 1) -> Tensor:
    output: Tensor = site.build(node)(*(torch.randn(2, *site.shape) for _ in range(inputs)))
    return output


# ---------------------------------------------------------------------------------------------------- supernets


def test_the_supernet_of_darts_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        supernet = build(darts.network(darts.darts(), channels=16, layers=8), relaxation=SoftmaxMixture())
    assert parameters(supernet) == 1_930_618


def test_a_supernet_learns_its_weights_and_its_architecture() -> None:
    torch.manual_seed(0)
    relaxation = SoftmaxMixture()
    supernet = build(darts.network(darts.darts(), channels=4, layers=3), (3, 16, 16), relaxation)
    functional.cross_entropy(supernet(torch.randn(2, 3, 16, 16)), torch.tensor([1, 7])).backward()
    assert len(relaxation.alphas) == 2 * 14
    assert all(alpha.shape == (8,) for alpha in relaxation.alphas.values())
    assert all(alpha.grad is not None and alpha.grad.any() for alpha in relaxation.alphas.values())
    assert all(parameter.grad is not None for parameter in supernet.parameters())


def test_the_norms_in_a_supernets_cells_have_no_weights() -> None:
    supernet = build(nasbench201.network(nasbench201.nasbench201(), 4, 1), relaxation=SoftmaxMixture())
    mixed = [part for part in supernet.modules() if isinstance(part, _Mixed)]
    norms = [norm for part in mixed for norm in part.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert len(mixed) == 3 * 6
    assert norms
    assert not any(norm.affine for norm in norms)
    assert any(norm.affine for norm in supernet.modules() if isinstance(norm, nn.BatchNorm2d))


def test_poolings_end_in_a_norm_in_a_supernet_only() -> None:
    for relaxation in (None, SoftmaxMixture()):
        module = Site((8, 8, 8), 8, relaxation=relaxation).build(MaxPool())
        assert isinstance(module, nn.MaxPool2d) is (relaxation is None)


def test_unread_states_of_an_open_cell_are_concatenated_in_a_supernet() -> None:
    """The supernet holds every edge, so the states that none of them reads are known."""
    edges = some_of("picks", 2, [Edge(i, one_of(f"o{i}", (Skip(), Conv()))) for i in range(2)])
    site = Site((8, 8, 8), 8, relaxation=SoftmaxMixture())
    assert run(Cell((edges,)), site, 2).shape == (2, 8, 8, 8)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: darts.network(darts.darts()), "normal/2"),
        (lambda: nasbench201.network(nasbench201.nasbench201()), "0-1"),
        (lambda: one_of("whole", (Skip(), Zero())), "whole"),
    ],
    ids=["picks", "operation", "network"],
)
def test_an_open_choice_needs_a_relaxation(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(SpaceError) as caught, torch.device("meta"):
        build(make())
    assert str(caught.value) == f"choice {name!r} is still open: resolve the space, or give a relaxation"


def test_an_open_state_needs_a_relaxation_that_weighs() -> None:
    with pytest.raises(SpaceError, match="choice 'normal/2/left/state' is still open: resolve the space, or give"):
        build(nasnet.network(nasnet.nasnet(), 8, 1))
    with pytest.raises(SpaceError, match="choice 'normal/2/left/state' does not relax here: resolve it first"):
        build(nasnet.network(nasnet.nasnet(), 8, 1), relaxation=SoftmaxMixture())


# ---------------------------------------------------------------------------------------------------- drop path


def test_drop_path_zeroes_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3, 3)
    y = DropPath(0.25)(x)
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert y.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(y, y[:, :1, :1, :1].expand_as(y))


def test_drop_path_is_off_in_evaluation_and_at_zero() -> None:
    x = torch.randn(8, 2, 3, 3)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


def one_edge(operation: Node, probability: float) -> nn.Module:
    """Return a cell with a single edge that drops with a probability."""
    cell = Site((8, 4, 4), 8).build(Cell(((Edge(0, operation),),), concat=(1,), reads=1, preprocess="never"))
    for part in cell.modules():
        if isinstance(part, DropPath):
            part.probability = probability
    return cell


def test_an_edge_is_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    cell, x = one_edge(Conv(norm=False, activation="none"), 0.5), torch.randn(64, 8, 4, 4)
    dropped = (cell.train()(x).flatten(1) == 0).all(1)
    assert 10 < dropped.sum() < 54
    assert not (cell.eval()(x).flatten(1) == 0).all(1).any()


def test_an_identity_is_never_dropped() -> None:
    x = torch.randn(64, 8, 4, 4)
    assert torch.equal(one_edge(Skip(), 0.9).train()(x), x)


def test_every_cell_has_a_drop_path_that_training_can_raise() -> None:
    with torch.device("meta"):
        model = build(darts.network(V2, 8, 5))
    found = [part for part in model.modules() if isinstance(part, DropPath)]
    assert len(found) == 5
    assert all(part.probability == 0.0 for part in found)


# ---------------------------------------------------------------------------------------------------- wiring


def test_a_cell_reads_the_last_two_outputs_and_the_first_the_stem_twice() -> None:
    assert wiring(tracers()) == [(max(i - 1, 0), i) for i in range(8)]


def test_with_skip_reduction_the_cell_after_a_reduction_reads_what_the_reduction_read_before() -> None:
    given = wiring(tracers(skip_reduction=True))
    for reduction in (2, 5):
        assert given[reduction + 1] == (given[reduction][0], reduction + 1)
    others = [i for i in range(8) if i not in (3, 6)]
    assert [given[i] for i in others] == [(max(i - 1, 0), i) for i in others]


def test_the_reductions_of_an_imagenet_stem_are_not_skipped() -> None:
    given = wiring(tracers(stem="imagenet", skip_reduction=True), (3, 65, 65))
    assert [i for i, (before, _) in enumerate(given) if before == i - 2] == [5, 8]


@pytest.mark.parametrize("skip_reduction", [False, True])
@pytest.mark.parametrize("name", nasnet.PUBLISHED)
def test_published_cells_run_with_either_wiring(name: str, skip_reduction: bool) -> None:
    network = nasnet.network(nasnet.PUBLISHED[name], 8, 1, skip_reduction=skip_reduction)
    assert build(network, (3, 17, 15))(torch.randn(2, 3, 17, 15)).shape == (2, 10)


@pytest.mark.parametrize("input", [(3, 32, 32), (3, 33, 31)], ids=["even", "odd"])
@pytest.mark.parametrize(
    "network",
    [
        darts.network(V2, 8, 3),
        darts.network(V2, 8, 3, stem="imagenet"),
        nasbench201.network(nasbench201.family.published["resnet"], 8, 1),
        nasnet.network(nasnet.PUBLISHED["NASNet_A"], 8, 1),
        nasnet.network(nasnet.PUBLISHED["NASNet_A"], 8, 1, stem="imagenet"),
    ],
    ids=["darts", "darts imagenet", "nasbench201", "nasnet", "nasnet imagenet"],
)
def test_images_of_any_size_pass(network: Network, input: Shape) -> None:
    assert build(network, input)(torch.randn(2, *input)).shape == (2, 10)


def test_darts_halves_and_doubles_at_a_third_and_two_thirds() -> None:
    stages = darts.network(V2, 8, 20).stages
    assert [stage.repeat for stage in stages] == [6, 1, 6, 1, 6]
    assert [stage.channels for stage in stages] == [8, 16, 16, 32, 32]
    assert [stage.stride for stage in stages] == [1, 2, 1, 2, 1]
    assert [stage.body for stage in stages] == [V2.normal, V2.reduction, V2.normal, V2.reduction, V2.normal]


# ---------------------------------------------------------------------------------------------------- cells


def test_unread_states_are_concatenated_inputs_too() -> None:
    cell = Cell(((Edge(1, Skip()),), (Edge(1, Conv()),), (Edge(3, Skip()), Edge(1, Skip()))))
    assert cell.concatenated() == (0, 2, 4)
    site = Site((8, 8, 8), 16)
    assert run(cell, site, 2).shape[1:] == cell.shape(site) == (48, 8, 8)


def test_an_unread_input_is_brought_to_the_size_of_a_reduction() -> None:
    cell, site = Cell(((Edge(1, MaxPool()),),)), Site((8, 9, 9), 16, stride=2)
    assert cell.concatenated() == (0, 2)
    assert run(cell, site, 2).shape[1:] == cell.shape(site) == (32, 5, 5)


def test_a_node_is_the_sum_of_its_edges() -> None:
    x = torch.randn(2, 8, 4, 4)
    cell = Cell(((Edge(0, Skip()), Edge(0, AvgPool(1))),), concat=(0, 1), reads=1, preprocess="never")
    assert torch.equal(Site((8, 4, 4), 8).build(cell)(x), torch.cat([x, 2 * x], 1))


def test_only_the_edges_that_read_an_input_are_strided() -> None:
    cell = Cell(((Edge(0, Conv()),), (Edge(1, Conv()), Edge(0, Conv()))), concat=(1, 2), reads=1)
    module = Site((8, 8, 8), 8, stride=2).build(cell)
    strides = [part.stride for part in module.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)]
    assert strides == [(2, 2), (1, 1), (2, 2)]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [8, 16])
@pytest.mark.parametrize("preprocess", ["always", "previous_if_different", "never"])
@pytest.mark.parametrize("reads", [1, 2])
def test_a_cell_gives_the_shape_that_it_says(reads: Any, preprocess: Any, channels: int, stride: int) -> None:
    if (reads, preprocess) == (2, "never"):
        with pytest.raises(BuildError, match="a cell with two inputs must preprocess them"):
            Cell(((Edge(0, Skip()),),), reads=reads, preprocess=preprocess)
        return
    nodes = ((Edge(0, Skip()), Edge(reads - 1, SepConv())), (Edge(reads - 1, Skip()), Edge(reads, Conv())))
    cell = Cell(nodes, concat=(reads, reads + 1), reads=reads, preprocess=preprocess)
    site = Site((8, 8, 8), channels, stride)
    assert run(cell, site, reads).shape[1:] == cell.shape(site) == (2 * channels, 8 // stride, 8 // stride)


def test_the_previous_input_is_brought_to_the_size_of_the_last() -> None:
    cell = Cell(((Edge(0, Skip()), Edge(1, Skip())),), concat=(2,))
    module = Site((16, 4, 4), 8, before=(4, 8, 8)).build(cell)
    assert module(torch.randn(2, 4, 8, 8), torch.randn(2, 16, 4, 4)).shape == (2, 8, 4, 4)


def test_an_equal_previous_input_is_left_as_it_is_where_asked() -> None:
    for preprocess, alike in (("previous_if_different", True), ("always", False)):
        cell = Cell(((Edge(0, Skip()),),), concat=(2,), preprocess=preprocess)  # type: ignore[arg-type]
        module = Site((16, 4, 4), 8, before=(8, 4, 4)).build(cell)
        before = torch.randn(2, 8, 4, 4)
        assert torch.equal(module(before, torch.randn(2, 16, 4, 4)), before) is alike


@pytest.mark.parametrize(("reads", "source"), [(2, 3), (1, 2), (2, -1), (1, 5)])
def test_a_state_that_comes_later_cannot_be_read(reads: Any, source: int) -> None:
    with pytest.raises(BuildError) as caught:
        Cell(((Edge(0, Skip()),), (Edge(source, Skip()),)), reads=reads)
    assert str(caught.value) == f"node 1 of the cell reads state {source}: give one from 0 to {reads}"


def test_a_node_without_edges_is_an_error_that_says_so() -> None:
    with pytest.raises(BuildError):
        run(Cell(((),), reads=1), Site((8, 8, 8), 8))


# ---------------------------------------------------------------------------------------------------- operations


@pytest.mark.parametrize("channels", [(8, 16), (6, 5)], ids=str)
def test_a_factorized_reduction_is_that_of_darts_on_even_sizes(channels: tuple[int, int]) -> None:
    """DARTS: cat(conv_1(relu(x)), conv_2(relu(x)[:, :, 1:, 1:])), then batch norm."""
    torch.manual_seed(0)
    module, x = FactorizedReduce(channels), torch.randn(3, channels[0], 8, 6)
    rectified = x.relu()
    halves = [
        functional.conv2d(each, conv.weight, stride=2)
        for conv, each in ((module.even, rectified), (module.odd, rectified[:, :, 1:, 1:]))
    ]
    assert halves[0].shape[1] == channels[1] // 2
    assert torch.allclose(module(x), module.norm(torch.cat(halves, 1)))


def test_a_factorized_reduction_pads_odd_sizes_with_zeros() -> None:
    module, x = FactorizedReduce((4, 8)), torch.randn(2, 4, 7, 7)
    padded = functional.pad(x, (0, 1, 0, 1))
    assert torch.allclose(module(x), module(padded))
    assert module(x).shape == (2, 8, 4, 4)


def test_average_pooling_leaves_the_padding_out() -> None:
    assert torch.equal(run_on_ones(AvgPool()), torch.ones(1, 2, 4, 4))


def run_on_ones(operation: Node) -> Tensor:
    output: Tensor = Site((2, 4, 4), 2).build(operation)(torch.ones(1, 2, 4, 4))
    return output


def test_separable_convolutions_are_applied_twice_and_strided_once() -> None:
    module = Site((8, 8, 8), 16, stride=2).build(SepConv(5))
    convs = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    assert [(conv.kernel_size[0], conv.stride[0], conv.groups) for conv in convs] == [
        (5, 2, 8),
        (1, 1, 1),
        (5, 1, 16),
        (1, 1, 1),
    ]


# ---------------------------------------------------------------------------------------------------- structures


def test_a_chain_is_strided_once_and_a_stage_repeats() -> None:
    site = Site((8, 9, 9), 16, stride=2)
    for node in (Chain((Conv(), SepConv(), Skip())), Stage(Conv(), 3)):
        assert run(node, site).shape[1:] == node.shape(site) == (16, 5, 5)
    assert run(Stage(Conv(), 2, channels=4, stride=2), site).shape[1:] == (4, 3, 3)


def test_a_residual_adds_body_and_shortcut() -> None:
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(Site((8, 4, 4), 8).build(Residual(Skip(), Skip()))(x), 2 * x)


def test_a_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(darts.network(V2, 4, 3)).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


# ---------------------------------------------------------------------------------------------------- auxiliary


def test_the_auxiliary_head_answers_in_training_only() -> None:
    model = build(darts.network(V2, 4, 3, auxiliary=True))
    x = torch.randn(2, 3, 32, 32)
    logits, auxiliary = model.train()(x)
    assert logits.shape == auxiliary.shape == (2, 10)
    assert isinstance(model.eval()(x), Tensor)


def test_without_an_auxiliary_head_there_is_one_answer() -> None:
    assert isinstance(build(darts.network(V2, 4, 3)).train()(torch.randn(2, 3, 32, 32)), Tensor)


def test_the_auxiliary_head_reads_the_layer_that_it_names() -> None:
    stages = (Stage(Conv(), 1, 8), Stage(Conv(), 1, 16, 2), Stage(Conv(), 1, 32))
    for after, width in enumerate((8, 16, 32)):
        with torch.device("meta"):
            model = build(Network(Conv(), stages, Classifier(10), Auxiliary(after, 10)), (3, 16, 16))
        head = next(part for name, part in model.named_modules() if "auxiliary" in name and isinstance(part, nn.Conv2d))
        assert head.in_channels == width


def test_gradients_reach_the_auxiliary_head() -> None:
    model = build(darts.network(V2, 4, 3, auxiliary=True))
    logits, auxiliary = model(torch.randn(2, 3, 32, 32))
    (logits.sum() + auxiliary.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("make", [darts.network, nasnet.network], ids=["darts", "nasnet"])
def test_a_map_too_small_for_the_auxiliary_head_is_an_error_that_says_so(make: Callable[..., Network]) -> None:
    cells = V2 if make is darts.network else nasnet.PUBLISHED["NASNet_A"]
    with pytest.raises(BuildError) as caught, torch.device("meta"):
        build(make(cells, 8, auxiliary=True), (3, 8, 8))
    expected = "the auxiliary head pools 5x5, and its map is [{0}, {0}]: leave it out, or enlarge the images"
    assert str(caught.value) == expected.format(2 if make is darts.network else 4)


def test_an_auxiliary_head_after_the_last_layer_is_an_error_that_says_so() -> None:
    network = Network(Conv(), (Stage(Conv(), 3),), Classifier(10), Auxiliary(3, 10))
    with pytest.raises(BuildError) as caught:
        build(network, (3, 16, 16))
    assert str(caught.value) == "the auxiliary head reads layer 3, and the last is 2: give a lower one"


def test_a_convolution_without_padding_that_does_not_fit_is_an_error_that_says_so() -> None:
    with pytest.raises(BuildError, match=r"does not fit a map of \(2, 2\): give larger images, or padding 'same'$"):
        Conv(3, padding="valid").shape(Site((3, 2, 2), 8))
