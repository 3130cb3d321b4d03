"""Fitting a network to a budget by its width: the published widths come back, and what cannot be met says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.evaluation.fit import Fit
from nas.family import published
from nas.records import RecordError
from search_spaces import darts

IMAGENET = {"channels": 16, "layers": 14, "classes": 1000, "stem": "imagenet", "auxiliary": False}
STACK = partial(darts.network, darts.PUBLISHED["DARTS_V2"])


def width(fit: Fit, options: dict[str, Any] = IMAGENET, pixels: int = 224) -> int:
    return int(fit.options(STACK, options, (3, pixels, pixels))["channels"])


@pytest.mark.slow
def test_the_budget_that_a_published_network_meets_gives_its_width() -> None:
    assert width(Fit(macs=529_911_552)) == 48


@pytest.mark.slow
def test_a_budget_that_is_just_missed_gives_the_next_width() -> None:
    assert width(Fit(macs=529_911_551)) == 46
    assert width(Fit(params=4_718_752)) == 48


def test_the_tighter_of_two_budgets_counts_and_widths_are_multiples() -> None:
    small = {**IMAGENET, "layers": 3, "stem": "cifar", "classes": 10}
    alone, both = (width(Fit(2 * 10**7, params, multiple=4), small, 32) for params in (None, 20_000))
    assert alone % 4 == both % 4 == 0
    assert both < alone


@pytest.mark.slow
def test_other_options_stay_as_they_are() -> None:
    options = Fit(macs=600_000_000).options(STACK, {**IMAGENET, "channels": 48}, (3, 224, 224))
    assert {**options, "channels": 16} == IMAGENET
    assert nas.profile(STACK(**options), (3, 224, 224)).macs <= 600_000_000


@pytest.mark.slow
def test_budgets_that_cannot_be_met_say_so() -> None:
    with pytest.raises(RecordError, match=r"the narrowest network, channels 2, has [\d,]+ MACs and [\d,]+ parameters"):
        width(Fit(macs=1000), {**IMAGENET, "layers": 3}, 64)
    with pytest.raises(RecordError, match="Fit has neither macs nor params: give a budget"):
        Fit()
    with pytest.raises(
        RecordError, match=r"Fit\.option is 'width', which the network does not have: give one of channels, layers"
    ):
        Fit(macs=10**9, option="width").options(STACK, IMAGENET, (3, 32, 32))
    assert Fit(macs=10**7).options(STACK, {"channels": None, "layers": 3}, (3, 32, 32))["channels"] > 2
    with pytest.raises(RecordError, match="is still within the budget: give an option that makes the network wider"):
        Fit(macs=10**9, option="classes", multiple=1000).options(STACK, IMAGENET, (3, 32, 32))


EXPERIMENT = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: RandomSearch
evaluator:
  Training: {data: Digits, validation: 100, images: 100, recipe: {epochs: 1, batch: 50, augmentation: {crop_pad: 0, flip: false}}}
rules: {budget: {evaluations: 2}}
final:
  beside_random: true
  fit: {macs: 400_000, multiple: 1}
"""


@pytest.mark.slow
def test_the_best_and_the_random_one_are_stacked_to_one_budget(
    call: Callable[..., Any], tmp_path: Path, run_folder: Path
) -> None:
    (tmp_path / "fit.yaml").write_text(EXPERIMENT, encoding="utf-8")
    assert call("search", tmp_path / "fit.yaml", "--run-dir", run_folder).returncode == 0
    found = json.loads((run_folder / "best.json").read_text("utf-8"))["StackedNetwork"]
    assert found["options"]["channels"] != 4
    finished = (json.loads(line) for line in (run_folder / "final.jsonl").read_text("utf-8").splitlines())
    macs = [event["scores"]["macs"] for event in finished if event.get("event") == "finish"]
    assert len(macs) == 2
    assert all(200_000 < each <= 400_000 for each in macs)
    assert "fit:" in (run_folder / "experiment.yaml").read_text("utf-8")


def test_a_budget_that_is_too_small_is_found_before_anything_starts(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "fit.yaml").write_text(EXPERIMENT.replace("400_000", "10"), encoding="utf-8")
    answer = call("search", tmp_path / "fit.yaml", "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert "the narrowest network, channels 1, has" in answer.stderr
    assert not (tmp_path / "run").exists()


def test_published_networks_of_one_size_have_no_width_to_choose() -> None:
    _, resnet = published("resnet:resnet18")
    with pytest.raises(RecordError, match="give one of classes"):
        Fit(macs=10**9).options(lambda **_: resnet, {"classes": 10}, (3, 32, 32))
