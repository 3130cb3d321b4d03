"""Two real processes train one network together, over Gloo: the loss is that of one process with the same batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.building import build
from nas.data import Augmentation, Digits, split
from nas.records import RecordError
from nas.training import Epoch, Execution, Recipe, seeded, train
from nas.training.peers import Peers
from nas.training.stepper import Stepper
from search_spaces import darts

STEPS = 8
RECIPE = Recipe(
    epochs=STEPS,
    batch=32,
    lr=0.003,
    drop_path=0,
    sync_batch_norm=True,
    ema=0.9,
    validate_every=4,
    augmentation=Augmentation(crop_pad=1, flip=True, cutout=3),
)
"""An epoch is one step: 32 images in batches of 32."""

WAYS = {
    "synchronised": (RECIPE, Execution()),
    "double": (RECIPE, Execution()),
    "own statistics": (replace(RECIPE, epochs=5, sync_batch_norm=False), Execution()),
    "33 images": (replace(RECIPE, epochs=3, batch=22), Execution()),
    "accumulated": (replace(RECIPE, epochs=3), Execution(accumulate=2)),
}


def network() -> nn.Module:
    """Return a small DARTS network with an auxiliary head: batch norms with and without weights, edges of all kinds."""
    with seeded(0):
        return build(darts.network(darts.family.published["DARTS_V2"], channels=4, layers=3), (1, 8, 8))


def curve(way: str) -> dict[str, Any]:
    """Train as one of the processes that there are; return the losses and what was learnt, as numbers."""
    recipe, execution = WAYS[way]
    model, images = network(), split(Digits(), 50, 0, train=33 if way == "33 images" else recipe.batch)
    if way == "double":
        model.double().register_forward_pre_hook(lambda module, inputs: (inputs[0].double(),))
    epochs, average = drained(train(model, images, recipe, seed=3, device=torch.device("cpu"), execution=execution))
    return {
        "loss": [epoch.loss for epoch in epochs],
        "right": [epoch.train_top1_percent for epoch in epochs],
        "validation": epochs[-1].validation_top1_percent,
        "learnt": [float(tensor.double().abs().sum()) for tensor in model.state_dict().values()],
        "average": [float(tensor.double().abs().sum()) for tensor in average.state_dict().values()],
    }


def drained(reports: Any) -> tuple[list[Epoch], nn.Module]:
    """Return the epochs of a training, and the moving average that it returns."""
    epochs: list[Epoch] = []
    while True:
        try:
            report = next(reports)
        except StopIteration as end:
            return epochs, end.value
        epochs += [report] if isinstance(report, Epoch) else []


def work(folder: Path, rank: int) -> None:
    """Be one of two processes, and write down all curves."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    (folder / f"{rank}.json").write_text(json.dumps({way: curve(way) for way in WAYS}))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("together")
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths}
    code = "import sys, pathlib, test_together; test_together.work(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(rank)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=200)[1] for process in started]
    assert all(process.returncode == 0 for process in started), errors
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(("way", "tolerance"), [("synchronised", 1e-4), ("double", 1e-6)])
def test_two_processes_have_the_loss_of_one_with_the_same_batch(
    together: list[dict[str, Any]], way: str, tolerance: float
) -> None:
    alone = curve(way)
    assert len(alone["loss"]) == STEPS
    assert together[0][way]["loss"] == pytest.approx(alone["loss"], abs=tolerance)
    assert together[0][way]["right"] == pytest.approx(alone["right"], abs=0 if way == "double" else 100 / 32)
    assert together[0][way]["learnt"] == pytest.approx(alone["learnt"], rel=100 * tolerance)


@pytest.mark.slow
def test_batch_norms_of_their_own_give_another_curve(together: list[dict[str, Any]]) -> None:
    differences = zip(together[0]["own statistics"]["loss"], together[0]["synchronised"]["loss"], strict=False)
    assert max(abs(first - second) for first, second in differences) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_processes_learn_the_same(together: list[dict[str, Any]], way: str) -> None:
    first, second = (each[way] for each in together)
    assert first["loss"] == second["loss"]
    assert first["validation"] == second["validation"]
    assert first["learnt"] == second["learnt"]
    assert first["average"] == second["average"]


@pytest.mark.slow
def test_an_image_too_many_for_equal_parts_is_left_out(together: list[dict[str, Any]]) -> None:
    assert together[0]["33 images"]["right"][0] % (100 / 32) == pytest.approx(0, abs=1e-9)


def test_a_batch_that_the_workers_cannot_share_evenly_is_refused() -> None:
    with pytest.raises(
        RecordError, match=r"recipe.batch is 32, which 3 workers cannot share evenly: give a multiple of 3"
    ):
        Stepper(network(), split(Digits(), 50, 0), RECIPE, 0, torch.device("cpu"), Execution(), Peers(0, 3))
