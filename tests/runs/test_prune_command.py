"""`nas prune` on real scans: what it leaves, how it survives being killed, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas.building import build
from nas.data import Digits
from nas.evaluation.results import read_test
from nas.evaluation.training import facts_of
from nas.family import StackedNetwork, family
from nas.plain import write
from nas.records import RecordError, digest
from nas.runs.architecture import find_architecture, find_checkpoint
from nas.runs.full_training import FullTraining, load_training
from nas.runs.pruning import Pruning, PruningRequest, create_pruning, declare_pruning, plan_pruning, read_pruning
from nas.runtime.inline import Inline
from nas.training import save_weights, seeded

ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., Any]

RECIPE = "data: Digits\nrecipe: {epochs: 3, batch: 64, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}}\n"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe of three epochs."""
    path = tmp_path_factory.mktemp("recipe") / "short.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def untrained(architecture: str, file: Path) -> Path:
    """Write the random weights of a network for the scans, with their description."""
    found = find_architecture(architecture)
    facts = facts_of(FullTraining(Digits()).evaluator().split_images())
    known = {"classes": facts["class_names"], "preprocessing": facts["preprocessing"], "input": facts["input"]}
    stacked = StackedNetwork(found.family, found.architecture, found.options, **known)
    with seeded(0):
        model = build(stacked.tree(), stacked.input)
    save_weights(model, file, digest(stacked.tree()), write(stacked))
    return file


def request(weights: Path, recipe: Path, pruning: Pruning | None = None) -> PruningRequest:
    return PruningRequest(str(weights), pruning or Pruning(), str(recipe))


def test_a_run_folder_has_the_narrower_network_and_what_it_begins_with(tmp_path: Path, recipe: Path) -> None:
    weights = untrained("nats_size:number_12", tmp_path / "whole.safetensors")
    asked = request(weights, recipe, Pruning(0.8, "params", "l2"))
    planned = plan_pruning(asked, declare_pruning(asked), Inline())
    create_pruning(tmp_path / "run", planned)
    report = read_pruning(tmp_path / "run")
    assert report == planned.report
    assert report is not None
    assert report.pruned.params <= 0.8 * report.before.params
    loaded = load_training(tmp_path / "run")
    assert loaded.initial is not None
    begun = load_file(loaded.initial)
    assert sum(begun[name].numel() for name, _ in planned.model.named_parameters()) == report.pruned.params
    assert all(torch.equal(begun[name], each) for name, each in planned.model.state_dict().items())
    widths = family("nats_size").describe(loaded.found.architecture).split(":")
    assert sum(map(int, widths)) < 8 + 8 + 8 + 16 + 40
    (tmp_path / "run" / "initial.safetensors").unlink()
    with pytest.raises(RecordError, match=r"initial\.safetensors are missing"):
        load_training(tmp_path / "run")


def test_a_space_without_narrower_widths_is_refused(tmp_path: Path, recipe: Path) -> None:
    weights = untrained("nasbench201:resnet", tmp_path / "cells.safetensors")
    asked = request(weights, recipe)
    with pytest.raises(RecordError, match="no choice of the space makes this network narrower"):
        plan_pruning(asked, declare_pruning(asked), Inline())


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ("darts", "no member of the space darts .*give the space"),
        ("nothing", "there is no space 'nothing'"),
        ("{growing: {stages: many}}", "stages"),
        ("{growing: ", "--space"),
    ],
)
def test_another_space_is_refused(space: str, reason: str, tmp_path: Path, recipe: Path) -> None:
    weights = untrained("nats_size:number_12", tmp_path / "whole.safetensors")
    asked = request(weights, recipe, Pruning(space=space))
    with pytest.raises(RecordError, match=reason):
        plan_pruning(asked, declare_pruning(asked), Inline())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((), "was trained with is not known: give --recipe"),
        (("--by", "age"), "age"),
        (("--keep", "1.5"), "keep is 1.5"),
        (("--cost", "money"), "money"),
    ],
)
def test_bad_input_is_one_line(given: tuple[str, ...], reason: str, tmp_path: Path, call: Call) -> None:
    weights = untrained("nats_size:number_12", tmp_path / "whole.safetensors")
    done = call("prune", weights, *given)
    assert done.returncode == 2, done
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


# -------------------------------------------------------------------------------------------------------- a real one


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, nas: Call, recipe: Path) -> Path:
    """Return the folder of a trained network of NATS-Bench's space."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = nas("train", "16:16:16:16:16", "--recipe", recipe, "--run-dir", folder)
    assert done.returncode == 0, done
    return folder


@pytest.mark.slow
def test_a_pruned_network_is_fine_tuned_and_is_an_ordinary_run(trained: Path, tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "pruned"
    done = call("prune", trained, "--keep", "0.5", "recipe.epochs=3", "--run-dir", folder)
    assert done.returncode == 0, done
    for expected in ("before", "pruned", "fine-tuned", "MACs"):
        assert expected in done.stdout, expected
    assert "fine-tuned" in call("show", folder).stdout
    report, measured = read_pruning(folder), read_test(folder / "best.safetensors")
    assert report is not None
    assert measured is not None
    known = read_test(trained / "best.safetensors")
    assert known is not None
    assert report.before.top1_percent == known.raw.top1_percent
    assert report.pruned.macs <= report.before.macs / 2
    assert measured.raw.top1_percent > report.pruned.top1_percent
    found, _ = find_checkpoint(str(folder))
    assert sum(each.numel() for each in build(found.tree(), found.input).parameters()) == report.pruned.params
    tested = json.loads(call("test", folder, "--json").stdout)["TestResult"]["raw"]["Accuracy"]
    assert tested["top1_percent"] == measured.raw.top1_percent
    assert call("export", folder, "--to", "source", "--out", tmp_path / "out").returncode == 0
    assert call("inspect", folder, "--only", "confusion").returncode == 0


@pytest.mark.slow
def test_a_killed_fine_tuning_ends_with_the_same_weights(trained: Path, tmp_path: Path, call: Call) -> None:
    given = ["prune", str(trained), "recipe.epochs=2", "recipe.batch=16"]
    assert call(*given, "--run-dir", tmp_path / "whole").returncode == 0
    often = ["execution.report_seconds=0", "execution.checkpoint_seconds=0", "--run-dir", str(tmp_path / "killed")]
    command = [sys.executable, "-m", "nas.cli", *given, *often]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed" / "checkpoints").glob("training-*.pt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "best.safetensors").exists()
    assert call("resume", tmp_path / "killed").returncode == 0
    whole, resumed = (load_file(tmp_path / name / "best.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole.keys() | resumed.keys())
