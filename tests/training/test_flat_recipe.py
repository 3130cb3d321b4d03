"""Recipes as version 0.1 wrote them are read as they were meant, and their checkpoints are found."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from nas.data import Augmentation
from nas.plain import from_plain
from nas.records import RecordError, digest, to_plain
from nas.supernets.recipe import WeightsRecipe
from nas.training import Recipe
from nas.training.flat_recipe import former_form
from nas.training.optimizers import Adam, AdamW, Sgd
from nas.training.schedules import ConstantRate, CosineDecay, LinearDecay, StepDecay


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        ("{crop_pad: 1, flip: false}", Recipe(augmentation=Augmentation(crop_pad=1, cutout=16))),
        ("{crop_scale: [0.2, 1]}", Recipe(augmentation=Augmentation(4, True, 16, crop_scale=(0.2, 1.0)))),
        ("{momentum: 0.8}", Recipe(optimizer=Sgd(0.8))),
        ("{optimizer: sgd, nesterov: true, beta2: 0.9}", Recipe(optimizer=Sgd(nesterov=True))),
        ("{optimizer: adam, momentum: 0.5, nesterov: false}", Recipe(optimizer=Adam(beta1=0.5))),
        ("{optimizer: adamw, beta2: 0.99}", Recipe(optimizer=AdamW(beta2=0.99))),
        ("{optimizer: {AdamW: {beta2: 0.99}}, momentum: 0.8}", Recipe(optimizer=AdamW(0.8, 0.99))),
        ("{optimizer: AdamW, momentum: 0.8}", Recipe(optimizer=AdamW(0.8))),
        ("{final_lr: 0.1}", Recipe(schedule=CosineDecay(0.1))),
        ("{schedule: cosine, decay: 0.5}", Recipe()),
        ("{schedule: linear, final_lr: 0.1}", Recipe(schedule=LinearDecay(0.1))),
        ("{schedule: step, decay: 0.5, decay_every: 3, final_lr: 1}", Recipe(schedule=StepDecay(0.5, 3))),
        ("{schedule: constant}", Recipe(schedule=ConstantRate())),
        ("{augmentation: {cutout: 4}, cutout: 8}", Recipe(augmentation=Augmentation(4, True, 8))),
    ],
)
def test_a_flat_recipe_is_read(flat: str, nested: Recipe) -> None:
    assert from_plain(yaml.safe_load(flat), Recipe) == nested


@pytest.mark.parametrize(
    ("plain", "augmentation"),
    [
        ({"cutout": 8}, Augmentation(4, True, 8)),
        ({"Augmentation": {"cutout": 8}}, Augmentation(cutout=8)),
        ("Augmentation", Augmentation()),
        ({}, Augmentation(4, True, 16)),
    ],
)
def test_a_mapping_without_a_class_name_changes_the_default_of_its_place(
    plain: Any, augmentation: Augmentation
) -> None:
    assert from_plain({"augmentation": plain}, Recipe).augmentation == augmentation


def test_the_place_says_which_default_is_changed() -> None:
    weights = from_plain({"batch": 8, "augmentation": {"flip": False}, "schedule": {"final_lr": 0.0}}, WeightsRecipe)
    assert (weights.augmentation, weights.schedule) == (Augmentation(crop_pad=4), CosineDecay(0.0))
    assert to_plain(WeightsRecipe()) == {"WeightsRecipe": {}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"optimizer": "adam", "nesterov": True},
            "recipe.optimizer.Adam.nesterov: no such key; known are beta1, beta2",
        ),
        ({"cutout": -1}, "recipe.augmentation.cutout is -1: give a number of at least 0"),
        ({"optimizer": {"momentun": 0.8}}, "recipe.optimizer.momentun: no such key; did you mean 'momentum'?"),
        ({"augmentation": 3}, "recipe.augmentation is 3: give an Augmentation"),
        ({"augmentation": 3, "cutout": 1}, "recipe.augmentation is 3: give an Augmentation"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        from_plain(wrong, Recipe, "recipe")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("flat", "name"),
    [
        ("{epochs: 6, batch: 32, lr: 0.1, crop_pad: 1, flip: false, cutout: 0, drop_path: 0.0}", "8ce0299be3b57ae2"),
        ("{}", "5a5e7523427c977f"),
        ("{optimizer: adamw, momentum: 0.8, schedule: step, decay: 0.5, lr: 1, clip: 5}", "bbd5b9faad62a7f6"),
        ("{optimizer: adam, beta2: 0.99, crop_scale: [0.2, 1], erasing: 0.5, mixup: 0.2}", "0d166fecc839c65b"),
    ],
)
def test_the_former_digest_is_the_one_that_version_0_1_named_its_checkpoints_by(flat: str, name: str) -> None:
    assert digest(former_form(from_plain(yaml.safe_load(flat), Recipe))) == name
