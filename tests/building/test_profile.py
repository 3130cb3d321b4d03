"""Profiles see what a network sees and keeps: receptive fields against the gradient's support, memory, depth, and layers."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import nn

import nas
from nas.building import Node, Shape
from nas.family import published
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import parse
from nas.operations.pooling import MaxPool
from nas.operations.self_attention import AttentionConv
from nas.plain import from_plain
from nas.profiling import Layer, Profile, profile_module
from nas.records import to_plain
from nas.topology.chain import Chain, Stage

THREE = Stage(ConvNormAct(3), 3)


def narrowed(tree: Any, by: int = 16) -> Any:
    """Return a network with fewer channels everywhere, and so with the same geometry."""

    def narrow(plain: Any) -> Any:
        if isinstance(plain, list):
            return [narrow(part) for part in plain]
        if not isinstance(plain, dict):
            return plain
        return {
            key: max(4, value // by) if key in ("channels", "classes") and isinstance(value, int) else narrow(value)
            for key, value in plain.items()
        }

    return from_plain(narrow(to_plain(tree)))


def seen(tree: Node, pixels: int) -> tuple[int, int]:
    """Return height and width of the part of the input on which the middle of the last map depends, by its gradient."""
    model = nas.build(tree, (3, pixels, pixels)).double().eval()
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())  # a mean: nothing cancels
        if isinstance(module, nn.MaxPool2d):  # the gradient of a maximum reaches one pixel only
            mean = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            model.set_submodule(name, mean)
    maps: list[torch.Tensor] = []
    head = getattr(model, "head", None)
    if head is not None:
        head.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    image = torch.ones(1, 3, pixels, pixels, dtype=torch.float64, requires_grad=True)
    output = model(image)
    last = maps[0] if maps else output
    last[0, :, last.shape[2] // 2, last.shape[3] // 2].sum().backward()
    assert image.grad is not None
    rows, columns = image.grad[0].sum(0).nonzero(as_tuple=True)
    assert rows.min() > 0
    assert rows.max() < pixels - 1
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def narrow(name: str) -> Any:
    return narrowed(published(name)[1])


@pytest.mark.parametrize(
    ("tree", "field", "pixels"),
    [
        (THREE, 7, 16),
        (narrow("vgg:vgg16"), 212, 288),
        (narrow("resnet:resnet50_v1"), 483, 608),
        (narrow("resnet:resnet50"), 427, 544),
        (narrow("densenet:densenet121"), 2071, 0),
        (parse("[conv3-4 dense[conv3-4 conv3] pool2(padding=0)]"), 20, 48),
        (parse("branches[conv1-4, conv1x7-4 conv7x1, pool3/1 conv5-4]"), 7, 24),
        (parse("[conv5-4/2(dilation=2) residual[conv3]]"), 13, 32),
        (parse("shift_conv3 x2-18"), 5, 32),
        (parse('[skip(strided="padded") x1-8/2 conv3]'), 5, 32),
        (parse("[skip x1-8/2 conv3]"), 6, 32),
    ],
    ids="three vgg16 resnet50_v1 resnet50 densenet121 dense branches dilated shifts padded factorised".split(),
)
def test_the_receptive_field_is_the_support_of_the_gradient(tree: Any, field: int, pixels: int) -> None:
    costs = nas.profile(tree, (3, pixels or 224, pixels or 224))
    assert costs.receptive_field == (field, field)
    if pixels:
        assert seen(tree, pixels) == (field, field)


def test_a_receptive_field_may_be_longer_than_high() -> None:
    tree = ConvNormAct((1, 7), 4, 2)
    assert nas.profile(tree, (3, 32, 32)).receptive_field == seen(tree, 32) == (1, 7)


def test_strides_and_fields_are_told_layer_by_layer() -> None:
    layers = nas.profile(published("resnet:resnet18")[1], (3, 224, 224)).layers
    convs = [layer for layer in layers if layer.kind == "Conv2d" and "shortcut" not in layer.name]
    assert [layer.stride[0] for layer in convs] == [2, *[4] * 4, *[8] * 4, *[16] * 4, *[32] * 4]
    fields = [layer.receptive_field[0] for layer in convs]
    assert fields == sorted(fields)
    assert fields[0] == 7


def test_the_depth_is_that_of_the_names() -> None:
    for depth in (18, 34, 50, 101, 152):
        assert nas.profile(published(f"resnet:resnet{depth}")[1], (3, 224, 224)).depth == depth
    assert nas.profile(published("vgg:vgg16")[1], (3, 224, 224)).depth == 16


def test_memory_is_let_go_when_the_last_reader_is_done() -> None:
    pixels = 16 * 16 * 4  # bytes of a channel
    assert nas.profile(Chain(()), (3, 16, 16)).peak_activation_bytes == 3 * pixels
    serial = nas.profile(Stage(ConvNormAct(3, 8, norm="none", activation=None), 5), (3, 16, 16))
    assert serial.peak_activation_bytes == (3 + 16) * pixels  # the image, and two maps at a time, however deep
    assert serial.activation_bytes == 5 * 8 * pixels
    dense = nas.profile(parse('dense(repeat=4, growth=8)[conv1(norm="none", activation=none)]'), (8, 16, 16))
    assert dense.peak_activation_bytes >= (8 + 16 + 24 + 32 + 40) * pixels / 2
    shallow, deep = (nas.profile(published(f"resnet:resnet{depth}")[1], (3, 224, 224)) for depth in (50, 152))
    assert shallow.peak_activation_bytes == deep.peak_activation_bytes < shallow.activation_bytes / 8


def test_weights_and_what_looks_at_them_are_no_activations() -> None:
    costs = nas.profile(published("vgg:vgg16")[1], (3, 224, 224))
    pixels = 224 * 224 * 4
    assert costs.peak_activation_bytes == pytest.approx((3 + 64 + 64) * pixels, rel=0.01)


def test_weights_that_are_shared_count_once() -> None:
    tree = parse("polynomial[conv3 conv3]")
    costs = nas.profile(tree, (8, 8, 8))
    assert sum(layer.params for layer in costs.layers) == costs.params


def test_a_module_is_left_as_it_was() -> None:
    model = nas.build(parse("[conv3-4 conv3]"), (3, 8, 8))
    model[1].eval()  # type: ignore[index]
    for shape in ((3, 8, 8), (5, 8, 8)):
        with suppress(RuntimeError):
            profile_module(model, shape)
        assert [part.training for part in model.children()] == [True, False]
        assert not any(part._forward_hooks for part in model.modules())


def test_weights_take_memory_by_their_type() -> None:
    costs = nas.profile(THREE, (3, 8, 8))
    assert costs.weight_bytes == {"float32": 4 * costs.params, "bfloat16": 2 * costs.params, "int8": costs.params}


def test_poolings_of_cells_and_of_layers_reach_alike() -> None:
    for pool in (Pool(3, 2), Stage(MaxPool(3), stride=2)):
        costs = nas.profile(Chain((pool, ConvNormAct(3))), (3, 16, 16))
        assert costs.receptive_field == (7, 7)


def test_a_profile_allocates_no_weights() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    costs = nas.profile(from_plain({"FullyConnected": {"classes": 1000, "hidden": [400_000, 400_000]}}), (3, 224, 224))
    assert costs.weight_bytes["float32"] > 600e9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


# ---------------------------------------------------------------------------------------------- published layers


def layers_of(name: str, kind: str, input: Shape | None = None) -> list[Layer]:
    found, architecture = published(name)
    costs: Profile = nas.profile(architecture, input or found.input_of(name.partition(":")[2]))
    return [layer for layer in costs.layers if layer.kind in kind.split()]


def weights(layer: Layer) -> int:
    """Return the weights of a convolution or linear layer with a bias for each output."""
    return layer.params - layer.output[0]


def test_vgg16_layer_by_layer() -> None:
    convs = [weights(layer) for layer in layers_of("vgg:vgg16", "Conv2d Linear")]
    assert convs[:4] == [1_728, 36_864, 73_728, 147_456]
    assert convs[4:13] == [294_912, 589_824, 589_824, 1_179_648, *[2_359_296] * 5]
    assert convs[13:] == [102_760_448, 16_777_216, 4_096_000]


def test_alexnet_of_two_groups_begins_as_published() -> None:
    first = layers_of("alexnet:alexnet_groups", "Conv2d", (3, 227, 227))[0]
    assert (first.macs, first.params) == (105_415_200, 34_944)


GOOGLENET = """64/96/128/16/32/32 128/128/192/32/96/64 192/96/208/16/48/64 160/112/224/24/64/64 128/128/256/24/64/64
112/144/288/32/64/64 256/160/320/32/128/128 256/160/320/32/128/128 384/192/384/48/128/128"""
"""Szegedy et al. 2015, table 1, columns #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj, modules 3a to 5b."""


def test_googlenet_module_by_module() -> None:
    modules: dict[str, list[Layer]] = {}
    for layer in layers_of("googlenet:googlenet_v1", "Conv2d"):
        if layer.name.startswith("layers."):
            modules.setdefault(layer.name.split(".")[1], []).append(layer)
    incoming, expected = 192, []
    for widths in GOOGLENET.split():
        only, before_3, conv_3, before_5, conv_5, pooled = map(int, widths.split("/"))
        pointwise = incoming * (only + before_3 + before_5 + pooled)
        expected.append(pointwise + 9 * before_3 * conv_3 + 25 * before_5 * conv_5)
        incoming = only + conv_3 + conv_5 + pooled
    assert [sum(map(weights, layers)) for layers in modules.values()] == expected
    assert expected[0] == 163_328
    assert sum(layer.params for layer in next(iter(modules.values()))) == 163_696  # 159K in units of 1,024


def test_squeezenet_by_fire_modules() -> None:
    modules: dict[str, int] = {}
    for layer in layers_of("squeezenet:squeezenet1_0", "Conv2d"):
        if layer.name.startswith("layers."):
            name = layer.name.split(".")[1]
            modules[name] = modules.get(name, 0) + layer.params
    # Iandola et al. 2016, table 1: fire2 to fire9
    assert list(modules.values()) == [11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184]


def test_the_products_of_attention_are_counted_once_and_named() -> None:
    heads, key, value, pixels = 2, 4, 6, 8 * 8
    costs = nas.profile(AttentionConv(3, heads, key / 16, value / 16), (16, 8, 8))
    (attention,) = [layer for layer in costs.layers if layer.kind not in LEAVES]
    of_positions = pixels * (8 + 8) * key  # each query with each row, and with each column
    assert attention.macs == pixels * pixels * (key + value) + of_positions
    assert sum(layer.macs for layer in costs.layers) == costs.macs
    assert sum(layer.params for layer in costs.layers) == costs.params


LEAVES = ("BatchNorm2d", "Conv2d", "Identity", "ReLU")
