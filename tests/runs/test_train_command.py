"""`nas train` and `nas transfer` on real scans: what they leave, what they survive, and what they refuse."""

from __future__ import annotations

import errno
import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nas.data import Augmentation, Digits, ImageFolder, Images, normalise, split
from nas.evaluation.results import read_epochs, read_test
from nas.evaluation.trained_network import TrainedNetwork
from nas.runs.architecture import find_checkpoint
from nas.runs.measure_weights import measure_weights
from nas.runs.transfer import TransferRequest, plan_transfer
from nas.runtime.inline import Inline
from nas.training import save_weights

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "network.channels=4",
    "network.layers=3",
    "network.auxiliary=false",
    "data=Digits",
    "recipe.augmentation.cutout=0",
)
Call = Callable[..., Any]


def train(*changes: object, run_dir: Path) -> list[str]:
    """Return the arguments of a small training."""
    given = [
        *SMALL,
        "recipe.epochs=2",
        "recipe.augmentation.crop_pad=1",
        "recipe.augmentation.flip=false",
        *map(str, changes),
    ]
    return ["train", "darts:DARTS_V2", "--recipe", "darts_cifar", *given, "--run-dir", str(run_dir)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, nas: Call) -> Path:
    """Return the folder of a training that has ended, with a moving average."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = nas(*train("recipe.ema=0.9", "recipe.lr=0.1", "images=400", run_dir=folder))
    assert done.returncode == 0, done
    return folder


def test_a_training_leaves_weights_what_was_measured_and_how_it_went(trained: Path) -> None:
    files = {path.name for path in trained.iterdir()}
    assert {
        "best.json",
        "best.safetensors",
        "best.raw.safetensors",
        "best.test.json",
        "training.yaml",
        "best.svg",
    } <= files
    weights = trained / "best.safetensors"
    assert [epoch.epoch for epoch in read_epochs(weights)] == [1, 2]
    measured = read_test(weights)
    assert measured is not None
    assert measured.raw.images == 359
    assert measured.ema is not None
    assert measured.ema != measured.raw
    assert measured.speed is not None
    averaged, raw = load_file(weights), load_file(trained / "best.raw.safetensors")
    assert averaged.keys() == raw.keys()
    assert any(not torch.equal(averaged[name], raw[name]) for name in raw)


def test_a_training_is_shown(trained: Path, call: Call) -> None:
    shown = call("show", trained).stdout
    for expected in ("2,642", "Epochs", "2 of 2 epochs", "EMA", "calibration error", "Classes"):
        assert expected in shown, expected


def test_a_trained_run_is_an_architecture(trained: Path, call: Call) -> None:
    assert json.loads(call("profile", trained, "--json").stdout)["params"] == 2_642


def test_a_finished_training_is_resumed_without_doing_anything(trained: Path, call: Call) -> None:
    before = (trained / "best.safetensors").read_bytes()
    assert call("resume", trained).returncode == 0
    assert (trained / "best.safetensors").read_bytes() == before


# ------------------------------------------------------------------------------------------------------------ killed


@pytest.mark.slow
def test_a_driver_that_is_killed_in_mid_epoch_ends_with_the_same_weights(tmp_path: Path, call: Call) -> None:
    often = ("execution.report_seconds=0", "execution.checkpoint_seconds=0")
    assert call(*train("recipe.batch=16", run_dir=tmp_path / "whole")).returncode == 0
    command = [sys.executable, "-m", "nas.cli", *train("recipe.batch=16", *often, run_dir=tmp_path / "killed")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    checkpoint = wait_for_mid_epoch(tmp_path / "killed" / "checkpoints", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < checkpoint["tally"][0] < 90
    assert not (tmp_path / "killed" / "best.safetensors").exists()
    assert call("resume", tmp_path / "killed").returncode == 0
    whole, resumed = (load_file(tmp_path / name / "best.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole.keys() | resumed.keys())
    losses = [
        [epoch.loss for epoch in read_epochs(tmp_path / name / "best.safetensors")] for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1]


def wait_for_mid_epoch(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return a checkpoint of the second epoch, written in its middle."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        for path in folder.glob("training-*.pt"):
            state: dict[str, Any] = torch.load(path, weights_only=True)
            if state["epoch"] == 2 and state["tally"][0] > 5:
                return state
        time.sleep(0.02)
    raise AssertionError("no second epoch within two minutes")


# ---------------------------------------------------------------------------------------------------------- transfer


@pytest.fixture(scope="module")
def folder_of_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a few scans as JPEG files of another size, in colours, a folder for each class."""
    root, images = tmp_path_factory.mktemp("images"), Digits().load().test
    for i, (image, label) in enumerate(zip(images.x, images.y, strict=True)):
        if label < 3:
            (root / str(int(label))).mkdir(exist_ok=True)
            Image.fromarray(image[0].numpy()).resize((20, 16)).convert("RGB").save(root / str(int(label)) / f"{i}.jpg")
    return root


@pytest.mark.slow
def test_a_network_is_opened_stage_by_stage_and_begun_anew(trained: Path, tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "transfer"
    given = ("--ways", "gradual,scratch", "recipe.epochs=4", "recipe.batch=128", "--run-dir", folder)
    done = call("transfer", trained, "--to", "Digits", *given)
    assert done.returncode == 0, done
    assert "stage by stage" in done.stdout
    assert "from scratch" in done.stdout
    before, after = load_file(trained / "best.safetensors"), load_file(folder / "gradual-100-0.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("stem."))


@pytest.mark.slow
def test_features_are_taken_to_other_data(trained: Path, tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "transfer"
    done = call(
        "transfer", trained, "--to", "Digits", "--ways", "linear_probe,fine_tune", "--labels", "50,100",
        "recipe.epochs=1", "recipe.batch=128", "recipe.augmentation.crop_pad=0", "recipe.augmentation.flip=false",
        "--run-dir", folder,
    )  # fmt: skip
    assert done.returncode == 0, done
    for expected in ("linear probe", "fine-tuning", "50 %", "100 %"):
        assert expected in done.stdout, expected
    before, probed = load_file(trained / "best.safetensors"), load_file(folder / "linear_probe-100-0.safetensors")
    features = [name for name in before if not name.startswith("head.")]
    assert all(torch.equal(before[name], probed[name]) for name in features), "statistics of batch norms, too"
    tuned = load_file(folder / "fine_tune-100-0.safetensors")
    assert sum(not torch.equal(before[name], tuned[name]) for name in features) > len(features) / 2
    assert call("transfer", folder / "fine_tune-100-0.safetensors", "--to", "nothing").returncode == 2


@pytest.mark.slow
def test_features_of_rotations_are_taken_to_digits_and_classify_by_prototypes(tmp_path: Path, call: Call) -> None:
    turned = train("data={Rotations: {data: Digits}}", "recipe.epochs=1", "images=400", run_dir=tmp_path / "turned")
    assert call(*turned).returncode == 0
    folder = tmp_path / "transfer"
    done = call("transfer", tmp_path / "turned", "--to", "Digits", "--ways", "prototypes", "--run-dir", folder)
    assert done.returncode == 0, done
    assert re.search(r"Few-shot episodes, prototypes-100-0: \d\d\.\d\d ± \d\.\d\d %", done.stdout)
    shown = json.loads(call("test", folder / "prototypes-100-0.safetensors", "--on", "Digits", "--json").stdout)
    known = read_test(folder / "prototypes-100-0.safetensors")
    assert known is not None
    assert shown["TestResult"]["raw"]["Accuracy"]["top1_percent"] == known.raw.top1_percent > 20


def test_a_folder_in_colours_is_read_as_grey_for_a_network_of_one_channel(
    trained: Path, folder_of_images: Path
) -> None:
    planned = plan_transfer(TransferRequest(str(trained), str(folder_of_images)), Inline())
    assert planned.declared.data == ImageFolder(str(folder_of_images), size=8, channels=1)
    assert split(planned.declared.data, 0, 0).shape == (1, 8, 8)


# -------------------------------------------------------------------------------------------------------------- test


@pytest.mark.slow
def test_weights_are_tested_again_alone(trained: Path, call: Call) -> None:
    measured = read_test(trained / "best.safetensors")
    assert measured is not None
    assert measured.ema is not None
    found = json.loads(call("test", trained, "--json").stdout)["TestResult"]
    assert found["raw"]["Accuracy"]["top1_percent"] == measured.ema.top1_percent, (
        "the weights that are handed over are the average"
    )
    assert "calibration error" in call("test", trained, "--on", "Digits").stdout


@pytest.mark.slow
def test_several_checkpoints_are_tested_as_the_mean_of_their_logits(trained: Path) -> None:
    names = [str(trained / f"best{part}.safetensors") for part in ("", ".raw")]
    images, logits = Digits().load(), []
    for name in names:
        network, weights = find_checkpoint(name)
        model = TrainedNetwork(network, weights).model().eval()
        with torch.no_grad():
            logits.append(model(normalise(images.test.x, images.mean, images.std)))
    right = (torch.stack(logits).mean(0).argmax(1) == images.test.y).sum().item()
    measured = measure_weights(names, "Digits")
    assert sum(measured.raw.class_right) == right


@pytest.mark.slow
def test_views_of_a_test_are_averaged(trained: Path, call: Call) -> None:
    known = read_test(trained / "best.safetensors")
    assert known is not None
    answer = json.loads(call("test", trained, "--views", "ten_crop", "--json").stdout)
    assert answer["TestResult"]["raw"]["Accuracy"]["loss"] != known.decisive.loss
    said = call("test", trained, "--views", "nine")
    assert said.returncode == 2
    assert "--views is 'nine'" in said.stderr


def test_a_teacher_of_other_data_is_refused(trained: Path, folder_of_images: Path, call: Call, tmp_path: Path) -> None:
    given = (f"recipe.distillation.teacher={trained}", f"data={{ImageFolder: {{path: {folder_of_images}, size: 8}}}}")
    said = call(*train(*given, run_dir=tmp_path / "run"))
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "give a teacher that was trained on the same data" in said.stderr


@pytest.mark.slow
def test_a_network_is_taught_by_a_trained_one(trained: Path, call: Call, tmp_path: Path) -> None:
    done = call(
        *train(f"recipe.distillation.teacher={trained}", "recipe.epochs=1", "images=64", run_dir=tmp_path / "run")
    )
    assert done.returncode == 0, done


@pytest.mark.slow
def test_weights_of_a_search_are_tested_on_the_data_of_its_final_training(
    trained: Path, call: Call, tmp_path: Path
) -> None:
    for name in ("best.json", "best.safetensors", "best.test.json"):
        shutil.copy(trained / name, tmp_path)
    shutil.copy(ROOT / "experiments" / "quickstart.yaml", tmp_path / "experiment.yaml")
    answers = [json.loads(call("test", folder, "--json").stdout) for folder in (tmp_path, trained)]
    shown = [answer["TestResult"]["raw"]["Accuracy"]["top1_percent"] for answer in answers]
    assert shown[0] == shown[1]


def test_data_of_other_classes_are_refused(trained: Path, call: Call, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("L", (9, 9), i).save(tmp_path / name / f"{i}.png")
    said = call("test", trained, "--on", tmp_path)
    assert said.returncode == 2
    assert "the network tells 0, 1, 2 and 7 more apart, and the data have a, b: give data" in said.stderr


def write_scans(root: Path, images: Images) -> Path:
    for i, (image, label) in enumerate(zip(images.x, images.y.tolist(), strict=True)):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(root / str(label) / f"{i}.png")
    return root


@pytest.mark.slow
def test_it_is_said_which_images_were_tested_and_all_of_a_folder_are(trained: Path, call: Call, tmp_path: Path) -> None:
    test = Digits().load().test
    assert isinstance(test, Images)
    folder = write_scans(tmp_path / "scans", test)
    said = call("test", trained, "--on", folder).stdout
    assert "Tested on 359 images: all in the folder\n" in said
    right = [line.split() for line in said.splitlines() if line.startswith("top-1 accuracy, %")]
    own = call("test", trained).stdout
    assert "Tested on 359 images: 359 of 1,797 scans, always the same\n" in own
    assert right == [line.split() for line in own.splitlines() if line.startswith("top-1 accuracy, %")]
    for part in ("train", "test"):
        write_scans(tmp_path / "splits" / part, test.at(slice(200 if part == "test" else 359)))
    assert (
        "Tested on 200 images: all in the folder 'test'\n" in call("test", trained, "--on", tmp_path / "splits").stdout
    )


def test_weights_that_are_no_numbers_are_one_line(trained: Path, call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    with safe_open(folder / "best.safetensors", "pt") as file:
        known = file.metadata()
    weights = load_file(folder / "best.safetensors")
    name = next(name for name in weights if name.startswith("head.") and name.endswith("weight"))
    save_file({**weights, name: weights[name] * math.nan}, folder / "best.safetensors", known)
    said = call("test", folder)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith(
        "nas: the network's output is NaN or infinite for 359 of 359 images: its weights are damaged"
    )
    assert said.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------------ bad input


def test_weights_of_another_network_are_refused_by_their_digests(trained: Path, call: Call, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    text = (other / "best.json").read_text()
    (other / "best.json").write_text(text.replace('"channels": 4', '"channels": 8'))
    done = call("transfer", other, "--to", "Digits")
    assert done.returncode == 2
    assert re.search(
        r"best.safetensors holds the weights of network [0-9a-f]+, and this is [0-9a-f]+: give", done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "Digit"), "'Digit' is no folder here, and no data set: did you mean 'Digits'"),
        (
            ("--to", "Digits", "--labels", "0.1"),
            "0.1 % of 1438 images are 1, fewer than the 10 classes: give more labels",
        ),
        (("--to", "Digits", "--labels", "0"), "labels_percent has 0"),
        (("--to", "Digits", "--ways", "linear"), "linear_probe"),
        (("--to", "Digits", "recipe.epoch=3"), "epochs"),
    ],
)
def test_a_transfer_that_cannot_be_is_one_line(
    trained: Path, call: Call, arguments: tuple[str, ...], said: str
) -> None:
    done = call("transfer", trained, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_setting_of_the_recipe_leaves_the_others_as_they_are_for_transfers(trained: Path) -> None:
    recipe = plan_transfer(TransferRequest(str(trained), "Digits", ["recipe.epochs=5"]), Inline()).declared.recipe
    assert (recipe.epochs, recipe.drop_path, recipe.augmentation) == (5, 0, Augmentation(crop_pad=1))


def test_a_full_disk_is_one_line_and_leaves_no_folder(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "run" / "training.yaml"))

    monkeypatch.setattr("nas.runs.full_training.write_declared", full)
    done = call(*train(run_dir=tmp_path / "run"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert "training.yaml cannot be written (No space left on device): make room" in done.stderr
    assert not (tmp_path / "run").exists()


def test_others_may_read_the_weights(trained: Path) -> None:
    assert (trained / "best.safetensors").stat().st_mode == (trained / "best.json").stat().st_mode


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("network.channel=8",), "channels"),
        (("network.classes=11",), "network.classes is 11, and the data have 10: leave it out"),
        (("images=2000",), "train is 2000"),
        (("fit.macs=10",), "over the budget"),
        (("scale={phi: 1}",), "Digits has images of one size"),
        (("recipe.mixup=-1",), "mixup"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(changes: tuple[str, ...], said: str, call: Call, tmp_path: Path) -> None:
    done = call(*train(*changes, run_dir=tmp_path / "run"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert said in done.stderr
    assert not (tmp_path / "run").exists()


def test_without_weights_there_is_no_transfer(call: Call, tmp_path: Path) -> None:
    assert "there are no weights" in call("transfer", tmp_path, "--to", "Digits").stderr
    save_weights(torch.nn.Linear(1, 1), tmp_path / "alone.safetensors")
    assert (
        "has no description of its network" in call("transfer", tmp_path / "alone.safetensors", "--to", "Digits").stderr
    )


@pytest.mark.slow
def test_a_budget_makes_the_network_as_wide_as_it_allows(call: Call, tmp_path: Path) -> None:
    done = call(*train("fit.macs=300_000", "recipe.epochs=1", "images=64", run_dir=tmp_path / "run"))
    assert done.returncode == 0, done
    found = json.loads((tmp_path / "run" / "best.json").read_text())["StackedNetwork"]
    macs = int(re.search(r"([\d,]+) MACs", done.stdout)[1].replace(",", ""))  # type: ignore[index]
    assert 200_000 < macs <= 300_000
    assert found["options"]["channels"] > 4
