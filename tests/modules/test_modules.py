"""Modules that exist are spaces: their slices are what a hand would slice, and cost what the profile says."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from existing_modules import Gated, Shuffled, concatenated, resnet
from torch import Tensor, nn
from torch.nn import functional

import nas
from nas.building import build
from nas.choice import SpaceError
from nas.modules import family, options_of
from nas.modules.groups import find_groups, ignore
from nas.modules.making import made, settled
from nas.modules.sliced_module import ChannelShare, SlicedModule, channels_kept
from nas.modules.slicing import importance, slice_module
from nas.morphisms.ordering import Importance
from nas.notation import notation, parse
from nas.plain import from_plain
from nas.profiling import profile, profile_module
from nas.records import RecordError, to_plain
from nas.runs.spaces import named_space, of_space
from nas.runs.written import of_tree
from nas.training import save_weights
from search_spaces.resnet import PUBLISHED

pytest.importorskip("torch_pruning")
pytestmark = pytest.mark.usefixtures("one_thread")

INPUT = (1, 8, 8)
IMAGES = torch.rand(3, *INPUT, generator=torch.Generator().manual_seed(0))


def space_of(module: nn.Module) -> SlicedModule:
    return nas.from_module(module, IMAGES)


def outputs(module: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = module.eval()(IMAGES)
    return found


@pytest.mark.parametrize("make", [resnet, concatenated])
def test_the_full_ratio_is_the_module_exactly(make: Any) -> None:
    module = make()
    whole = nas.resolve(space_of(module), lambda choice: choice.arity - 1)
    built = build(whole, INPUT)
    assert {name: each.tolist() for name, each in built.state_dict().items()} == {
        name: each.tolist() for name, each in module.state_dict().items()
    }
    assert torch.equal(outputs(built), outputs(module))


def test_the_groups_of_a_residual_network_are_its_streams_and_what_is_inside_of_its_blocks() -> None:
    names = [share.layer for share in space_of(resnet()).shares]
    assert names == ["conv1", "layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "layer2.0.conv2", "layer2.1.conv1"]
    groups = {group.layer: {cut.layer for cut in group.cuts} for group in find_groups(resnet(), INPUT).groups}
    assert groups["layer2.0.conv2"] == {
        *("layer2.0.conv2", "layer2.0.bn2", "layer2.0.downsample.0", "layer2.0.downsample.1", "layer2.1.conv1"),
        *("layer2.1.conv2", "layer2.1.bn2", "fc"),
    }
    assert find_groups(resnet(), INPUT).whole == {"fc": "they are outputs of the module"}


@pytest.mark.parametrize("by", ["l1", "l2"])
def test_a_network_of_concatenations_is_sliced_as_by_hand(by: Importance) -> None:
    module: Any = concatenated()
    space = nas.from_module(module, IMAGES, ratios=(0.5, 1.0), by=by)
    assert [share.layer for share in space.shares] == ["wide", "narrow", "dense"]
    built = build(nas.resolve(space, lambda choice: 0), INPUT)

    def kept(conv: nn.Conv2d, count: int) -> Tensor:
        norms = conv.weight.detach().flatten(1).norm(1 if by == "l1" else 2, 1)
        return norms.argsort(descending=True)[:count].sort().values

    wide, narrow, dense = kept(module.wide, 3), kept(module.narrow, 2), kept(module.dense, 2)
    both = torch.cat([wide, narrow + 6])
    maps = [(module.wide, wide, 1), (module.narrow, narrow, 0)]
    x = torch.cat([functional.conv2d(IMAGES, conv.weight[at], conv.bias[at], padding=pad) for conv, at, pad in maps], 1)
    norm = module.norm
    statistics = (each[both] for each in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    x = functional.batch_norm(x, *statistics).relu()
    grown = functional.conv2d(x, module.dense.weight[dense][:, both], module.dense.bias[dense], padding=1).relu()
    x = torch.cat([x, grown], 1).mean((2, 3))
    wanted = functional.linear(x, module.fc.weight[:, torch.cat([both, dense + 11])], module.fc.bias)
    torch.testing.assert_close(outputs(built), wanted, rtol=1e-5, atol=1e-5)


def test_a_channel_of_a_flattened_map_is_several_columns() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(1, 6, 3), nn.Linear(6 * 9, 10)
    module = nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), linear)
    built = build(nas.resolve(nas.from_module(module, IMAGES, ratios=(0.5, 1.0)), lambda choice: 0), INPUT)
    best = conv.weight.detach().flatten(1).abs().sum(1).argsort(descending=True)[:3].sort().values
    x = functional.max_pool2d(functional.conv2d(IMAGES, conv.weight[best], conv.bias[best]).relu(), 2).flatten(1)
    columns = (best[:, None] * 9 + torch.arange(9)).flatten()
    wanted = functional.linear(x, linear.weight[:, columns], linear.bias)
    torch.testing.assert_close(outputs(built), wanted, rtol=1e-5, atol=1e-5)


def test_a_slice_computes_what_the_module_computes_when_nothing_reads_the_other_channels() -> None:
    module = resnet()
    space, groups = space_of(module), find_groups(module, INPUT).groups
    for seed in range(5):
        member = nas.sample(space, Random(seed))
        gone = {}
        for group, share in zip(groups, member.shares, strict=True):
            scores = importance(module, group, "l1").tolist()
            ranked = sorted(range(group.channels), key=lambda each, scores=scores: -scores[each])
            gone[group.layer] = ranked[channels_kept(share.keeps, group.channels) :]
        ignoring = resnet()
        ignore(ignoring, groups, gone)
        torch.testing.assert_close(outputs(build(member, INPUT)), outputs(ignoring), rtol=1e-4, atol=1e-5)


def test_gates_and_depthwise_convolutions_are_narrowed_with_their_channels_and_grouped_ones_stay() -> None:
    torch.manual_seed(0)
    with pytest.warns(
        UserWarning, match="layer 'before', and those of 1 more stay: the convolution 'grouped' has groups"
    ):
        space = nas.from_module(Gated(), IMAGES, ratios=(0.5, 1.0))
    assert [share.layer for share in space.shares] == ["stem", "expand", "squeeze"]
    built: Any = build(nas.resolve(space, lambda choice: 0), INPUT)
    assert built.depthwise.weight.shape == (6, 1, 3, 3)
    assert built.squeeze.weight.shape == (2, 6)
    assert built.excite.weight.shape == (6, 2)
    assert built.project.weight.shape == (3, 6, 1, 1)
    assert built.after.weight.shape == (3, 8, 1, 1)
    assert outputs(built).shape == (3, 10)


def test_scales_of_norms_rank_channels() -> None:
    module: Any = resnet()
    space = nas.from_module(module, IMAGES, ratios=(0.25, 1.0), by="norm_scale")
    built: Any = build(nas.resolve(space, lambda choice: 0), INPUT)
    best = module.layer1[0].bn1.weight.argsort(descending=True)[:2].sort().values
    assert torch.equal(built.layer1[0].bn1.weight, module.layer1[0].bn1.weight[best])
    assert built.layer1[0].conv1.weight.shape == (2, 2, 3, 3)


def test_predicted_costs_are_those_of_the_network_that_is_built_and_those_by_hand() -> None:
    space = space_of(resnet())
    for seed in range(5):
        member = nas.sample(space, Random(seed))
        predicted, measured = profile(member, INPUT), profile_module(build(member, INPUT), INPUT)
        assert (predicted.macs, predicted.params) == (measured.macs, measured.params)
        widths = [channels_kept(share.keeps, 8 if i < 3 else 16) for i, share in enumerate(member.shares)]
        stem, a, b, c, last, d = widths
        macs = 64 * 9 * (stem + 2 * stem * a + 2 * stem * b)
        macs += 16 * (9 * (stem * c + c * last + 2 * last * d) + stem * last) + last * 10
        assert predicted.macs == macs


def test_a_network_of_this_project_is_a_module_too() -> None:
    module = build(PUBLISHED["resnet20_cifar"], (3, 32, 32))
    # zeros are padded to its shortcuts, by which channels of two stages would go together: only what is inside blocks goes
    with pytest.warns(UserWarning, match=r"the channels of layer 'stem\.0' stay: without some of them"):
        space = nas.from_module(module, (3, 32, 32))
    assert [share.layer for share in space.shares] == [f"layers.{i}.0.body.0.0" for i in range(9)]
    half = nas.resolve(space, lambda choice: 1)
    assert profile(half, (3, 32, 32)).macs < 0.6 * profile_module(module, (3, 32, 32)).macs


def test_ratios_that_keep_equally_many_channels_are_one_option() -> None:
    space = nas.from_module(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 10, 6), nn.Flatten()), INPUT)
    (share,) = space.shares
    keeps: Any = share.keeps
    assert keeps.options == (0.5, 0.75, 1.0) or [channels_kept(each, 2) for each in keeps.options] == [1, 2]


def test_a_space_of_a_function_is_plain_data(tmp_path: Path) -> None:
    save_weights(resnet(width=4), tmp_path / "weights.safetensors")
    space = nas.from_module("existing_modules:resnet(width=4)", INPUT, weights=tmp_path / "weights.safetensors")
    assert space.make == "existing_modules.resnet(width=4)"
    assert from_plain(to_plain(space)) == space == parse(notation(space))
    member = nas.sample(space, Random(0))
    assert from_plain(to_plain(member)) == member
    assert (of_tree(member).family, of_tree(member).input) == ("nas.modules", INPUT)
    named = of_space(space)
    assert named_space(named).open("space") == space
    assert named_space({"module": options_of(space)}).open("space") == space
    assert torch.equal(outputs(build(member, INPUT)), outputs(build(member, INPUT)))


def test_weights_of_a_file_are_those_that_are_sliced(tmp_path: Path) -> None:
    other = resnet(width=4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    torch.save(other.state_dict(), tmp_path / "weights.pt")
    space = nas.from_module("existing_modules.resnet(width=4)", INPUT, weights=tmp_path / "weights.pt")
    whole = build(nas.resolve(space, lambda choice: choice.arity - 1), INPUT)
    assert torch.equal(outputs(whole), outputs(other))
    torch.save(resnet(width=4).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(
        RecordError, match=r"weights\.pt has other weights than those that were sliced: restore the file"
    ):
        build(nas.sample(space, Random(0)), INPUT)


def test_a_given_module_is_known_by_its_content() -> None:
    name = space_of(resnet()).make
    assert name == space_of(resnet()).make
    changed = resnet()
    next(changed.parameters()).data.add_(1)
    assert space_of(changed).make != name
    assert torch.equal(outputs(made(name)), outputs(resnet()))  # the copy stays as it was
    with pytest.raises(RecordError, match=r"given in Python, and this process does not have it: call nas\.from_module"):
        made("given:ResNet-0123456789abcdef")


def test_channels_that_move_are_refused_with_the_layer() -> None:
    message = r"no channels of Shuffled can be taken out, the first at layer 'conv': they cannot be told apart"
    with pytest.raises(RecordError, match=message):
        nas.from_module(Shuffled(), INPUT)


def test_a_group_that_is_normalised_together_stays_whole() -> None:
    body = [nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 10, 4), nn.Flatten()]
    with pytest.warns(UserWarning, match="the channels of layer '0' stay: they cannot be told apart"):
        space = nas.from_module(nn.Sequential(*body), INPUT)
    assert [share.layer for share in space.shares] == ["2"]


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.rand(8, 8), r"the example is of shape \(8, 8\): give images \(B, C, H, W\), or the shape \(C, H, W\)"),
        ("8x8", r"the example is '8x8': give images"),
        ((3, 8, 8), "ResNet does not run on images of 3x8x8 .*: give an example of the shape that it takes"),
    ],
)
def test_an_example_of_a_wrong_shape(example: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        nas.from_module(resnet(), example)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("resnet", "'resnet' names no function that makes a module: give it as my_package.make_model"),
        ("existing_modules.resnett", "has no function 'resnett': did you mean 'resnet'"),
        ("no_such_package.resnet", "module no_such_package cannot be imported"),
        ("existing_modules.broken", r"existing_modules\.broken raises ValueError: no such width: change its arguments"),
        ("existing_modules.resnet(deep=3)", "raises TypeError: .*unexpected keyword argument 'deep'"),
        ("existing_modules.resnet(width=", "cannot be read .*: give numbers, texts and lists"),
        ("random.Random", r"random\.Random returns .*: name a function that returns a torch\.nn\.Module"),
    ],
)
def test_a_function_that_makes_no_module(make: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        nas.from_module(make, INPUT)


def test_a_file_is_named_by_its_path_everywhere() -> None:
    assert settled("./mine.py:make(width=3)") == f"{Path('mine.py').resolve()}:make(width=3)"


def test_data_of_another_shape_or_with_other_classes_are_refused() -> None:
    member = nas.sample(space_of(resnet()), Random(0))
    with pytest.raises(RecordError, match=r"the module takes images \(1, 8, 8\), and gets \(3, 32, 32\)"):
        build(member, (3, 32, 32))
    with pytest.raises(RecordError, match="the module has 10 outputs, and the data have 100 classes"):
        family.network(member, classes=100)


def test_an_open_width_needs_a_strategy() -> None:
    space = space_of(resnet())
    with pytest.raises(SpaceError, match="choice 'conv1' is still open"):
        build(space, INPUT)


def test_a_share_of_an_unknown_layer_names_those_there_are() -> None:
    unknown = SlicedModule(space_of(resnet()).make, INPUT, (ChannelShare("conv9", 0.5),))
    with pytest.raises(RecordError, match="no channels to take out at layer 'conv9': give one of conv1, layer1"):
        build(unknown, INPUT)


@pytest.mark.parametrize("ratios", [(), (0.5, 0.5), (0.0, 1.0), (1.5,)])
def test_ratios_are_shares(ratios: tuple[float, ...]) -> None:
    with pytest.raises(RecordError, match="give shares above 0 and at most 1, all different"):
        nas.from_module(resnet(), INPUT, ratios=ratios)


def test_slicing_keeps_the_first_channels_of_a_module_without_weights() -> None:
    groups = find_groups(resnet(), INPUT).groups
    with torch.device("meta"):
        module = resnet()
    slice_module(module, groups, {"conv1": 3})
    assert module.get_submodule("conv1").weight.shape == (3, 1, 3, 3)  # type: ignore[union-attr]
