"""Latency on devices: predicted from a table, measured by a command, and by layer."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from nas.evaluation.device_latency import DeviceLatency
from nas.evaluation.evaluator import Job
from nas.evaluation.latency import Latency
from nas.evaluation.layer_times import layer_times
from nas.evaluation.predicted import Measured, Predicted, fit
from nas.evaluation.table_file import load_rows
from nas.family import family
from nas.plain import from_plain
from nas.predictors.encoding import coded
from nas.predictors.gaussian_process import GaussianProcess
from nas.predictors.one_hot import OneHot
from nas.records import RecordError
from nas.space import decisions, sample
from nas.testing.evaluators import performed, task_for
from search_spaces.nasbench201 import nasbench201

Call = Callable[..., Any]

SMALL = {"channels": 4, "cells_per_stage": 1}
OPERATION_MS = (0.0, 0.5, 2.0, 5.0, 1.0)
"""The milliseconds of each operation of a device whose latency is the sum over edges."""


def latency(architecture: Any) -> float:
    return 3 + sum(OPERATION_MS[each] for each in decisions(nasbench201(), architecture).values())


@pytest.fixture(scope="module")
def latencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of 100 cells by their text, as `nas table` writes it."""
    path, found = tmp_path_factory.mktemp("latencies") / "latencies.csv", family("nasbench201")
    cells = list(dict.fromkeys(sample(nasbench201(), Random(seed)) for seed in range(102)))[:100]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["architecture", "latency_ms"])
        rows.writerows([(found.usual or found.describe)(cell), latency(cell)] for cell in cells)
    return path


def predicted(table: Path, **others: Any) -> Predicted:
    return Predicted(str(table), {"latency_ms": "latency_ms"}, key="text", **others)


def test_a_sum_over_edges_is_predicted_from_a_hundred_cells(latencies: Path) -> None:
    evaluator = predicted(latencies)
    task = task_for(evaluator, "nasbench201", SMALL)
    for seed in range(1000, 1010):
        cell = sample(nasbench201(), Random(seed))
        assert evaluator.costs(task, cell)["latency_ms"] == pytest.approx(latency(cell), rel=0.02)


def test_its_errors_are_those_of_folds_made_by_hand(latencies: Path) -> None:
    measured = Measured(str(latencies), "text", (), 30, 4, nasbench201(), "nasbench201")
    members, file = measured.members(), load_rows(str(latencies), "text").file
    assert len(members) == 30
    values = np.array([file.value("latency_ms", row) for row in members])
    features = [OneHot().features(nasbench201(), cell) for cell in members.values()]
    guesses = np.zeros(30)
    for number in range(30):
        known = [other for other in range(30) if (other - number) % 5]
        vocabulary = OneHot().vocabulary([features[other] for other in known])
        codes = coded([features[other] for other in known], vocabulary)
        predict = GaussianProcess().fit_named(list(vocabulary), codes, values[known], 4)
        guesses[number] = predict(coded([features[number]], vocabulary))[0][0]
    found = fit(measured, "latency_ms", GaussianProcess(), OneHot())
    assert found.error_percent == pytest.approx(100 * np.abs(guesses - values).mean() / values.mean())
    assert found.rank_correlation == pytest.approx(spearmanr(guesses, values).statistic)


def test_the_first_evaluation_says_the_errors(latencies: Path) -> None:
    evaluator = predicted(latencies, rows=50)
    task = task_for(evaluator, "nasbench201", SMALL)
    progress, _ = performed(evaluator.evaluate(task, Job(0, sample(task.space, Random(0)), 1)))
    assert progress[0].warning.startswith("latency_ms is predicted from 50 rows of")
    assert "rank correlation 1.00 in 5-fold cross-validation" in progress[0].warning
    assert performed(evaluator.evaluate(task, Job(1, sample(task.space, Random(0)), 1)))[0] == []


def test_latencies_of_a_real_gpu_are_predicted_from_a_hundred_cells(shared_data: Path) -> None:
    table = shared_data / "nasbench201_latency_5devices.npz"
    evaluator = Predicted(str(table), {"latency_ms": "1080ti_1_ms"}, rows=100)
    task = task_for(evaluator, "nasbench201", SMALL)
    rows = load_rows(str(table))
    cells = [sample(nasbench201(), Random(seed)) for seed in range(200)]
    guesses = [evaluator.costs(task, cell)["latency_ms"] for cell in cells]
    values = [rows.file.value("1080ti_1_ms", rows.row(nasbench201(), cell)) for cell in cells]
    assert np.abs(np.subtract(guesses, values)).mean() / np.mean(values) < 0.05
    assert spearmanr(guesses, values).statistic > 0.95


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"columns": {"latency_ms": "latency_s"}}, "has no column 'latency_s': did you mean 'latency_ms'"),
        ({"rows": 200}, "has 100 rows, and 200 were asked for"),
        ({"rows": 3}, "give 5 at least"),
        ({"key": "digest"}, "a digest cannot be read back"),
    ],
)
def test_what_cannot_be_predicted_from_says_so(latencies: Path, settings: Mapping[str, Any], said: str) -> None:
    plain = {"table": str(latencies), "columns": {"latency_ms": "latency_ms"}, "key": "text", **settings}
    task = task_for(predicted(latencies), "nasbench201", SMALL)
    with pytest.raises(RecordError, match=said):
        from_plain({"Predicted": plain}, Predicted).check(task)


# ---------------------------------------------------------------------------------------------------- a command

BENCH = """
import json, sys, time
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
x = numpy.zeros((1, 3, 32, 32), numpy.float32)
began = time.perf_counter()
logits = session.run(None, {"images": x})[0]
print("measured")
print(json.dumps({"latency_ms": 1000 * (time.perf_counter() - began), "classes": logits.shape[1]}))
"""


def command(code: str) -> str:
    return shlex.join([sys.executable, "-c", code]) + " {onnx}"


@pytest.mark.slow
def test_a_command_measures_the_network(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "bench.py").write_text(BENCH)
    evaluator = DeviceLatency(
        shlex.join([sys.executable, str(tmp_path / "bench.py")]) + " {onnx}", ("latency_ms", "classes")
    )
    task = task_for(evaluator, "nasbench201", SMALL)
    evaluator.check(task)
    _, scores = performed(evaluator.evaluate(task, Job(3, sample(task.space, Random(0)), 1)))
    assert scores["classes"] == 10
    assert 0 < scores["latency_ms"] < 10_000


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (command("raise SystemExit('the board is off')"), r"exit code 1 \(the board is off\): mend it"),
        (command("print('done')"), r"printed no JSON object in its last line \(done\): let it print a line such as"),
        (command("print('{\"ms\": 3}')"), "which has no number latency_ms"),
        (command("print('{\"latency_ms\": NaN}')"), "which has no number latency_ms"),
        (command("import time; time.sleep(60)"), "took more than 1 s: give more timeout_seconds"),
        ("/nowhere/bench {onnx}", "cannot be run .*: give a program of this machine"),
        ("bench", "does not say where the file goes: write {onnx} there"),
        ("bench '{onnx}", "cannot be read"),
    ],
)
def test_a_command_that_fails_is_one_line(tmp_path: Path, measure: str, said: str) -> None:
    with pytest.raises(RecordError, match=said) as raised:
        DeviceLatency(measure, timeout_seconds=1).measured_file(tmp_path / "network.onnx")
    assert "\n" not in str(raised.value)


# ---------------------------------------------------------------------------------------------------- layers


class Sleeping(nn.Module):
    def __init__(self, clock: list[float], seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.clock[0] += self.seconds
        return x


def test_layers_have_the_time_of_their_own_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("nas.evaluation.layer_times.now", lambda device: clock[0])
    short, long = Sleeping(clock, 0.001), Sleeping(clock, 0.004)
    model = nn.Sequential(short, nn.Sequential(long), short)
    found = layer_times(model, lambda: model(torch.zeros(1)), "cpu", warm_up=1, runs=3)
    assert [(each.name, each.kind) for each in found] == [("0", "Sleeping"), ("1.0", "Sleeping")]
    assert [each.ms for each in found] == pytest.approx([2.0, 4.0]), "the first runs twice"
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_the_layers_of_a_network_are_within_its_time() -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.Flatten()).eval()
    found = Latency(runs=5).by_layer(model, (3, 32, 32))
    assert [each.kind for each in found] == ["Conv2d", "ReLU", "Conv2d", "Flatten"]
    assert max(found, key=lambda each: each.ms).name == "2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runtime", "onnxruntime", "--layers"], "runs several layers as one"),
        (["--measure", "bench"], "write {onnx} there"),
        (["--measure", "bench {onnx}", "--layers"], "leave one of them out"),
        (["--runtime", "onnxruntime", "--dtype", "bfloat16"], "onnxruntime measures float32"),
    ],
)
def test_what_cannot_be_measured_is_one_line(call: Call, arguments: list[str], said: str) -> None:
    answer = call("latency", "lenet:lenet5", *arguments)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert said in answer.stderr


def test_the_command_prints_times(call: Call) -> None:
    answer = call("latency", "lenet:lenet5", "--runs", "3", "--layers", "--json")
    found = json.loads(answer.stdout)
    assert 0 < found["latency_ms"] <= found["latency_p90_ms"]
    assert found["params"] == 61706
    assert {"Conv2d", "Linear"} <= {each["kind"] for each in found["layers"]}
    shown = call("latency", "lenet:lenet5", "--runs", "3", "--layers").stdout
    assert "Conv2d" in shown
    assert "61,706 params" in shown
