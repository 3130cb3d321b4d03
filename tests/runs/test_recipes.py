"""The recipes that come with the library: each is read, is what was published, and stacks the networks that it is for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.data import Augmentation, Digits, Images, Split
from nas.profiling import profile
from nas.records import RecordError
from nas.runs.architecture import find_architecture
from nas.runs.declared import recipes
from nas.runs.experiment import task_of
from nas.runs.full_training import load_recipe, plan_training
from nas.training import Epoch, learning_rate, seeded, train
from nas.training.initialisation import initialise
from nas.training.optimizers import RmsPropTf, Sgd

IMAGENET = {"classes": 1000, "input": (3, 224, 224)}
CIFAR = {"classes": 10, "input": (3, 32, 32)}
STACKED = {
    "darts_cifar": ("darts:DARTS_V2", CIFAR, 3_349_342 + 476_426, 528_359_040),
    "darts_imagenet": ("darts:DARTS_V2", IMAGENET, 4_718_752 + 1_260_776, 529_911_552),
    "pc_darts_imagenet": ("darts:PC_DARTS_image", IMAGENET, 5_342_464 + 1_260_776, 581_627_328),
    "nasbench201": ("nasbench201:all_conv_3x3", CIFAR, 1_531_546, 220_119_680),
    "amoebanet_cifar": ("nasnet:AmoebaNet_A", CIFAR, None, 509_700_000),
    "alexnet": ("alexnet:alexnet_groups", {"classes": 1000, "input": (3, 227, 227)}, 60_965_224, 724_406_816),
    "vgg": ("vgg:vgg16", IMAGENET, 138_357_544, 15_470_264_320),
    "resnet_cifar": ("resnet:resnet56_cifar", CIFAR, 853_018, 125_485_696),
    "resnet_imagenet": ("resnet:resnet50", IMAGENET, 25_557_032, 4_089_184_256),
    "inception_v3": (
        "inception:inception_v3_aux",
        {"classes": 1000, "input": (3, 299, 299)},
        27_161_264,
        5_713_216_096,
    ),
    "efficientnet": ("efficientnet:efficientnet_b0", IMAGENET, 5_288_548, 385_814_752),
    "modern_imagenet": ("darts:DARTS_V2", IMAGENET, 4_718_752, 529_911_552),
}


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_stacks_the_published_network(name: str) -> None:
    architecture, fixed, params, macs = STACKED[name]
    found, declared = find_architecture(architecture), load_recipe(name)
    task = task_of(found.family, found.architecture, fixed, declared.network, "network")
    costs = profile(task.network(found.architecture), task.input)
    assert costs.macs == pytest.approx(macs, rel=1e-3 if params is None else 0)
    assert params is None or costs.params == params


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_has_a_header_with_claim_source_and_command(name: str) -> None:
    header = recipes()[name].read_text(encoding="utf-8").split("\ndata:")[0]
    for word in ("# Source:", "# Claim:", "nas train "):
        assert word in header


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", recipes())
def test_every_recipe_trains_a_step(name: str) -> None:
    recipe = replace(load_recipe(name).recipe, batch=16, precision="float32")
    x = torch.randint(256, (24, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = Images(x, torch.arange(24) % 4)
    data = Split(name, Digits(), images.at(slice(16)), images.at(slice(16, 24)), tuple("abcd"), (0.5,) * 3, (0.3,) * 3)
    with seeded(0):
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 4))
        if recipe.initialisation is not None:
            initialise(model, recipe.initialisation)
    before = [weight.detach().clone() for weight in model.parameters()]
    (report,) = train(model, data, recipe, seed=0, device=torch.device("cpu"), until=1)
    assert isinstance(report, Epoch)
    assert math.isfinite(report.loss)
    assert report.lr > 0
    assert not torch.equal(before[0], next(model.parameters()))


def test_the_protocol_of_efficientnet() -> None:
    recipe = load_recipe("efficientnet").recipe
    assert recipe.optimizer == RmsPropTf(0.9, 0.9, 1e-3)
    rates = [learning_rate(recipe, epoch) for epoch in (5, 7.3, 7.5, 9.9)]
    assert rates == pytest.approx([0.256, 0.256, 0.256 * 0.97, 0.256 * 0.97**2])


def test_the_protocol_of_resnets_on_cifar() -> None:
    recipe = load_recipe("resnet_cifar").recipe
    assert (recipe.batch, recipe.weight_decay, recipe.optimizer, recipe.clip) == (128, 1e-4, Sgd(0.9), None)
    steps = 391 * recipe.epochs
    assert abs(steps - 64_000) < 391
    assert [learning_rate(recipe, epoch) for epoch in (0, 82, 123)] == pytest.approx([0.1, 0.01, 0.001])


def test_the_protocol_of_darts_on_cifar() -> None:
    recipe = load_recipe("darts_cifar").recipe
    assert (recipe.epochs, recipe.batch, recipe.optimizer, recipe.weight_decay, recipe.clip) == (
        600,
        96,
        Sgd(0.9),
        3e-4,
        5,
    )
    assert (recipe.drop_path, recipe.auxiliary, recipe.label_smoothing) == (0.2, 0.4, 0)
    assert recipe.augmentation == Augmentation(4, True, 16)
    assert [learning_rate(recipe, epoch) for epoch in (0, 300)] == pytest.approx([0.025, 0.0125])


def test_the_protocol_of_darts_on_imagenet() -> None:
    recipe = load_recipe("darts_imagenet").recipe
    assert (recipe.epochs, recipe.batch, recipe.weight_decay, recipe.label_smoothing) == (250, 128, 3e-5, 0.1)
    assert recipe.augmentation == Augmentation(0, True, 0, (0.4, 0.4, 0.4, 0.2))
    assert [learning_rate(recipe, epoch) for epoch in (0, 1, 10)] == pytest.approx([0.1, 0.097, 0.1 * 0.97**10])


def test_the_protocol_of_pc_darts_on_imagenet() -> None:
    recipe = load_recipe("pc_darts_imagenet").recipe
    assert recipe.batch == 1024
    assert [learning_rate(recipe, epoch) for epoch in (0, 4, 5, 250)] == pytest.approx([0.1, 0.5, 0.5, 0])


def test_the_protocol_of_nasbench201() -> None:
    recipe = load_recipe("nasbench201").recipe
    assert (recipe.epochs, recipe.batch, recipe.optimizer, recipe.weight_decay, recipe.clip) == (
        200,
        256,
        Sgd(0.9, nesterov=True),
        5e-4,
        None,
    )
    assert recipe.augmentation == Augmentation(4, True, 0)
    assert [learning_rate(recipe, epoch) for epoch in (0, 100, 200)] == pytest.approx([0.1, 0.05, 0])


def test_an_unknown_recipe_and_key_are_named_with_the_nearest() -> None:
    with pytest.raises(RecordError, match=r"there is no recipe 'dart_cifar': .*did you mean 'darts_cifar'"):
        load_recipe("dart_cifar")
    with pytest.raises(RecordError, match=r"recipe.*epoch.*epochs"):
        load_recipe("darts_cifar", ["recipe.epoch=3"])


def test_published_numbers_are_of_the_recipe_as_it_is() -> None:
    assert load_recipe("darts_cifar", ["data.folder=/data", "executor=Inline", "seed=3"]).expect
    assert not load_recipe("darts_cifar", ["recipe.epochs=3"]).expect


def test_a_recipe_for_another_family_says_how_to_use_it() -> None:
    cell = find_architecture("nasbench201:resnet")
    with pytest.raises(
        RecordError, match=r"network.layers: no such key; .*; .* than nasbench201 is taken with network=null"
    ):
        plan_training(load_recipe("darts_cifar"), cell)
    bare = load_recipe("darts_cifar", ["network=null", "data=Digits", "images=32"])
    assert plan_training(bare, cell).task.options["cells_per_stage"] == 5
