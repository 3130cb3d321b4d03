"""Norms, activations, gates and attention compute what their papers define, and cost what the definitions cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import nas
from nas.building import BuildError, Node, Shape, Site, build
from nas.family import family, published
from nas.layers.activation import Activation
from nas.layers.attention import BAM, SpatialGate, SqueezeExcite
from nas.layers.conv import ConvNormAct, Normalize, pair
from nas.layers.inner_imaging import InnerImaging
from nas.layers.norm import BatchNorm, GlobalResponseNorm, GroupNorm, LocalResponseNorm
from nas.layers.pool import SpatialPyramid
from nas.layers.resize import DepthToSpace, Resize, SpaceToDepth, TransposedConv
from nas.layers.self_attention import AugmentedConv, DoubleAttention, NonLocal, SelfAttention
from nas.layers.space_time import SpaceTimeConv, SpaceTimePool
from nas.notation import parse
from nas.operations.conv import Conv
from nas.operations.mbconv import MBConv
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip
from nas.profiling import profile
from nas.records import RecordError
from nas.space import one_of, resolve
from nas.testing.nodes import check_node
from nas.topology.branches import Branches
from nas.topology.residual import Residual

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE: Shape = (8, 6, 5)


def at(node: Node, shape: Shape = SHAPE, channels: int | None = None) -> nn.Module:
    """Return the module of a node with weights and statistics that all differ from their first values."""
    torch.manual_seed(0)
    module = Site(shape, channels or shape[0]).build(node).eval()
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.dim() < 2:
            tensor.uniform_(0.5, 1.5) if name.endswith("running_var") else tensor.normal_(0.5, 0.2)
        elif name.endswith("project.weight"):
            nn.init.normal_(tensor)
    return module


def image(shape: Shape = SHAPE) -> Tensor:
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))


def convs(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def alike(found: Tensor, wanted: Tensor | Any) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=found.dtype), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------- norms


def test_local_response_norm_is_the_papers_sum_over_neighbouring_channels() -> None:
    size, alpha, beta, k = 5, 0.3, 0.75, 2.0
    x = image().numpy().astype(numpy.float64)
    wanted = numpy.empty_like(x)
    for i in range(8):
        near = x[:, max(0, i - size // 2) : min(7, i + size // 2) + 1]
        wanted[:, i] = x[:, i] / (k + alpha * (near**2).sum(1)) ** beta
    alike(at(LocalResponseNorm(size, alpha, beta, k))(image()), wanted)
    alike(nn.LocalResponseNorm(size, alpha * size, beta, k)(image()), wanted)  # torch divides its alpha by the size
    with pytest.raises(BuildError, match="over 17 channels stands where there are 8: lower `size`"):
        at(LocalResponseNorm(17))


def test_batch_norm_has_the_epsilon_and_the_momentum_of_the_released_network() -> None:
    module, x = at(ConvNormAct(1, norm=BatchNorm(0.1, 0.25), activation=None)), image()
    conv, norm = module
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    weight, bias = (each.view(-1, 1, 1) for each in norm.parameters())
    scaled = (conv(x) - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + 0.1).sqrt()
    alike(module(x), scaled * weight + bias)
    assert conv.bias is None, "the norm subtracts the mean, and with it a bias"
    module.train()(x)
    alike(norm.running_mean, 0.75 * mean + 0.25 * conv(x).mean((0, 2, 3)))


@pytest.mark.parametrize(
    ("name", "epsilon", "momentum"),
    [
        ("inception:inception_v3", 1e-3, 0.1),
        ("mobilenet:mobilenet_v3_small", 1e-3, 0.01),
        ("efficientnet:efficientnet_v2_s", 1e-3, 0.1),
        ("efficientnet:efficientnet_lite0", 1e-3, 0.01),
        ("mobilenet:mobilenet_v2", 1e-5, 0.1),
    ],
)
def test_norms_of_released_networks_are_those_of_the_release(name: str, epsilon: float, momentum: float) -> None:
    with torch.device("meta"):
        model = build(published(name)[1], family(name.partition(":")[0]).input)
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]
    assert {(each.eps, each.momentum) for each in norms} == {(epsilon, momentum)}


def test_group_norm_takes_as_many_groups_as_divide_the_width() -> None:
    module, x = at(GroupNorm(3), (8, 6, 5)), image()
    assert module.num_groups == 1
    module = at(GroupNorm(4))
    grouped = x.reshape(2, 4, -1)
    normed = (grouped - grouped.mean(2, keepdim=True)) / (grouped.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    weight, bias = (each.view(-1, 1, 1) for each in module.parameters())
    alike(module(x), normed.reshape(x.shape) * weight + bias)


def test_instance_norm_takes_the_statistics_of_each_channel_of_each_image() -> None:
    module, x = at(Normalize("instance", None)), image()
    normed = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    weight, bias = (each.view(-1, 1, 1) for each in module.parameters())
    alike(module(x), normed * weight + bias)
    with pytest.raises(BuildError, match="an instance norm of a map of 1x1 pixels is zero: give another norm"):
        at(Normalize("instance"), (8, 1, 1))


def test_global_response_norm_is_algorithm_1_and_begins_at_the_identity() -> None:
    module, x = at(GlobalResponseNorm()), image()
    norms = x.square().sum((2, 3)).sqrt()
    shares = (norms / (norms.mean(1, keepdim=True) + 1e-6))[:, :, None, None]
    alike(module(x), module.weight * (x * shares) + module.bias + x)
    assert torch.equal(Site(SHAPE, 8).build(GlobalResponseNorm())(x), x)


NORMS = ("layer", "group", "instance", GroupNorm(4), LocalResponseNorm(3))


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_the_norm_of_a_convolution_is_a_field(norm: Any) -> None:
    for node in (Conv(3, norm=norm), SepConv(3, norm=norm), DilConv(3, norm=norm), MBConv(3, norm=norm)):
        check_node(node)
        assert not [part for part in at(node).modules() if isinstance(part, nn.BatchNorm2d)]
    for order in ("post", "pre"):
        conv = ConvNormAct(3, norm=norm, order=order)  # type: ignore[arg-type]
        check_node(conv)
        (made,) = convs(at(conv))
        assert (made.bias is None) is not isinstance(norm, LocalResponseNorm)  # the only one that keeps the mean


def test_norms_are_searched_and_what_was_written_before_is_written_so_still() -> None:
    space = ConvNormAct(3, 4, norm=one_of("norm", ["batch", "group", LocalResponseNorm()]))
    closed = [resolve(space, lambda choice, i=i: i) for i in range(3)]  # type: ignore[misc]
    assert [nas.build(each, (3, 8, 8))(torch.zeros(2, 3, 8, 8)).shape[1] for each in closed] == [4] * 3
    assert nas.to_plain(closed[0]) == {"ConvNormAct": {"kernel": 3, "channels": 4}} or nas.to_plain(closed[0]) == {
        "ConvNormAct": {"channels": 4}
    }
    assert nas.digest(MBConv(3)) == nas.digest(MBConv(3, norm="batch"))
    assert parse("conv3(norm=local_response_norm(size=3))") == ConvNormAct(3, norm=LocalResponseNorm(3))


# ---------------------------------------------------------------------------------------------- activation, borders


def test_a_parametric_relu_has_a_slope_per_channel() -> None:
    module, x = at(Activation("prelu")), image()
    slopes = module.weight.view(-1, 1, 1)
    alike(module(x), x.clamp(min=0) + slopes * x.clamp(max=0))
    assert profile(parse("conv3-4(activation=prelu, norm=none)"), (3, 8, 8)).params == 3 * 4 * 9 + 4 + 4
    assert Site(SHAPE, 8).build(Activation("prelu")).weight.tolist() == [0.25] * 8


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_a_convolution_continues_its_map_beyond_the_border(padding: Any) -> None:
    module, x = at(ConvNormAct(5, padding=padding, dilation=1, norm="none", activation=None)), image()
    continued = numpy.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), {"replicate": "edge"}.get(padding, padding))
    alike(module(x), functional.conv2d(torch.from_numpy(continued), module.weight, module.bias))
    assert profile(ConvNormAct(5, padding=padding), (3, 16, 16)).receptive_field == (5, 5)
    if padding == "reflect":
        with pytest.raises(BuildError, match="a 5x5 convolution mirrors more than a map of"):
            at(ConvNormAct(5, padding=padding), (8, 2, 8))


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 2, 8), (5, 2, 8), (3, 2, 7), (5, 1, 6), (2, 2, 5), (3, 3, 8)]
)
def test_upper_padding_is_that_of_tensorflow(kernel: int, stride: int, size: int) -> None:
    node, x = (
        ConvNormAct(kernel, stride=stride, padding="same_upper", norm="none", activation=None),
        image((8, size, size)),
    )
    module = at(node, (8, size, size))
    # the documentation of tf.nn, "SAME" padding
    total = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    sides = (total // 2, total - total // 2)
    padded = torch.from_numpy(numpy.pad(x.numpy(), ((0, 0), (0, 0), sides, sides)))
    (conv,) = convs(nn.Sequential(module))
    alike(module(x), functional.conv2d(padded, conv.weight, conv.bias, stride))
    assert module(x).shape[2:] == node.shape(Site((8, size, size), 8))[1:]
    check_node(MBConv(3, padding="same_upper"))


# ---------------------------------------------------------------------------------------------- gates


def test_cbam_is_a_gate_of_channels_and_one_of_pixels() -> None:
    channel, spatial, x = at(SqueezeExcite(4, pool="both")), at(SpatialGate(7, norm=False)), image()
    down, up = convs(channel)
    mean, largest = (up(down(each).relu()) for each in (x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)))
    alike(channel(x), x * (mean + largest).sigmoid())
    (conv,) = convs(spatial)
    pooled = torch.stack([x.max(1).values, x.mean(1)], 1)
    alike(spatial(x), x * functional.conv2d(pooled, conv.weight, conv.bias, padding=3).sigmoid())
    alike(at(SqueezeExcite(4, pool="max"))(x), x * up(down(x.amax((2, 3), keepdim=True)).relu()).sigmoid())
    # 2 * 64 * 4 weights and 64 + 4 biases of the channels; 98 weights and a batch norm of the pixels (released code)
    assert profile(parse('squeeze_excite(pool="both") spatial_gate7'), (64, 8, 8)).params == 512 + 68 + 98 + 2


@pytest.mark.parametrize("join", ["add", "product"])
def test_bam_adds_the_product_with_its_gate(join: Any) -> None:
    module, x = at(BAM(4, 2, join)), image()
    channel, spatial = (module.get_submodule(each) for each in ("channel", "spatial"))
    pooled, squeeze, expand = channel
    made = expand(squeeze(pooled(x)))
    alike(pooled(x), x.mean((2, 3), keepdim=True))
    gate = made * spatial(x) if join == "product" else made + spatial(x)
    alike(module(x), x + x * gate.sigmoid())
    assert [conv.dilation for conv in convs(spatial)] == [(1, 1), (2, 2), (2, 2), (1, 1)]
    # with reduction 16 of 64 channels; each 1x1 and 3x3 has biases, and all but the last a batch norm (released code)
    counts = (64 * 4 + 4 + 8) + (4 * 64 + 64) + (64 * 4 + 4 + 8) + 2 * (4 * 4 * 9 + 4 + 8) + (4 + 1)
    assert profile(BAM(), (64, 8, 8)).params == counts


def competing(gate: Node, shape: Shape) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Return a residual with a gate, an input, and the means of its body and of its shortcut, (B, C)."""
    residual = at(Residual(ConvNormAct(1), Skip(), gate=gate), shape)
    x = image(shape)
    return residual, x, residual.get_submodule("body")(x).mean((2, 3)), x.mean((2, 3))


def test_competitive_excitation_reads_both_paths() -> None:
    gate = parse("conv1(ratio=0.5, groups=2, norm=none, bias=false) conv1(norm=none, bias=false, activation=sigmoid)")
    residual, x, change, kept = competing(gate, SHAPE)
    first, second = convs(residual.get_submodule("gate"))
    halves = first.weight[:, :, 0, 0].split(2)
    squeezed = torch.cat([(mean @ half.T).relu() for mean, half in zip((change, kept), halves, strict=True)], 1)
    excited = (squeezed @ second.weight[:, :, 0, 0].T).sigmoid()
    alike(residual(x), residual.get_submodule("body")(x) * excited[:, :, None, None] + x)


@pytest.mark.parametrize(("kernel", "columns"), [((2, 1), None), ((1, 1), None), (3, 4)])
def test_inner_imaging_lays_means_out_as_the_released_code(kernel: Any, columns: int | None) -> None:
    residual, x, change, kept = competing(InnerImaging(kernel, columns, 3, 4), (16, 5, 5))
    gate = residual.get_submodule("gate")
    pair = torch.stack([change, kept], -1)[:, None]  # (B, 1, C, 2), as the code concatenates them
    weight = gate.conv[0].weight
    if columns is None:  # the code convolves (C, 2) by a kernel on its side
        weight = weight.transpose(2, 3)
        inner = pair
    else:
        folded = pair.reshape(2, 16 // columns, columns, 2).transpose(2, 3)  # (B, C / K, 2, K)
        inner = folded.reshape(2, 1, -1, columns)
    seen = gate.conv[1](functional.conv2d(inner, weight)).mean(1).flatten(1)
    if columns is None and kernel == (1, 1):
        seen = seen.reshape(2, 16, 2).transpose(1, 2).flatten(1)  # the linear layer's columns are in another order
    alike(residual(x), residual.get_submodule("body")(x) * gate.excite(seen)[:, :, None, None] + x)


def test_a_gate_that_does_not_fit_says_so() -> None:
    with pytest.raises(BuildError, match="the gate of a residual gives"):
        at(Residual(ConvNormAct(3), Skip(), gate=ConvNormAct(1, 5)))
    with pytest.raises(BuildError, match="a convolution of 3x3 does not fit the inner image of 2x8 of 8 channels"):
        at(Residual(ConvNormAct(3), Skip(), gate=InnerImaging(3)))
    with pytest.raises(BuildError, match="give an even number"):
        at(InnerImaging(), (7, 4, 4))


# ---------------------------------------------------------------------------------------------- size


def test_nearest_resizing_repeats_pixels() -> None:
    x = image()
    alike(at(Resize(2.0, "nearest"))(x), numpy.repeat(numpy.repeat(x.numpy(), 2, 2), 2, 3))


@pytest.mark.parametrize(("kernel", "scale"), [(2, 2), (3, 2), (4, 2), (3, 3), (5, 3), (3, 1)])
def test_a_transposed_convolution_adds_scaled_kernels(kernel: int, scale: int) -> None:
    node = TransposedConv(kernel, 4, scale, norm="none", activation=None)
    (module,), x = at(node), image()
    added = torch.zeros(2, 4, 5 * scale + kernel, 4 * scale + kernel)  # with one more row and column
    for i in range(6):
        for j in range(5):
            rows, columns = slice(i * scale, i * scale + kernel), slice(j * scale, j * scale + kernel)
            added = (
                torch.cat([added, torch.zeros(2, 4, scale, added.shape[3])], 2) if rows.stop > added.shape[2] else added
            )
            added[:, :, rows, columns] += torch.einsum("bc,cokl->bokl", x[:, :, i, j], module.weight.detach())
    crop = (kernel - scale + 1) // 2
    wanted = added[:, :, crop : crop + 6 * scale, crop : crop + 5 * scale] + module.bias.detach().view(-1, 1, 1)
    alike(module(x), wanted)
    assert at(node)(x).shape[1:] == Site(SHAPE, 8).output(node)
    assert profile(node, SHAPE).macs == 30 * 8 * 4 * kernel**2


def test_a_transposed_convolution_that_leaves_pixels_out_is_refused() -> None:
    for node in (TransposedConv(2, scale=3), TransposedConv(4, scale=1)):
        with pytest.raises(BuildError, match="give a kernel of at least the scale, and an odd one for scale 1"):
            at(node)


def test_squares_of_pixels_become_channels_and_come_back() -> None:
    x = image((8, 6, 4))
    deep = at(SpaceToDepth(2), (8, 6, 4))(x)
    alike(deep[:, 4:8], torch.stack([x[:, 1, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1))
    assert torch.equal(at(DepthToSpace(2), (32, 3, 2))(deep), x)
    with pytest.raises(BuildError, match="a map of 6x5 is not made of squares of 2 pixels"):
        at(SpaceToDepth(2))
    with pytest.raises(BuildError, match="8 channels do not fill squares of 3 pixels: give a multiple of 9"):
        at(DepthToSpace(3))


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_a_spatial_pyramid_has_the_papers_windows(kind: Any) -> None:
    shape, levels = (4, 13, 13), (3, 2, 1)  # figure 4 of He et al.: windows of 5, 7 and 13 pixels, 4, 6 and 13 apart
    x, pool = image(shape), functional.max_pool2d if kind == "max" else functional.avg_pool2d
    wanted = [pool(x, -(-13 // level), 13 // level).flatten(1) for level in levels]
    found = at(SpatialPyramid(levels, kind), shape)
    alike(found(x), torch.cat(wanted, 1)[:, :, None, None])
    adaptive, other = (
        functional.adaptive_max_pool2d if kind == "max" else functional.adaptive_avg_pool2d,
        image((4, 11, 6)),
    )
    alike(found(other), torch.cat([adaptive(other, level).flatten(1) for level in levels], 1)[:, :, None, None])
    assert Site(shape, 8).output(SpatialPyramid(levels)) == (4 * 14, 1, 1)
    assert (
        profile(parse("conv3-4 spatial_pyramid classifier(classes=5)"), (3, 14, 14)).params == 108 + 8 + 4 * 21 * 5 + 5
    )
    assert min(profile(SpatialPyramid(), (4, 13, 13)).receptive_field) == 13
    with pytest.raises(BuildError, match="a spatial pyramid has no levels"):
        SpatialPyramid(())


@pytest.mark.parametrize(("kernel", "time"), [(3, 3), ((1, 5), 1), (1, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_space_time_convolution_is_a_3d_convolution_of_the_clip(kernel: Any, time: int, stride: int) -> None:
    node = SpaceTimeConv(kernel, 5, time, 4, stride)
    shape: Shape = (8, 6, 7)  # 2 channels of 4 frames
    module, x, (height, width) = at(node, shape), image(shape), pair(kernel)
    (conv,) = (part for part in module.modules() if isinstance(part, nn.Conv3d))
    (norm,) = (part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    clip = torch.stack([torch.stack([x[:, c * 4 + t] for t in range(4)], 1) for c in range(2)], 1)
    wanted = functional.conv3d(clip, conv.weight, None, (1, stride, stride), (time // 2, height // 2, width // 2))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    wanted = functional.batch_norm(wanted, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
    found = module(x)
    assert found.shape[1:] == Site(shape, 8).output(node)
    for frame in range(4):
        alike(found[:, frame::4], wanted[:, :, frame])
    costs = profile(node, shape)
    weights, pixels = 5 * 2 * time * height * width, -(-6 // stride) * -(-7 // stride)
    assert (costs.params, costs.macs) == (weights + 10, weights * 4 * pixels)
    assert costs.receptive_field == (height, width)


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_space_time_pooling_is_3d_pooling_of_the_clip(kind: Any) -> None:
    shape: Shape = (8, 6, 7)
    x, node = image(shape), SpaceTimePool(3, 3, 4, 2, kind)
    clip = x.reshape(2, 2, 4, 6, 7)
    if kind == "max":
        wanted = functional.max_pool3d(clip, 3, (1, 2, 2), 1)
    else:
        wanted = functional.avg_pool3d(clip, 3, (1, 2, 2), 1, count_include_pad=False)
    alike(at(node, shape)(x), wanted.reshape(2, 8, 3, 4))
    assert Site(shape, 8).output(node) == (8, 3, 4)
    costs = profile(node, shape)
    assert (costs.params, costs.macs, costs.receptive_field) == (0, 0, (3, 3))


def test_the_receptive_field_of_clips_is_that_of_their_pixels() -> None:
    tree = parse("space_time_conv3/2(frames=4) space_time_pool3(frames=4, stride=2) space_time_conv1x3(frames=4)")
    assert profile(tree, (8, 32, 32)).receptive_field == (3 + 2 * 2, 3 + 2 * 2 + 2 * 4)


def test_the_statistics_of_a_channel_are_those_of_all_its_frames() -> None:
    shape: Shape = (8, 6, 7)
    module, x = Site(shape, 8).build(SpaceTimeConv(1, frames=4, kernel_time=1, activation=None)), image(shape)
    clips = module(x).reshape(2, 2, 4, 6, 7)
    alike(clips.mean((0, 2, 3, 4)), torch.zeros(2))
    assert clips.mean((0, 3, 4)).abs().min() > 1e-4, "a frame alone has another mean"


def test_clips_that_do_not_fit_are_refused() -> None:
    for node, words in (
        (SpaceTimeConv(frames=3), "a map of 8 channels is no clip of 3 frames"),
        (SpaceTimePool(frames=3), "a map of 8 channels is no clip of 3 frames"),
        (
            SpaceTimePool(3, 5, 4, kind="mean"),
            r"a mean of \(5, 3, 3\) \(T, H, W\) is larger than the clip, \(4, 6, 5\)",
        ),
        (SpaceTimeConv(frames=4, kernel_time=2), "a window of 2x3x3 does not keep the size: give odd kernels"),
    ):
        with pytest.raises(BuildError, match=words):
            at(node)
    with pytest.raises(BuildError, match="a width of 6 is no multiple of 4 frames: give channels"):
        at(SpaceTimeConv(frames=4), channels=6)


def field_seen(tree: Node, pixels: int) -> int:
    """Return the largest height of the part of the input on which a pixel near the middle of the output depends."""
    module = build(tree, (1, pixels, pixels)).double().eval()
    for weight in module.parameters():
        nn.init.constant_(weight, 1.0)
    heights = []
    x = torch.ones(1, 1, pixels, pixels, dtype=torch.float64, requires_grad=True)
    y = module(x)
    for i in range(y.shape[2] // 2 - 3, y.shape[2] // 2 + 3):
        (gradient,) = torch.autograd.grad(y[0, :, i, y.shape[3] // 2].sum(), x, retain_graph=True)
        rows = gradient[0, 0].nonzero()[:, 0]
        heights.append(int(rows.max() - rows.min()) + 1)
    return max(heights)


ENLARGED = "transposed_conv2-1 transposed_conv3-1 transposed_conv4-1 transposed_conv5-1(scale=3)".split()
ENLARGED += [
    'resize(factor=2.0,mode="nearest")',
    "conv1-4(norm=none) depth_to_space",
    "space_to_depth",
    "space_to_depth conv1-4",
]


@pytest.mark.parametrize("text", ENLARGED)
@pytest.mark.parametrize("then", ["", "conv3-1", "conv3-4 conv3-1"])
def test_the_receptive_field_follows_maps_that_grow(text: str, then: str) -> None:
    tree = parse(f"[{text} {then}]")
    assert profile(tree, (1, 24, 24)).receptive_field[0] == field_seen(tree, 24)


# ---------------------------------------------------------------------------------------------- joined paths


def test_the_maximum_of_paths_is_maxout_and_the_product_a_gated_linear_unit() -> None:
    linear = ConvNormAct(1, norm="none", activation=None)
    maxout, x = at(Branches((linear,) * 3, "max"), channels=6), image()
    alike(maxout(x), torch.stack([conv(x) for conv in convs(maxout)]).max(0).values)
    gated = at(Branches((linear, replace(linear, activation=Activation("sigmoid"))), "product"), channels=6)
    conv, gate = convs(gated)
    alike(gated(x), conv(x) * gate(x).sigmoid())
    with pytest.raises(BuildError, match="unless they are concatenated, their widths too"):
        at(Branches((ConvNormAct(1, 4), ConvNormAct(1, 5)), "max"))


# ---------------------------------------------------------------------------------------------- attention


def attention_by_loops(
    queries: Any, keys: Any, values: Any, heads: int, scale: float, rows: Any = None, columns: Any = None
) -> Any:
    """Return attention pixel by pixel, in numpy; maps are (C, H, W)."""
    _, height, width = queries.shape
    made = numpy.zeros((len(values), height, width))
    per_key, per_value = len(keys) // heads, len(values) // heads
    for head in range(heads):
        query, key = (each[head * per_key : (head + 1) * per_key] for each in (queries, keys))
        value = values[head * per_value : (head + 1) * per_value].reshape(per_value, -1)
        for i in range(height):
            for j in range(width):
                scores = query[:, i, j] @ key.reshape(per_key, -1)
                if rows is not None:
                    by_row = [rows[a - i + height - 1] @ query[:, i, j] for a in range(height)]
                    by_column = [columns[b - j + width - 1] @ query[:, i, j] for b in range(width)]
                    scores = scores + numpy.add.outer(by_row, by_column).ravel()
                weights = numpy.exp(scale * scores - (scale * scores).max())
                made[head * per_value : (head + 1) * per_value, i, j] = value @ (weights / weights.sum())
    return made


def arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().double().numpy() for tensor in tensors]


@pytest.mark.parametrize(("relative", "pool", "scale"), [(True, 1, True), (False, 2, False), (False, 1, True)])
def test_self_attention_is_a_weighted_mean_of_all_pixels(relative: bool, pool: int, scale: bool) -> None:
    module, x = at(SelfAttention(2, 6, 1.0, 2 / 3, relative, pool, scale)), image()[:1]
    pooled = functional.max_pool2d(x, pool, ceil_mode=True)
    keys, values = module.keys_values(pooled)[0].split([6, 4])
    positions = arrays(module.rows, module.columns) if relative else ()
    factor = 3**-0.5 if scale else 1.0
    mean = attention_by_loops(*arrays(module.queries(x)[0], keys, values), 2, factor, *positions)
    alike(module(x), module.project(torch.from_numpy(mean).float()[None]).detach())


def test_an_augmented_convolution_is_a_convolution_beside_attention() -> None:
    module, x = at(AugmentedConv(3, heads=2, key=0.5, value=0.25, norm="none", activation=None))[0], image()[:1]
    queries, keys, values = module.queries_keys_values(x)[0].split([4, 4, 2])
    mean = attention_by_loops(*arrays(queries, keys, values), 2, 2**-0.5, *arrays(module.rows, module.columns))
    attended = module.project(torch.from_numpy(mean).float()[None])
    alike(module(x), torch.cat([module.conv(x), attended], 1).detach())


def test_an_augmented_convolution_costs_what_the_paper_counts() -> None:
    node = AugmentedConv(3, 40, heads=4, key=0.2, value=0.2, least_key=5, norm="none", activation=None)
    inside, dk, dv, size = 16, 4 * 5, 4 * 2, 6
    costs = profile(node, (inside, size, size))
    positions = 2 * (2 * size - 1) * dk // 4
    assert costs.params == 9 * inside * (40 - dv) + (inside + 1) * (2 * dk + dv) + (dv + 1) * dv + positions
    pixels = size**2
    of_attention = pixels**2 * (dk + dv) + pixels * 2 * size * dk
    assert costs.macs == pixels * (9 * inside * (40 - dv) + inside * (2 * dk + dv) + dv * dv) + of_attention
    assert min(costs.receptive_field) >= size
    with pytest.raises(BuildError, match="attention takes 8 of 8 channels"):
        at(AugmentedConv(3, heads=8))


def test_a_non_local_block_adds_the_embedded_gaussian() -> None:
    module, x = at(NonLocal(2, 1, norm=False)), image()[:1]
    attention = module.get_submodule("body")
    queries, keys_values = attention.queries(x)[0], attention.keys_values(x)[0]
    mean = attention_by_loops(*arrays(queries, keys_values[:4], keys_values[4:]), 1, 1.0)
    alike(module(x), x + attention.project(torch.from_numpy(mean).float()[None]).detach())
    for node in (NonLocal(), NonLocal(norm=False)):
        assert torch.equal(Site(SHAPE, 8).build(node)(x), x)  # the identity at the beginning
    # theta, phi, g and W of Wang et al., with biases, and a batch norm
    assert profile(NonLocal(), (64, 8, 8)).params == 3 * (64 * 32 + 32) + (32 * 64 + 64) + 2 * 64
    # keys and values on 16 pixels
    assert profile(NonLocal(), (64, 8, 8)).macs == 64 * 32 * (64 + 2 * 16 + 64) + 64 * 16 * 32 * 2


def test_double_attention_gathers_and_distributes() -> None:
    module, x = at(DoubleAttention(features=3, maps=5)), image()[:1]
    features, maps, vectors = arrays(
        *(part(x)[0].flatten(1) for part in (module.features, module.maps, module.vectors))
    )
    gathered = features @ (numpy.exp(maps) / numpy.exp(maps).sum(1, keepdims=True)).T
    distributed = gathered @ (numpy.exp(vectors) / numpy.exp(vectors).sum(0))
    mean = torch.from_numpy(distributed.reshape(3, 6, 5)).float()[None]
    alike(module(x), x + module.project(mean).detach())
    costs = profile(DoubleAttention(), (64, 8, 8))
    assert costs.params == 3 * (64 * 16 + 16) + (16 * 64 + 64)
    assert costs.macs == 64 * (4 * 64 * 16) + 64 * 16 * 16 * 2


GLOBAL = (
    "non_local double_attention self_attention augmented_conv3(heads=2) normalize(norm=group) normalize(norm=instance)"
)
GLOBAL += ' global_response_norm squeeze_excite(pool="both") bam'


@pytest.mark.parametrize("text", GLOBAL.split())
def test_what_reads_the_whole_map_has_a_receptive_field_of_it(text: str) -> None:
    tree, pixels = parse(f"conv3-16/2(activation=none) {text} conv1"), (20, 24)
    assert all(field >= size for field, size in zip(profile(tree, (3, *pixels)).receptive_field, pixels, strict=True))
    module = build(tree, (3, *pixels)).eval()
    for weight in module.parameters():
        nn.init.uniform_(weight, 0.0, 0.2)
    x = torch.rand(1, 3, *pixels, requires_grad=True)
    module(x)[0, :, 0, 0].square().sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, -1, -1].any()


NODES = """group_norm local_response_norm global_response_norm prelu squeeze_excite(pool="both") spatial_gate7 bam
bam(join="product") self_attention(heads=4) self_attention(relative=true) non_local double_attention
augmented_conv3(heads=2,value=0.25) transposed_conv4 transposed_conv3(scale=1) space_to_depth depth_to_space
spatial_pyramid resize(factor=2.0,mode="nearest") branches(join="max")[conv3,conv1] branches(join="product")[conv3,conv1]
inner_imaging2x1 residual(gate=inner_imaging2x1)[conv3] space_time_conv3(frames=4) space_time_pool3(frames=4)"""


@pytest.mark.parametrize("text", NODES.split())
def test_what_holds_for_every_node(text: str) -> None:
    check_node(parse(text))


def test_relative_positions_of_pooled_pixels_are_refused() -> None:
    with pytest.raises(RecordError, match="give pool 1, or no relative positions"):
        SelfAttention(relative=True, pool=2)
