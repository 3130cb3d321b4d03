"""Who is trained in the end: the best, the best few, or a whole front; and what their mean of logits is worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from journals import events

from nas.data import split
from nas.evaluation.ensemble import AveragedLogits
from nas.evaluation.results import read_test
from nas.evaluation.training import Training
from nas.history import History, Limit, Proposal
from nas.records import import_all
from nas.report.summary.summarise import summarise
from nas.runs.architecture import find_checkpoint
from nas.runs.experiment import Final, load
from nas.runs.finals import finalists_of
from nas.runs.run import create_folder, load_run, plan, run
from nas.runtime.stage import RunStage
from nas.runtime.view import Silent, View
from nas.space import one_of
from nas.training.measure import evaluate

Call = Callable[..., Any]

import_all("nas.operations")  # the records of the journals

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: RandomSearch
evaluator: Costs
rules:
  budget: {evaluations: 8}
  objective: OBJECTIVE
final:
  FINAL
  evaluator:
    Training:
      data: Digits
      validation: 200
      images: 300
      recipe: {epochs: 2, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
"""


def silent(stage: RunStage) -> View:
    return Silent()


def searched(folder: Path, final: str, objective: str = "macs") -> Path:
    (folder / "search.yaml").write_text(SEARCH.replace("OBJECTIVE", objective).replace("FINAL", final))
    planned = plan(load(folder / "search.yaml"))
    create_folder(folder / "run", planned)
    run(planned, folder / "run", silent)
    return folder / "run"


def history_of(*values: float, objective: Any = "score") -> History:
    history = History(objective)
    for value in values:
        history.finish(history.start(Proposal(value)), {"score": value, "cost": value})
    return history


def test_the_best_few_are_distinct_and_come_best_first() -> None:
    history = history_of(1.0, 3.0, 3.0, 2.0)
    chosen = finalists_of(history, Final(top=3, beside_random=1), one_of("x", (1.0, 2.0, 3.0, 4.0)), 0)
    assert [(each.label, each.architecture) for each in chosen[:3]] == [("best", 3.0), ("best 2", 2.0), ("best 3", 1.0)]
    assert [(each.label, each.stem, each.architecture) for each in chosen[3:]] == [("random", "random", 4.0)]
    assert [each.label for each in finalists_of(history, Final(top=9), None, 0)] == ["best", "best 2", "best 3"]


def test_of_equal_ones_the_earlier_is_the_best_and_the_other_the_second() -> None:
    history = History("score")
    for name in ("x", "y"):
        history.finish(history.start(Proposal(name)), {"score": 1.0})
    assert [each.architecture for each in finalists_of(history, Final(top=2), None, 0)] == ["x", "y"]


def test_where_nothing_is_within_the_limits_the_nearest_is_trained() -> None:
    history = History(("score", "-cost"), {"cost": Limit(most=1)})
    for cost in (9.0, 5.0):
        history.finish(history.start(Proposal(cost)), {"score": cost, "cost": cost})
    assert [(each.label, each.architecture) for each in finalists_of(history, Final(top="front"), None, 0)] == [
        ("best", 5.0)
    ]


def test_a_front_is_trained_in_its_order() -> None:
    history = history_of(1.0, 3.0, 2.0, objective=("score", "-cost"))
    chosen = finalists_of(history, Final(top="front"), None, 0)
    assert [(each.label, each.architecture) for each in chosen] == [("best", 3.0), ("front 1", 2.0), ("front 2", 1.0)]


@pytest.mark.slow
def test_the_best_two_and_their_mean_of_logits_are_tested(tmp_path: Path, call: Call) -> None:
    folder = searched(tmp_path, "top: 2\n  ensemble: true\n  beside_random: true")
    finals = {event["number"]: event for event in events(folder, "final") if event["event"] == "finish"}
    assert len(finals) == 3
    (ensemble,) = [event for event in events(folder, "ensemble") if event["event"] == "finish"]
    # the mean of both networks' logits, computed here
    training = load_run(folder).final.evaluator  # type: ignore[union-attr]
    assert isinstance(training, Training)
    trained = [find_checkpoint(str(folder / f"{stem}.safetensors"))[0] for stem in ("best", "best-2")]
    assert trained[0].architecture != trained[1].architecture
    images = split(training.data, 200, 0, 300)
    networks = [model_of(folder / f"{stem}.safetensors") for stem in ("best", "best-2")]
    measured = evaluate(AveragedLogits(networks), images.open_test(), images, training.recipe)
    assert ensemble["scores"]["test_top1_percent"] == measured.top1_percent
    assert ensemble["scores"]["params"] == sum(
        event["scores"]["params"] for number, event in finals.items() if number < 2
    )
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        alone = [network.eval()(x) for network in networks]
    assert torch.allclose(AveragedLogits(networks).eval()(x), sum(alone) / 2)
    stored = read_test(folder / "ensemble.safetensors")
    assert stored is not None
    assert stored.raw.top1_percent == measured.top1_percent

    shown = call("show", folder).stdout
    assert "ended" in shown
    assert all(label in shown for label in ("best 2", "random", "ensemble"))
    summary = summarise(folder)
    assert summary.finals is not None
    assert summary.finals.roles == ["best", "best 2", "random", "ensemble"]
    before = (folder / "final.jsonl").read_bytes()
    assert call("resume", folder).returncode == 0
    assert (folder / "final.jsonl").read_bytes() == before, "nothing is trained twice"


def model_of(weights: Path) -> Any:
    from nas.evaluation.trained_network import TrainedNetwork

    return TrainedNetwork(*find_checkpoint(str(weights))).model()


@pytest.mark.slow
def test_every_member_of_a_front_is_trained(tmp_path: Path, call: Call) -> None:
    folder = searched(tmp_path, "top: front", "[macs, -params]")
    members = json.loads((folder / "front.json").read_text())["front"]
    finals = [event for event in events(folder, "final") if event["event"] == "finish"]
    assert len(finals) == len(members)
    for place in range(1, len(members)):
        assert (folder / f"front-{place}.safetensors").is_file()
    assert not (folder / "ensemble.jsonl").exists()
    assert "ended" in call("show", folder).stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["final.top=front"], "final.top is front, and a search of one objective has none: give a number"),
        (["final.ensemble=true"], "final.ensemble needs several networks: give final.top, as 3"),
        (["final={top: 2, ensemble: true, evaluator: NoisyBits}"], "and NoisyBits trains none: leave it out"),
        (["final.top=0"], "final.top"),
    ],
)
def test_what_cannot_be_trained_is_found_before_anything_runs(
    changes: list[str], said: str, tmp_path: Path, call: Call
) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH.replace("OBJECTIVE", "macs").replace("FINAL", "top: 1"))
    answer = call("search", tmp_path / "search.yaml", *changes, "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert said in answer.stderr, answer.stderr
