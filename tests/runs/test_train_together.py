"""`nas train` by two workers of Ray Train: one is killed, then the command itself, and another number of workers goes on."""

from __future__ import annotations

import os
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

from nas.evaluation.results import read_epochs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    "network.channels=4 network.layers=3 network.auxiliary=false data=Digits "
    "recipe.augmentation.cutout=2 recipe.augmentation.crop_pad=1 recipe.augmentation.flip=false "
    "recipe.epochs=8 images=320 recipe.batch=32 recipe.drop_path=0 recipe.sync_batch_norm=true recipe.lr=0.01 "
    "recipe.validate_every=4 validation=100 execution.report_seconds=0.2 execution.checkpoint_seconds=0.2"
).split()
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Any:
    """Start the command in a process of its own; it is gone when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return started[-1]

    yield run
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training by two workers that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "nas.cli", *train(folder, 2)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done
    return folder


def train(folder: Path, workers: int) -> list[str]:
    return [
        "train",
        "darts:DARTS_V2",
        "--recipe",
        "darts_cifar",
        *SETTINGS,
        "--workers",
        str(workers),
        "--run-dir",
        str(folder),
    ]


def wait_for_epoch(folder: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while len(read_epochs(folder / "best.safetensors")) < epoch:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no epoch within two minutes"
        time.sleep(0.05)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that train, by their titles, of those that the command has started."""
    titles = {int(each.name): title(each) for each in Path("/proc").iterdir() if each.name.isdigit()}
    return [pid for pid, name in titles.items() if "RayTrainWorker" in name and process.pid in ancestors(pid)]


def title(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def ancestors(pid: int) -> list[int]:
    found: list[int] = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.append(pid)
    return found


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def learnt(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "best.safetensors")


def test_a_training_survives_its_workers_and_its_command(whole: Path, tmp_path: Path, start: Start) -> None:
    hit = tmp_path / "hit"
    command = start(*train(hit, 2))
    wait_for_epoch(hit, 2, command)
    both = workers_of(command)
    assert len(both) == 2
    os.kill(both[1], signal.SIGKILL)
    wait_for_epoch(hit, 4, command)
    assert not set(both) & set(workers_of(command)), "all processes began anew"
    command.kill()
    command.wait()
    finished(start("resume", hit, "--executor", "inline"))
    epochs = [read_epochs(folder / "best.safetensors") for folder in (whole, hit)]
    assert [epoch.epoch for epoch in epochs[1]] == list(range(1, 9))
    assert [epoch.loss for epoch in epochs[1]] == pytest.approx([epoch.loss for epoch in epochs[0]], abs=0.05)
    first, second = learnt(whole), learnt(hit)
    difference = sum(float((first[name].double() - second[name].double()).abs().sum()) for name in first)
    assert difference < 0.05 * sum(float(tensor.double().abs().sum()) for tensor in first.values())


def test_a_killed_worker_changes_nothing_of_what_is_learnt(whole: Path, tmp_path: Path, start: Start) -> None:
    hit = tmp_path / "hit"
    command = start(*train(hit, 2))
    wait_for_epoch(hit, 3, command)
    os.kill(workers_of(command)[0], signal.SIGKILL)
    finished(command)
    first, second = learnt(whole), learnt(hit)
    assert all(torch.equal(first[name], second[name]) for name in first)
