"""Layers keep what their protocol promises, whichever there are; structures compute what their papers say."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from random import Random
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn

import nas
from nas.building import BuildError, Node, Shape, Site, build
from nas.family import published
from nas.layers.activation import RELU, Activation
from nas.layers.attention import SqueezeExcite, divisible
from nas.layers.conv import ConvNormAct, Normalize, window
from nas.layers.pool import Pool
from nas.layers.shuffle import ChannelShuffle, Shift
from nas.notation import notation, parse
from nas.operations.drop_path import DropPath
from nas.operations.mbconv import MBConv
from nas.operations.self_attention import AttentionConv
from nas.operations.skip import Skip
from nas.profiling import checked_profile
from nas.records import RecordError, import_all, record_classes, to_plain
from nas.testing.nodes import it_gives_the_shape_that_it_says
from nas.topology.appended import Appended
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.deluge import Deluge
from nas.topology.dense import Dense
from nas.topology.dual_path import DualPath
from nas.topology.heads import Classifier, FullyConnected
from nas.topology.highway import Highway
from nas.topology.hourglass import Hourglass
from nas.topology.masked import Masked
from nas.topology.multi_scale import MultiScale
from nas.topology.network import Auxiliary, Network, with_classes
from nas.topology.polynomial import Polynomial
from nas.topology.residual import Residual
from nas.topology.wired import Wired
from nas.training.checkpoint import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")

for package in ("nas.layers", "nas.topology"):
    import_all(package)

SITES = [Site((12, *size), 24, stride) for size in ((8, 8), (9, 7)) for stride in (1, 2)]
POINTWISE = ConvNormAct(1)
LINEAR = ConvNormAct(1, norm="none", activation=None, bias=False)


def examples(package: str) -> list[Any]:
    """Return a node of every class of a package with its defaults; what has none is a 3x3 convolution, or a few of them."""
    found = []
    for cls in record_classes(Node).values():
        if cls.__module__.startswith(package):
            given = {f.name: _stand_in(f.name, f.type) for f in fields(cls) if f.default is MISSING}
            found.append(cls(**given))
    return found


def _stand_in(name: str, kind: Any) -> Any:
    if name == "stem":
        return ConvNormAct(3, 12)
    if name == "head":
        return Classifier(5)
    if name == "edges":
        return ((1, 1, 1), (1, 0), (1,))
    if name == "nodes" and "Edge" in str(kind):
        return ((nas.from_plain({"Edge": {"source": 0, "operation": "Skip"}}),),)
    if str(kind).startswith("tuple"):
        return (ConvNormAct(3), ConvNormAct(3))
    return {"Node": ConvNormAct(3)}.get(str(kind), 4)


LAYERS = examples("nas.layers.")
STRUCTURES = examples("nas.topology.")
PARTICULAR = frozenset("Auxiliary Deluge DualPath Highway Motif Polynomial".split())
"""What stands in few places only, and is tested there."""


@pytest.mark.parametrize(
    "node",
    [node for node in LAYERS + STRUCTURES if type(node).__name__ not in PARTICULAR],
    ids=lambda node: type(node).__name__,
)
def test_a_node_gives_the_shape_that_it_says_and_leaves_its_input_alone(node: Node) -> None:
    it_gives_the_shape_that_it_says(node)


@pytest.mark.parametrize("node", LAYERS + STRUCTURES, ids=lambda node: type(node).__name__)
def test_a_node_comes_back_from_its_notation_and_its_plain_form(node: Node) -> None:
    assert parse(notation(node)) == node
    assert nas.from_plain(to_plain(node)) == node
    assert "\n" not in notation(node)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("ceil", [False, True])
def test_windows_are_counted_as_torch_counts_them(kernel: int, ceil: bool) -> None:
    for size in range(5, 15):
        for stride in (1, 2, 3):
            for padding in range(kernel // 2 + 1):
                pooled = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)(torch.zeros(1, 1, size, size))
                assert window(size, kernel, stride, padding, ceil=ceil) == pooled.shape[2]


# ---------------------------------------------------------------------------------------------- structures


def at(node: Node, shape: Shape, channels: int | None = None, stride: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return Site(shape, channels or shape[0], stride).build(node).eval()


def test_a_residual_adds_scales_and_activates() -> None:
    x = torch.randn(2, 8, 6, 6)
    module = at(Residual(LINEAR, activation=RELU, scale=0.5), (8, 6, 6))
    body = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    assert torch.allclose(module(x), (x + 0.5 * body(x)).relu(), atol=1e-6)


def test_an_opening_is_shared_where_the_shape_changes_and_the_bodys_elsewhere() -> None:
    block, x = Residual(LINEAR, Skip("bare"), opening=Normalize()), torch.randn(2, 8, 6, 6)
    same, changed = at(block, (8, 6, 6)), at(block, (8, 6, 6), 16, 2)
    conv, shortcut = (part for part in changed.modules() if isinstance(part, nn.Conv2d))
    (alone,) = (part for part in same.modules() if isinstance(part, nn.Conv2d))
    opened = (x / (1 + 1e-5) ** 0.5).relu()
    assert torch.allclose(same(x), x + alone(opened), atol=1e-5)
    assert torch.allclose(changed(x), conv(opened) + shortcut(opened), atol=1e-5)


def test_stochastic_depth_drops_the_body_by_its_share_of_the_recipes() -> None:
    module = at(Residual(LINEAR, drop_path=0.5), (8, 6, 6)).train()
    (drop,) = (part for part in module.modules() if isinstance(part, DropPath))
    assert drop.share == 0.5
    drop.probability, x = 0.5, torch.randn(400, 8, 2, 2)
    dropped = (module(x) == x).flatten(1).all(1).float().mean()
    assert 0.4 < dropped < 0.6


def test_dense_layers_read_all_before_them_in_order() -> None:
    module, x = at(Dense(LINEAR, 3, growth=4), (8, 5, 5)), torch.randn(2, 8, 5, 5)
    y, convs = module(x), [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    assert y.shape == (2, 20, 5, 5)
    assert torch.equal(y[:, :8], x)
    for i, conv in enumerate(convs):
        start = 8 + 4 * i
        assert torch.allclose(y[:, start : start + 4], conv(y[:, :start]), atol=1e-6)


def test_dense_layers_that_would_shrink_are_refused() -> None:
    with pytest.raises(BuildError, match="a transition before"):
        at(Dense(POINTWISE), (8, 6, 6), 8, 2)
    with pytest.raises(BuildError, match=r"changes the size from \(6, 6\) to \(3, 3\): give one that keeps it"):
        at(Dense(ConvNormAct(3, stride=2)), (8, 6, 6))


def test_branches_concatenate_add_and_split() -> None:
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(at(Branches((Skip(), Skip()), split=True), (8, 4, 4))(x), x)
    assert torch.equal(at(Branches((Skip(), Skip()), "add"), (8, 4, 4))(x), 2 * x)
    uneven = Site((7, 4, 4), 10).output(Branches((POINTWISE, POINTWISE, POINTWISE)))
    assert uneven == (10, 4, 4)
    with pytest.raises(BuildError, match="make their sizes equal"):
        at(Branches((POINTWISE, ConvNormAct(3, padding="valid"))), (8, 4, 4))


def test_a_highway_begins_by_passing_its_input_on() -> None:
    module, x = at(Highway(LINEAR, kernel=1, bias=-30.0), (8, 4, 4)), torch.randn(2, 8, 4, 4)
    assert torch.allclose(module(x), x, atol=1e-5)
    open_gate = at(Highway(LINEAR, kernel=1, bias=30.0), (8, 4, 4))
    body = next(part for name, part in open_gate.named_modules() if name.startswith("body"))
    assert torch.allclose(open_gate(x), body(x), atol=1e-5)


def test_a_deluge_sums_the_weighted_norms_of_all_before() -> None:
    module, x = at(Deluge(LINEAR, 2), (8, 4, 4)), torch.randn(2, 8, 4, 4)
    first, second = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [norm.weight[0].item() for norm in norms] == pytest.approx([1 / 2, 1 / 3])
    nn.init.constant_(norms[1].weight[16:], 2.0)
    normed = (1 + 1e-5) ** 0.5  # a fresh norm divides by this
    y = first(x)
    z = second((x + y) / 2 / normed)
    assert torch.allclose(module(x), ((x + y) / 3 + 2 * z) / normed, atol=1e-5)
    with pytest.raises(BuildError, match=r"^the layer of a deluge changes the shape from \(8, 4, 4\) to \(6, 4, 4\)"):
        at(Deluge(LINEAR), (8, 4, 4), 6)


def test_a_mask_of_zeros_passes_the_trunk_on() -> None:
    module, x = at(Masked(LINEAR, LINEAR), (8, 4, 4)), torch.randn(2, 8, 4, 4)
    trunk, mask = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    assert torch.allclose(module(x), trunk(x) * (1 + mask(x)), atol=1e-6)
    nn.init.zeros_(mask.weight)
    assert torch.equal(module(x), trunk(x))


def test_an_hourglass_resizes_what_its_body_made_of_the_pooled_map() -> None:
    module, x = at(Hourglass(LINEAR, Pool(2)), (8, 5, 7), 4), torch.randn(2, 8, 5, 7)
    (body,) = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    small = body(nn.MaxPool2d(2)(x))
    assert module(x).shape == (2, 4, 5, 7)
    assert torch.allclose(
        module(x)[:, :, ::4, ::6], small[:, :, :: small.shape[2] - 1, :: small.shape[3] - 1], atol=1e-6
    )
    with pytest.raises(BuildError, match=r"^an hourglass keeps the size, and stride 2 is requested"):
        at(Hourglass(LINEAR), (8, 5, 7), stride=2)


def test_scales_append_features_of_their_map_and_of_the_finer_one() -> None:
    module, x = at(MultiScale((LINEAR, LINEAR), (1, 2), growth=4, repeat=2), (8, 6, 6)), torch.randn(2, 8, 6, 6)
    halve, *_ = module.children()
    coarse = halve[0](x)
    first, second = module.get_submodule("layers")
    fine = first.own[0](x)
    parts = module.parts(x)
    assert [part.shape[1:] for part in parts] == [(24, 3, 3), (32, 3, 3)]
    assert torch.equal(parts[0], torch.cat([coarse, first.finer[0](x), first.own[1](coarse)], 1))
    # the last layer makes the coarsest map only, from the finer one of the layer before it
    finer = second.finer[0](torch.cat([x, fine], 1))
    assert torch.equal(module(x), torch.cat([parts[0], finer, second.own[0](parts[0])], 1))
    assert len(second.own) == 1


def test_a_scale_is_dropped_after_each_interval_and_widths_are_reduced() -> None:
    node = MultiScale((LINEAR,) * 3, (1, 2, 4), growth=4, repeat=7, interval=2, reduction=0.5)
    # 8 + 4 + 4; 16 + 4 = 20 are halved; 10 + 4; 14 + 4 = 18 are halved; 9 + 4 + 4
    assert [part[0] // 4 for part in node.parts(Site((8, 8, 8), 8))] == [12, 16, 10, 14, 9, 13, 17]
    with pytest.raises(BuildError, match=r"^there are 2 layers and the factors \(1,\): give one of each per scale"):
        MultiScale((LINEAR, LINEAR), (1,))
    with pytest.raises(BuildError, match=r"^layer 0 gives \(5, 8, 8\) \(C, H, W\), and \(4, 8, 8\) is requested"):
        at(MultiScale((ConvNormAct(1, 5), LINEAR), growth=4), (8, 8, 8))


def test_auxiliary_heads_read_the_parts_of_a_layer_in_training() -> None:
    body = MultiScale((LINEAR, LINEAR), growth=4, repeat=3)
    heads = tuple(Auxiliary(0, head=Classifier(5), part=part) for part in (0, 1))
    network = Network(ConvNormAct(3, 8), (body,), Classifier(5), heads)
    module, x = build(network, (3, 8, 8)), torch.randn(4, 3, 8, 8)
    logits, early, later = module(x)
    parts = module.layers[0].parts(module.stem(x))
    assert torch.allclose(early, module.auxiliary[0](parts[0]), atol=1e-5)
    assert torch.allclose(later, module.auxiliary[1](parts[1]), atol=1e-5)
    assert torch.allclose(logits, module.head(parts[2]), atol=1e-5)
    assert module.eval()(x).shape == (4, 5)
    wrong = replace(network, auxiliary=replace(heads[0], part=3))
    with pytest.raises(BuildError, match=r"^the auxiliary head reads part 3 of layer 0, which has 3: give a lower one"):
        build(wrong, (3, 8, 8))


def test_dual_paths_add_to_the_first_channels_and_append_the_others() -> None:
    x = torch.randn(2, 12, 4, 4)
    module = at(DualPath(LINEAR, growth=4), (12, 4, 4), 8)
    (body,) = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    y, change = module(x), body(x)
    assert y.shape[1] == 16
    assert torch.allclose(y[:, :8], x[:, :8] + change[:, :8])
    assert torch.equal(y[:, 8:12], x[:, 8:])
    assert torch.equal(y[:, 12:], change[:, 8:])


def test_polynomials_of_one_body_of_several_and_side_by_side() -> None:
    x = torch.randn(2, 6, 4, 4)
    body = Chain((LINEAR, LINEAR))
    poly, mpoly, way = (at(Polynomial(body, 2, kind), (6, 4, 4)) for kind in ("poly", "mpoly", "way"))
    convs = [part for part in poly.modules() if isinstance(part, nn.Conv2d)]
    assert len(convs) == 3  # the first is shared
    first = convs[1](convs[0](x))
    assert torch.allclose(poly(x), x + first + convs[2](convs[0](first)), atol=1e-5)
    a, b, c, d = (part for part in mpoly.modules() if isinstance(part, nn.Conv2d))
    assert torch.allclose(mpoly(x), x + b(a(x)) + d(c(b(a(x)))), atol=1e-5)
    a, b, c, d = (part for part in way.modules() if isinstance(part, nn.Conv2d))
    assert torch.allclose(way(x), x + b(a(x)) + d(c(x)), atol=1e-5)


def test_shared_weights_are_saved_and_read(tmp_path: Path) -> None:
    tree = Polynomial(Chain((LINEAR, LINEAR)))
    first, second = (at(tree, (6, 4, 4)) for _ in range(2))
    nn.init.zeros_(next(second.parameters()))
    save_weights(first, tmp_path / "weights.safetensors")
    load_weights(second, tmp_path / "weights.safetensors")
    x = torch.randn(2, 6, 4, 4)
    assert torch.equal(first(x), second(x))


def test_an_appending_reduction_fills_up_to_the_width() -> None:
    module, x = at(Appended(POINTWISE), (8, 8, 8), 24, 2), torch.randn(2, 8, 8, 8)
    assert module(x).shape == (2, 24, 4, 4)
    with pytest.raises(BuildError, match="nothing is left to append"):
        at(Appended(POINTWISE), (8, 8, 8), 8)


@pytest.mark.parametrize(("shape", "stride"), [((16, 6, 6), 4), ((16, 1, 8), 2), ((16, 7, 9), 2)])
def test_a_shortcut_has_the_stride_of_its_body(shape: Shape, stride: int) -> None:
    site = Site(shape, 16, stride)
    x = torch.randn(2, *shape)
    assert site.build(Residual(ConvNormAct(3)))(x).shape[1:] == site.output(ConvNormAct(3))


def test_what_cannot_stand_somewhere_says_so() -> None:
    two_inputs = nas.from_plain({"Cell": {"nodes": [[{"Edge": {"source": 0, "operation": "Skip"}}]]}})
    refused: list[tuple[Any, str]] = [
        (Chain((two_inputs,)), "a Cell with two inputs gets only one here: put it into a stage of the network"),
        (Residual(two_inputs), "a Cell with two inputs gets only one here"),
        (Wired(Pool(3, 2), 6), "give one that keeps it"),
        (ConvNormAct(3, 24, group_width=16), "24 channels are not a multiple of group width 16: change one"),
        (AttentionConv(value=1.0), "lower `value`"),
    ]
    for node, said in refused:
        with pytest.raises(BuildError, match=re.escape(said)):
            Site((16, 8, 8), 16).build(node)
    with pytest.raises(
        RecordError, match=r"ConvNormAct\.activation is 'relu': give a Node \(as Activation\('relu'\) or"
    ):
        ConvNormAct(3, activation="relu")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match=r"Activation\.name is 'rellu': did you mean 'relu'\?"):
        Activation("rellu")  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="give a name and then a list"):
        nas.one_of("k", 3)  # type: ignore[arg-type]
    with pytest.raises(BuildError, match="without a batch"):
        build(LINEAR, (1, 3, 8, 8))  # type: ignore[arg-type]


def test_a_chain_has_its_stride_where_it_says() -> None:
    site = Site((8, 8, 8), 8, 2)
    for strided in range(3):
        sizes = [inner.output(node)[1] for node, inner in Chain((POINTWISE,) * 3, strided).placed(site)]
        assert sizes == [8] * strided + [4] * (3 - strided)
    with pytest.raises(BuildError, match="`strided` is 3, and the chain has 3 nodes"):
        Chain((POINTWISE,) * 3, 3)


# ---------------------------------------------------------------------------------------------- random wiring


@pytest.mark.parametrize("graph", ["ws", "er", "ba"])
def test_a_random_graph_is_connected_and_its_own_for_each_seed(graph: Any) -> None:
    drawn = [Wired(POINTWISE, 12, graph, 4, 0.5, seed).edges() for seed in range(8)]
    assert len(set(drawn)) == 8
    assert all(i < j < 12 for edges in drawn for i, j in edges)
    if graph == "ws":
        assert {len(edges) for edges in drawn} == {24}
    if graph == "ba":
        assert {len(edges) for edges in drawn} == {32}


@pytest.mark.slow
def test_a_random_graph_is_the_same_in_every_process() -> None:
    code = "from nas.topology.wired import Wired as W; from nas.operations.skip import Skip as S\n"
    code += "print(sorted(W(S(), 9, seed=5).edges()))"
    command = [sys.executable, "-c", code]
    printed = {subprocess.check_output(command, env={"PYTHONHASHSEED": seed}, text=True) for seed in ("1", "2")}
    assert printed == {f"{sorted(Wired(Skip(), 9, seed=5).edges())}\n"}


def test_a_wired_stage_weighs_what_a_node_reads_and_averages_what_nobody_reads() -> None:
    wired = Wired(LINEAR, 5, "ws", 2, 0.5, 3)
    module, x = at(wired, (4, 6, 6)), torch.randn(2, 4, 6, 6)
    convs = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    edges = wired.edges()
    outputs: list[Tensor] = []
    for node, conv in enumerate(convs):
        read = [outputs[i] for i in range(node) if (i, node) in edges]
        total = x if not read else read[0] if len(read) == 1 else torch.stack([0.5 * each for each in read]).sum(0)
        outputs.append(conv(total))
    unread = [outputs[i] for i in range(5) if all(source != i for source, _ in edges)]
    assert torch.allclose(module(x), torch.stack(unread).mean(0), atol=1e-5)


# ---------------------------------------------------------------------------------------------- layers and operations


def test_a_shift_moves_each_group_another_way() -> None:
    x = torch.zeros(1, 9, 5, 5)
    x[:, :, 2, 2] = 1
    moved = at(Shift(3), (9, 5, 5))(x)
    places = {tuple(map(int, channel.nonzero()[0])) for channel in moved[0]}
    assert places == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}


def test_a_learned_shift_by_whole_pixels_is_a_shift() -> None:
    module, x = at(Shift(3, learned=True), (4, 6, 6)), torch.randn(2, 4, 6, 6)
    module.offset.data = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.5, 0.0]])  # type: ignore[assignment]
    y = module(x)
    assert torch.allclose(y[:, 0], x[:, 0], atol=1e-5)
    assert torch.allclose(y[:, 1, :-1], x[:, 1, 1:], atol=1e-5)
    assert torch.allclose(y[:, 2, :, 1:], x[:, 2, :, :-1], atol=1e-5)
    assert torch.allclose(y[:, 3, :-1], (x[:, 3, :-1] + x[:, 3, 1:]) / 2, atol=1e-5)


def test_a_shuffle_deals_the_groups_out() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert at(ChannelShuffle(2), (6, 1, 1))(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_squeeze_and_excitation_scales_channels_by_their_means() -> None:
    module, x = at(SqueezeExcite(4), (8, 5, 5)), torch.randn(2, 8, 5, 5)
    down, up = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    gate = up(down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
    assert torch.allclose(module(x), x * gate, atol=1e-6)
    assert [divisible(width) for width in (7, 12, 17, 22.4, 100)] == [8, 16, 16, 24, 104]


def test_an_inverted_residual_adds_its_input_where_it_fits() -> None:
    x = torch.randn(2, 16, 8, 8)
    for site, fits in ((Site((16, 8, 8), 16), True), (Site((16, 8, 8), 24), False), (Site((16, 8, 8), 16, 2), False)):
        module = site.build(MBConv(3, 4.0, 0.25)).eval()
        for weight in module.parameters():
            nn.init.zeros_(weight)
        assert torch.equal(module(x), x) is fits
    expanded, squeezed = 64, 4
    convs = 16 * expanded + 9 * expanded + expanded * 16
    excitation = 2 * expanded * squeezed + expanded + squeezed
    norms = 2 * (expanded + expanded + 16)
    counted = sum(weight.numel() for weight in Site((16, 8, 8), 16).build(MBConv(3, 4.0, 0.25)).parameters())
    assert counted == convs + excitation + norms


def test_attention_sees_the_whole_map_and_where_things_are() -> None:
    module = at(AttentionConv(3, heads=2), (8, 6, 6))
    x = torch.randn(1, 8, 6, 6, requires_grad=True)
    module(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, 5, 5].abs().max() > 0
    moved = module(x.detach().roll((1, 1), (2, 3)))
    assert not torch.allclose(moved.roll((-1, -1), (2, 3)), module(x.detach()), atol=1e-3)


def test_the_padded_shortcut_takes_every_other_pixel() -> None:
    x = torch.randn(2, 4, 6, 6)
    y = at(Skip("padded"), (4, 6, 6), 8, 2)(x)
    assert torch.equal(y[:, :4], x[:, :, ::2, ::2])
    assert not y[:, 4:].any()


def test_an_l2_pooling_is_a_norm() -> None:
    x = torch.rand(1, 2, 4, 4)
    y = at(Pool(2, kind="l2"), (2, 4, 4))(x)
    assert torch.allclose(y[0, 0, 0, 0], x[0, 0, :2, :2].square().sum().sqrt())
    with pytest.raises(RecordError, match="give 0"):
        Pool(3, kind="l2", padding=1)


# ---------------------------------------------------------------------------------------------- heads


def test_networks_are_given_other_classes_wherever_their_heads_are() -> None:
    inner = Chain((Pool(3), FullyConnected(1000, (8,))))
    network = Network(
        POINTWISE, (Stage(POINTWISE, 2),), Chain((POINTWISE, Classifier(1000))), (Auxiliary(0, head=inner),)
    )
    model = build(with_classes(network, 7), (3, 8, 8)).train()
    logits, auxiliary = model(torch.randn(2, 3, 8, 8))
    assert logits.shape == auxiliary.shape == (2, 7)
    assert with_classes(network) is network


def test_heads_are_found_in_whatever_holds_them() -> None:
    held: list[Any] = [
        Stage(Classifier(10)),
        Chain((Classifier(10), Activation("sigmoid"))),
        nas.one_of("head", [Classifier(10), FullyConnected(10, (8,))]),
    ]
    for head in held:
        assert "classes=7" in notation(with_classes(Network(POINTWISE, (), head), 7))
    with pytest.raises(RecordError, match="the network has no head whose number of classes could be 7"):
        with_classes(Network(POINTWISE, (), Pool(3)), 7)


def test_two_auxiliary_heads_may_read_one_layer() -> None:
    heads = tuple(Auxiliary(0, head=Classifier(classes)) for classes in (5, 6))
    model = build(Network(POINTWISE, (POINTWISE,), Classifier(4), heads), (3, 8, 8)).train()
    assert [each.shape[1] for each in model(torch.randn(2, 3, 8, 8))] == [4, 5, 6]


def test_several_auxiliary_heads_answer_in_training_alone() -> None:
    _, network = published("googlenet:googlenet_aux")
    with torch.device("meta"):
        model = build(with_classes(network, 10), (3, 64, 64))
        assert [each.shape for each in model(torch.randn(2, 3, 64, 64))] == [(2, 10)] * 3
        assert model.eval()(torch.randn(2, 3, 64, 64)).shape == (2, 10)


def test_mutating_an_activation_changes_one_decision_everywhere() -> None:
    activation = nas.one_of("f", [RELU, Activation("swish")])
    space = Stage(Residual(ConvNormAct(3, activation=activation), activation=activation), 3)
    mutant = nas.mutate(space, nas.sample(space, Random(0)), Random(1))
    assert mutant.body.activation == mutant.body.body.activation
    assert nas.count(space) == 2


# ---------------------------------------------------------------------------------------------- numbers of no sense


def numbers_of_nodes() -> list[tuple[Any, str]]:
    """Return each node with each of its fields that is a number."""
    import_all("nas.operations")
    nodes = LAYERS + STRUCTURES + examples("nas.operations.")
    return [(node, each.name) for node in nodes for each in fields(node) if _is_number(type(node), each.name)]


def _is_number(cls: Any, name: str) -> bool:
    return any(text in str(get_type_hints(cls)[name]) for text in ("int", "float"))


@pytest.mark.parametrize(
    ("node", "name"), numbers_of_nodes(), ids=lambda each: each if isinstance(each, str) else type(each).__name__
)
def test_zero_and_less_are_built_or_refused_in_one_line(node: Any, name: str) -> None:
    refused = {value: refusal(node, name, value) for value in (0, -1, 10**12)}
    assert not [said for said in refused.values() if "\n" in said or len(said) > 600]
    assert not [
        said for value, said in refused.items() if value <= 0 and "does not run on images" in said
    ]  # torch's words


def refusal(node: Any, name: str, value: int) -> str:
    """Return what is said of a network with a node that has this number; nothing where it is built."""
    try:
        checked_profile(Chain((ConvNormAct(3, 4), replace(node, **{name: value}))), (3, 16, 16))
    except RecordError as error:
        return str(error)
    return ""
