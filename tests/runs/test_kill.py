"""Real processes are killed in the middle of their work: nothing is lost, nothing done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

EVALUATIONS, EPOCHS = 4, 10


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A search on real digits, slow enough to be killed in the middle of a training."""
    training = {
        "data": "Digits",
        "validation": 100,
        "images": 400,
        "execution": {"checkpoint_seconds": 0},
        "recipe": {
            "epochs": EPOCHS,
            "batch": 32,
            "lr": 0.1,
            "augmentation": {"crop_pad": 1, "flip": False, "cutout": 0},
            "drop_path": 0,
        },
    }
    plain = {
        "imports": ["traced_training"],
        "space": "nasbench201",
        "network": {"channels": 8, "cells_per_stage": 1},
        "strategy": {"RegularizedEvolution": {"population": 3, "sample": 2}},
        "evaluator": {"TracedTraining": {"log": str(tmp_path / "log"), "training": training}},
        "rules": {"budget": {"evaluations": EVALUATIONS}, "duplicates": "evaluate"},
        "executor": {"RayTune": {"workers": 2, "loggers": ["TensorBoard"]}},
    }
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(plain))
    return tmp_path


@pytest.fixture
def launch(experiment: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a process of its own; it is gone when the test ends."""
    started: list[subprocess.Popen[str]] = []
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "tests" / "helpers")])

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nas.cli", *arguments]
        environment = {**os.environ, "PYTHONPATH": paths}
        process = subprocess.Popen(
            command, cwd=experiment, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def epochs_done(folder: Path) -> list[dict[str, Any]]:
    log = folder / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_for_third_epoch(folder: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the log's line of a training that is in the middle."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        lines = [line for line in epochs_done(folder) if line["epoch"] >= 3 and line["number"] >= 1]
        if lines and lines[-1]["epoch"] < EPOCHS - 3:
            return lines[-1]
        time.sleep(0.01)
    raise AssertionError("no training began within 200 s")


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()[1:]]
    return [line for line in lines if line["event"] == kind]


def assert_complete(run: Path) -> None:
    """Every number was started once and finished once, with scores."""
    for kind in ("start", "finish"):
        assert Counter(event["number"] for event in events(run, kind)) == Counter(range(EVALUATIONS))
    assert all("validation_top1_percent" in event["scores"] for event in events(run, "finish"))
    assert not list((run / "checkpoints").iterdir()), "finished candidates leave no checkpoint"


def assert_went_on(folder: Path, killed: dict[str, Any]) -> None:
    """The killed training went on in another process from its checkpoint, and not from the start."""
    later = [
        line for line in epochs_done(folder) if line["number"] == killed["number"] and line["pid"] != killed["pid"]
    ]
    assert later[0]["epoch"] > 2, f"started anew: {later}"
    assert later[-1]["epoch"] == EPOCHS


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_training_goes_on(
    experiment: Path, launch: Callable[..., subprocess.Popen[str]]
) -> None:
    search = launch("search", "experiment.yaml", "--run-dir", "run")
    killed = wait_for_third_epoch(experiment, search)
    os.kill(killed["pid"], signal.SIGKILL)
    output, _ = search.communicate(timeout=240)
    assert search.returncode == 0, output
    assert_complete(experiment / "run")
    assert_went_on(experiment, killed)


@pytest.mark.slow
def test_a_killed_driver_is_resumed_with_nothing_lost_or_doubled(
    experiment: Path, launch: Callable[..., subprocess.Popen[str]]
) -> None:
    search = launch("search", "experiment.yaml", "--run-dir", "run")
    killed = wait_for_third_epoch(experiment, search)
    os.kill(search.pid, signal.SIGKILL)
    search.wait(timeout=60)
    before = {event["number"]: event["scores"] for event in events(experiment / "run", "finish")}
    assert len(before) < EVALUATIONS

    resumed = launch("resume", "run")
    output, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, output
    assert_complete(experiment / "run")
    after = {event["number"]: event["scores"] for event in events(experiment / "run", "finish")}
    assert before.items() <= after.items(), "what was found before the kill is as it was"
    assert list((experiment / "run" / "tensorboard" / "search").glob("events.*")), "a logger heard the search"
    assert_went_on(experiment, killed)
