"""Searches of modules that exist: from a file and from Python, killed and resumed, trained on and exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from existing_modules import resnet
from killing import searched_whole_and_killed_twice

import nas
from nas.building import build
from nas.data import Augmentation, Digits, split
from nas.evaluation.recalibrated import Recalibrated
from nas.evaluation.training import Training
from nas.profiling import profile, profile_module
from nas.runs.architecture import find_architecture
from nas.runs.experiment import Final
from nas.strategies.random_search import RandomSearch
from nas.training import Recipe, evaluate, seeded, train
from search_spaces.resnet import PROJECTION, basic, cifar

pytest.importorskip("torch_pruning")
pytestmark = pytest.mark.usefixtures("one_thread")

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
INPUT = (1, 8, 8)
RECIPE = Recipe(epochs=5, batch=32, lr=0.05, drop_path=0.0, augmentation=Augmentation(crop_pad=1, flip=False, cutout=0))

Call = Callable[..., Any]


def trained(model: Any, epochs: int = 5) -> Any:
    with seeded(0):
        for _ in train(model, split(Digits(), 300, 0, 800), RECIPE, seed=0, until=epochs):
            pass
    return model


def experiment(folder: Path, **changes: Any) -> Path:
    """Write a search of a module in a file, with weights next to it."""
    torch.save(resnet().state_dict(), folder / "weights.pt")
    module = {"make": f"{HELPERS / 'existing_modules.py'}:resnet(width=8)", "input": list(INPUT)}
    plain = {
        "space": {"module": {**module, "weights": str(folder / "weights.pt"), **changes}},
        "strategy": {"RegularizedEvolution": {"population": 6, "sample": 3}},
        "evaluator": {"Recalibrated": {"data": "Digits", "validation": 300, "images": 400, "calibration_images": 64}},
        "rules": {"budget": {"evaluations": 24}, "limits": {"macs": {"most": 60_000}}},
    }
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return file


def assert_says(answer: Any, *parts: str) -> None:
    assert answer.returncode == 2
    assert answer.stderr.startswith("nas: "), answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    assert all(part in answer.stderr for part in parts), answer.stderr


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"make": "no_such_package.resnet"}, ("module no_such_package cannot be imported",)),
        ({"make": "./no_such_file.py:resnet"}, ("there is no file", "no_such_file.py: give the path of a module")),
        ({"make": "resnet"}, ("'resnet' names no function that makes a module",)),
        ({"input": [3, 8, 8]}, ("does not run on images of 3x8x8",)),
        ({"input": [8, 8]}, ("input",)),
        ({"weights": "no_such.pt"}, ("there are no weights", "no_such.pt")),
        ({"by": "l3"}, ("space.module.by is 'l3': known are l1, l2, norm_scale",)),
        ({"ratioss": [1]}, ("space.", "ratioss", "'ratios'")),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(
    tmp_path: Path, call: Call, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    answer = call("search", experiment(tmp_path, **changes), "--run-dir", tmp_path / "run")
    assert_says(answer, *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_that_is_killed_ends_as_the_whole_one_does(tmp_path: Path) -> None:
    whole, cut = searched_whole_and_killed_twice(experiment(tmp_path), tmp_path)
    scored = [
        [
            (event["number"], event["scores"])
            for event in map(json.loads, (folder / "history.jsonl").read_text().splitlines())
            if event.get("event") == "finish"
        ]
        for folder in (whole, cut)
    ]
    assert len(scored[0]) == 24
    assert sorted(scored[0], key=str) == sorted(scored[1], key=str)
    assert all(scores["macs"] <= 60_000 for _, scores in scored[0])
    best = find_architecture(str(cut))
    assert (best.family, best.input) == ("nas.modules", INPUT)
    assert profile(best.tree(), INPUT).macs == best.scores["macs"]


@pytest.mark.slow
def test_a_trained_residual_network_keeps_its_accuracy_when_its_slice_is_trained_on(tmp_path: Path, call: Call) -> None:
    # ResNet-20 of this project with projections, narrow, for scans of digits
    images = split(Digits(), 300, 0, 800)
    with seeded(0):
        module = build(cifar(basic(PROJECTION), 3, (8, 16, 32)), INPUT)
    before = evaluate(trained(module), images.validation, images, RECIPE).top1_percent
    macs = profile_module(module, INPUT).macs
    run = nas.search(
        nas.from_module(module, INPUT),
        Recalibrated(Digits(), validation=300, images=800),
        RandomSearch(),
        limits={"macs": {"most": 0.6 * macs}},
        evaluations=12,
        folder=tmp_path / "run",
        final=Final(evaluator=Training(Digits(), RECIPE, 300, 800)),
        show=False,
    )
    finished = json.loads((tmp_path / "run" / "final.jsonl").read_text().splitlines()[-1])
    assert before > 90
    assert run.best.scores["macs"] <= 0.6 * macs
    assert finished["scores"]["validation_top1_percent"] > before - 5
    resumed = nas.resume(tmp_path / "run", evaluations=13, show=False)
    assert resumed.history.evaluations == 13
    answer = call("export", tmp_path / "run", "--to", "onnx,source,json", "--out", tmp_path / "out")
    assert answer.returncode == 0, answer.stderr
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".onnx", ".py", ".json"}
