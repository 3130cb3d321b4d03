"""Weights that leave their run folder: copied alone, exported, transferred; they know their classes and their images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from nas.data import Digits
from nas.runs.architecture import find_checkpoint
from nas.training.checkpoint import DESCRIPTION

Call = Callable[..., Any]
SMALL = (
    "network.channels=4",
    "network.layers=3",
    "network.auxiliary=false",
    "recipe.augmentation.cutout=0",
    "recipe.augmentation.flip=false",
)


def write_digits(root: Path, brighter: float, names: tuple[str, ...] = ("nil", "one", "two"), step: int = 1) -> Path:
    """Write scans of three digits as a folder of images, dark or bright, so that normalisation decides."""
    images = Digits().load().train
    for i, (image, label) in enumerate(zip(images.x, images.y, strict=True)):
        if label < 3 and i % step == 0:
            folder = root / names[int(label)]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (image[0].float() * 0.3 + brighter).byte().numpy()
            Image.fromarray(pixels).convert("RGB").save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "dark", 0, step=2)


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "bright", 150, step=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, nas: Call, dark: Path) -> Path:
    """Return the folder of a training on dark images, with a moving average."""
    folder = tmp_path_factory.mktemp("trained") / "low"
    data = f"data={{ImageFolder: {{path: {dark}, size: 8}}}}"
    done = nas(
        "train", "darts:DARTS_V2", "--recipe", "darts_cifar", *SMALL, data, "recipe.epochs=2", "recipe.batch=32",
        "recipe.ema=0.5", "recipe.augmentation.crop_pad=1", "recipe.lr=0.1", "--run-dir", folder,
    )  # fmt: skip
    assert done.returncode == 0, done
    return folder


def right_of(call: Call, weights: Path, on: Path) -> tuple[int, ...]:
    """Return how many images of each class `nas test` finds right."""
    answer = call("test", weights, "--on", on, "--json")
    assert answer.returncode == 0, answer
    return tuple(json.loads(answer.stdout)["TestResult"]["raw"]["Accuracy"]["class_right"])


def exported(call: Call, trained: Path, out: Path, *to: str) -> Path:
    """Export a run, and return the file of the first format."""
    done = call("export", trained, "--to", ",".join(to), "--out", out)
    assert done.returncode == 0, done
    return out


def copied_alone(call: Call, trained: Path, out: Path) -> Path:
    return Path(shutil.copy(trained / "best.safetensors", out / "a.safetensors"))


def copied_with_json(call: Call, trained: Path, out: Path) -> Path:
    shutil.copy(trained / "best.json", out / "a.json")
    return copied_alone(call, trained, out)


def exported_safetensors(call: Call, trained: Path, out: Path) -> Path:
    return exported(call, trained, out, "safetensors") / "low.safetensors"


def weights_of_source(call: Call, trained: Path, out: Path) -> Path:
    return exported(call, trained, out, "source") / "low.safetensors"


def json_beside_bare_weights(call: Call, trained: Path, out: Path) -> Path:
    """Weights whose metadata a third tool dropped, beside the JSON that `nas export --to json` wrote."""
    exported(call, trained, out, "json")
    save_file(load_file(trained / "best.safetensors"), out / "low.safetensors")
    return out / "low.safetensors"


def raw(call: Call, trained: Path, out: Path) -> Path:
    return trained / "best.raw.safetensors"


WAYS = [raw, copied_alone, copied_with_json, exported_safetensors, weights_of_source, json_beside_bare_weights]


@pytest.mark.parametrize("leave", WAYS)
def test_weights_that_left_their_run_folder_say_what_they_were_trained_with(
    leave: Callable[[Call, Path, Path], Path], trained: Path, call: Call, tmp_path: Path
) -> None:
    before, after = find_checkpoint(str(trained))[0], find_checkpoint(str(leave(call, trained, tmp_path)))[0]
    assert after.preprocessing is not None
    assert (after.classes, after.preprocessing) == (before.classes, before.preprocessing)


@pytest.mark.slow
def test_weights_copied_alone_test_as_they_did_in_their_run_folder(
    trained: Path, dark: Path, bright: Path, call: Call, tmp_path: Path
) -> None:
    alone = copied_alone(call, trained, tmp_path)
    assert right_of(call, alone, bright) == right_of(call, trained, bright)
    assert right_of(call, alone, dark) != right_of(call, alone, bright), "normalisation decides"


@pytest.mark.parametrize("leave", WAYS)
def test_weights_that_left_their_run_folder_refuse_other_classes(
    leave: Callable[[Call, Path, Path], Path], trained: Path, call: Call, tmp_path: Path
) -> None:
    weights = leave(call, trained, tmp_path)
    others = write_digits(tmp_path / "others", 0, ("cat", "dog", "emu"), step=9)
    answer = call("test", weights, "--on", others)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert "tells nil, one, two apart, and the data have cat, dog, emu" in answer.stderr


def test_transferred_weights_know_the_classes_that_they_learnt(
    trained: Path, bright: Path, call: Call, tmp_path: Path
) -> None:
    done = call(
        "transfer", copied_alone(call, trained, tmp_path), "--to", bright, "--ways", "linear_probe",
        "recipe.epochs=1", "--run-dir", tmp_path / "to",
    )  # fmt: skip
    assert done.returncode == 0, done
    alone = Path(shutil.copy(tmp_path / "to" / "linear_probe-100-0.safetensors", tmp_path / "b.safetensors"))
    before, after = find_checkpoint(str(trained))[0], find_checkpoint(str(alone))[0]
    assert after.classes == ("nil", "one", "two")
    assert before.preprocessing is not None
    assert after.preprocessing == before.preprocessing, "features are used as they were learnt"


def test_weights_shown_say_their_classes_and_their_images(trained: Path, call: Call, tmp_path: Path) -> None:
    shown = call("show", copied_alone(call, trained, tmp_path)).stdout
    assert "Classes: nil, one, two" in shown
    assert "minus mean (" in shown


@pytest.mark.slow
def test_every_export_says_classes_and_images(trained: Path, call: Call, tmp_path: Path) -> None:
    exported(call, trained, tmp_path, "json", "source", "onnx", "torch-export", "safetensors")
    found = find_checkpoint(str(trained))[0]
    assert found.preprocessing is not None
    text = found.preprocessing.describe()
    assert "shorter side scaled to the size / 1, centre cropped, bicubic" in text
    assert text in (tmp_path / "low.md").read_text()
    assert text in " ".join((tmp_path / "low.py").read_text().split())
    plain = json.loads((tmp_path / "low.json").read_text())["StackedNetwork"]
    onnx = pytest.importorskip("onnx")
    extra = {DESCRIPTION: ""}
    torch.export.load(tmp_path / "low.pt2", extra_files=extra)
    inside_onnx = {each.key: each.value for each in onnx.load(tmp_path / "low.onnx").metadata_props}[DESCRIPTION]
    for description in (
        json.loads(inside_onnx)["StackedNetwork"],
        json.loads(extra[DESCRIPTION])["StackedNetwork"],
        plain,
    ):
        assert description["classes"] == ["nil", "one", "two"]
        assert description["preprocessing"]["Preprocessing"]["mean"] == list(found.preprocessing.mean)


@pytest.mark.slow
def test_weights_of_version_0_1_are_tested_and_the_unknown_is_said(
    trained: Path, dark: Path, call: Call, tmp_path: Path
) -> None:
    save_file(load_file(trained / "best.safetensors"), tmp_path / "old.safetensors")
    plain = json.loads((trained / "best.json").read_text())
    for name in ("classes", "preprocessing"):
        del plain["StackedNetwork"][name]
    (tmp_path / "old.json").write_text(json.dumps(plain))
    with pytest.warns(
        UserWarning, match="old.safetensors does not say its classes nor the mean and standard deviation"
    ):
        assert right_of(call, tmp_path / "old.safetensors", dark) == right_of(call, trained, dark)
    shutil.copy(trained / "best.test.json", tmp_path / "old.test.json")
    assert find_checkpoint(str(tmp_path / "old.safetensors"))[0].classes == ("nil", "one", "two")


def test_a_json_that_contradicts_its_weights_is_refused(trained: Path, dark: Path, call: Call, tmp_path: Path) -> None:
    weights = copied_with_json(call, trained, tmp_path)
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace('"nil"', '"nought"'))
    answer = call("test", weights, "--on", dark)
    assert answer.returncode == 2
    assert "have different classes" in answer.stderr


def test_a_description_that_is_damaged_is_one_line(trained: Path, dark: Path, call: Call, tmp_path: Path) -> None:
    tensors = load_file(trained / "best.safetensors")
    for number, text in enumerate(("{", "[]", '{"Found": 3}', '{"cellstack": 99}')):
        save_file(tensors, tmp_path / f"{number}.safetensors", {DESCRIPTION: text})
        answer = call("test", tmp_path / f"{number}.safetensors", "--on", dark)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
