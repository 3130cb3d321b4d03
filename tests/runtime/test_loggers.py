"""Loggers by name: what TensorBoard, MLflow and Weights & Biases are told is what the journal says."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest

from nas.evaluation.evaluator import Evaluation, Job, Progress, at_once
from nas.journal import replay
from nas.records import RecordError, record
from nas.runs.experiment import load
from nas.runtime.inline import Inline
from nas.runtime.loggers import Logger
from nas.runtime.loggers.labels import DecisionLabels
from nas.runtime.loggers.logged import logged
from nas.runtime.loggers.mlflow import MLflow
from nas.runtime.loggers.tensorboard import TensorBoard
from nas.runtime.loggers.wandb import WandB
from nas.runtime.queue import Queue
from nas.runtime.ray_tune import RayTune
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.space import sample
from nas.strategies.fixed_proposals import FixedProposals
from nas.strategies.random_search import RandomSearch
from search_spaces import nasbench201

Call = Callable[..., Any]

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cellstack[ray]'")
pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: it comes with 'cellstack[ray]'")

SMALL = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: RandomSearch
evaluator:
  Training:
    data: Digits
    validation: 50
    images: 50
    recipe: {epochs: 2, batch: 25, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules:
  budget: {evaluations: 3}
executor:
  RayTune: {workers: 1, loggers: LOGGERS}
"""

Scalars = dict[str, list[tuple[int, float]]]


def scalars(folder: Path) -> Scalars:
    """Return (step, value) of each tag in the event files of one run, by the layout of TFRecord: length, crc, data, crc."""
    from tensorboardX.proto.event_pb2 import Event

    found: Scalars = defaultdict(list)
    for path in sorted(folder.glob("events.out.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[value.tag.removeprefix("ray/tune/")].append((event.step, value.simple_value))
    return found


def near(value: float) -> Any:
    """An event file has floats of four bytes."""
    return pytest.approx(value, rel=1e-6)


def search(evaluations: int = 3, work: Any = None) -> RunStage:
    rules = Rules(Budget(evaluations=evaluations), "score")
    space = nasbench201.nasbench201()
    return RunStage("search", RandomSearch(), work or two_epochs, rules, str, space, retries_failures=False)


def two_epochs(job: Job) -> Evaluation:
    """Report two epochs, and what is within one; the second candidate fails, and the third has no epochs."""
    if job.number == 2:
        return {"score": 0.125}
    yield Progress(0.5, 2, shown={"loss": 9.0})
    yield Progress(1, 2, shown={"loss": 2.0})
    yield Progress(2, 2, shown={"loss": 1.0}, warning="collapses")
    if job.number == 1:
        raise ValueError("unlucky")
    return {"score": 0.5, "params": 7}


def run_logged(stage: RunStage, loggers: list[Logger], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with logged(stage, loggers, folder) as views, closing(Queue(stage, views, folder)) as queue:
        Inline().run(queue, stage.work, folder)


# ------------------------------------------------------------------------------------------------ what is written


def test_the_search_is_a_run_and_so_is_each_candidate_that_trains(run_folder: Path) -> None:
    run_logged(search(), [TensorBoard()], run_folder)
    written = run_folder / "tensorboard"
    assert {each.parent.name for each in written.rglob("events.*")} == {"search", "00000", "00001"}
    whole = scalars(written / "search")
    assert whole["score"] == [(1, 0.5), (3, 0.125)]
    assert whole["best_score"] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert whole["failed"] == [(1, 0), (2, 1), (3, 1)]
    first, failed = (scalars(written / "search" / name) for name in ("00000", "00001"))
    assert first["loss"] == [(1, 2.0), (2, 1.0)], "of whole epochs"
    assert first["score"] == [(2, 0.5)]
    assert "warning" not in first
    assert "epochs" not in first
    assert failed["loss"] == [(1, 2.0), (2, 1.0)]
    assert "score" not in failed


def test_a_candidate_is_listed_with_its_decisions(run_folder: Path) -> None:
    run_logged(search(1), [TensorBoard()], run_folder)
    (file,) = (run_folder / "tensorboard" / "search" / "00000").iterdir()
    drawn = replay(run_folder / "history.jsonl", "score").proposals[0].architecture
    decided = DecisionLabels(nasbench201.nasbench201()).of(drawn)
    assert len(decided) == 6
    for name, label in decided.items():
        assert name.encode() in file.read_bytes()
        assert label.encode() in file.read_bytes()


def test_a_resumed_search_goes_on_at_its_step(run_folder: Path) -> None:
    for evaluations in (2, 4):
        stage = search(evaluations, lambda job: at_once({"score": float(job.number)}))
        run_logged(stage, [TensorBoard()], run_folder)
    written = scalars(run_folder / "tensorboard" / "search")
    assert written["best_score"][-2:] == [(3, 2.0), (4, 3.0)], "and not at 1 again"


def test_what_is_trained_in_the_end_is_known_by_its_role(run_folder: Path) -> None:
    best = sample(nasbench201.nasbench201(), Random(0))
    stage = replace(search(1), name="final", source=FixedProposals(((best, "best"),)))
    run_logged(stage, [TensorBoard()], run_folder)
    assert scalars(run_folder / "tensorboard" / "final" / "best")["loss"] == [(1, 2.0), (2, 1.0)]


@record
class Lines(Logger):
    """Log to another of Tune's callbacks, as a user may."""

    callback: ClassVar[str] = "ray.tune.logger.JsonLoggerCallback"
    package: ClassVar[str] = "ray"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {}

    def files_of(self, folder: Path, run: str) -> Path:
        return folder / "lines" / run


def test_a_logger_of_ones_own_is_a_record(run_folder: Path) -> None:
    run_logged(search(), [Lines()], run_folder)
    lines = (run_folder / "lines" / "search" / "00000" / "result.json").read_text("utf-8").splitlines()
    steps = [json.loads(line) for line in lines]
    assert [(each["training_iteration"], each.get("loss"), each.get("score")) for each in steps] == [
        (1, 2.0, None),
        (2, 1.0, None),
        (2, None, 0.5),
    ]


@record
class Breaking(Logger):
    """Log to a callback that fails."""

    callback: ClassVar[str] = "ray.tune.logger.TBXLoggerCallback"
    package: ClassVar[str] = "tensorboardX"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {}

    def files_of(self, folder: Path, run: str) -> Path:
        return folder / "history.jsonl" / "no folder"


def test_a_logger_that_fails_is_left_out_and_the_search_goes_on(run_folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"logger Breaking is left out from now on: .*history\.jsonl") as warned:
        run_logged(search(), [Breaking(), TensorBoard()], run_folder)
    assert len(warned) == 1
    assert len(replay(run_folder / "history.jsonl", "score").finished) == 3
    assert scalars(run_folder / "tensorboard" / "search")["score"] == [(1, 0.5), (3, 0.125)]


def test_a_search_that_breaks_off_leaves_a_whole_log(run_folder: Path) -> None:
    def stopped(job: Job) -> Evaluation:
        yield Progress(1, 2, shown={"loss": 2.0})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_logged(search(work=stopped), [TensorBoard()], run_folder)
    assert scalars(run_folder / "tensorboard" / "search" / "00000")["loss"] == [(1, 2.0)]


# --------------------------------------------------------------------------------------------------- declarations


@record
class Absent(Logger):
    """Log to what is not installed."""

    callback: ClassVar[str] = "no_such_tracker.Callback"
    package: ClassVar[str] = "no_such_tracker"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {}


def test_a_missing_package_is_told_before_ray_is_started() -> None:
    import ray

    said = r"logger Absent needs no_such_tracker, which is not installed: pip install no_such_tracker, or leave"
    with pytest.raises(RecordError, match=said), RayTune(loggers=(Absent(),)).opened():
        pass
    assert not ray.is_initialized()


@record
class Unwilling(Logger):
    """Log to a callback that does not take its settings."""

    callback: ClassVar[str] = "ray.tune.logger.TBXLoggerCallback"
    package: ClassVar[str] = "tensorboardX"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {"server": "none"}


def test_a_logger_that_cannot_begin_says_why(run_folder: Path) -> None:
    with pytest.raises(RecordError, match=r"logger Unwilling cannot start \(.*server.*\): change its settings"):
        run_logged(search(), [Unwilling()], run_folder)


def test_loggers_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    loggers = "[TensorBoard, {MLflow: {tracking_uri: 'sqlite:///a.db', experiment: cells}}, {WandB: {mode: offline}}]"
    path.write_text(SMALL.replace("LOGGERS", loggers), encoding="utf-8")
    executor = load(path).executor
    assert isinstance(executor, RayTune)
    assert executor.loggers == (TensorBoard(), MLflow("sqlite:///a.db", "cells"), WandB(mode="offline"))
    path.write_text(SMALL.replace("LOGGERS", "[TensorBord]"), encoding="utf-8")
    with pytest.raises(RecordError, match=r"loggers.*did you mean 'TensorBoard'"):
        load(path)


# ------------------------------------------------------------------------------------------------------ in earnest


def by_number(folder: Path) -> dict[int, dict[str, float]]:
    lines = (folder / "history.jsonl").read_text("utf-8").splitlines()[1:]
    return {each["number"]: each["scores"] for each in map(json.loads, lines) if each["event"] == "finish"}


@pytest.mark.slow
def test_a_ray_search_writes_event_files_with_the_numbers_of_its_journal(
    call: Call, tmp_path: Path, run_folder: Path
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("LOGGERS", "[TensorBoard]"), encoding="utf-8")
    answer = call("search", path, "--run-dir", run_folder)
    assert answer.returncode == 0, answer.stderr
    found = by_number(run_folder)
    assert len(found) == 3
    whole, top1 = scalars(run_folder / "tensorboard" / "search"), "validation_top1_percent"
    in_order = list(found.values())
    for name in (top1, "params", "macs", "seconds"):
        assert whole[name] == [(i + 1, near(scores[name])) for i, scores in enumerate(in_order)]
    bests = [max(scores[top1] for scores in in_order[: i + 1]) for i in range(3)]
    assert whole[f"best_{top1}"] == [(i + 1, near(best)) for i, best in enumerate(bests)]
    for number, scores in found.items():
        candidate = scalars(run_folder / "tensorboard" / "search" / f"{number:05}")
        assert [step for step, _ in candidate["loss"]] == [1, 2]
        assert candidate[top1][-1] == (2, near(scores[top1]))
        assert candidate["params"] == [(2, near(scores["params"]))]


@pytest.mark.slow
def test_a_ray_search_writes_to_mlflow_and_to_weights_and_biases(call: Call, tmp_path: Path, run_folder: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow")
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install wandb")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    loggers = (
        f"[{{MLflow: {{tracking_uri: '{uri}', experiment: cells}}}}, {{WandB: {{project: cells, mode: offline}}}}]"
    )
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("LOGGERS", loggers), encoding="utf-8")
    answer = call("search", path, "--run-dir", run_folder)
    assert answer.returncode == 0, answer.stderr
    found, top1 = by_number(run_folder), "validation_top1_percent"
    client = mlflow.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("cells").experiment_id])
    named = {run.info.run_name: run for run in runs}
    assert set(named) == {"search", "search/00000", "search/00001", "search/00002"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["folder"] for run in runs} == {str(run_folder.resolve())}
    whole = client.get_metric_history(named["search"].info.run_id, top1)
    assert [each.value for each in whole] == [scores[top1] for scores in found.values()]
    history = replay(run_folder / "history.jsonl", top1)
    for number, scores in found.items():
        run = named[f"search/{number:05}"]
        assert run.data.metrics[top1] == scores[top1]
        decided = DecisionLabels(nasbench201.nasbench201()).of(history.proposals[number].architecture)
        assert {name: run.data.params[name] for name in decided} == decided
    offline = list((run_folder / "wandb").glob("offline-run-*/*.wandb"))
    assert len(offline) == 4
    for file in offline:
        assert top1.encode() in file.read_bytes()
