"""Searches from Python: the run that a call returns is that of its folder, which the commands read too."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import nas
from nas.evaluation.costs import Costs
from nas.evaluation.function import PythonFunction
from nas.evaluation.noisy_bits import NoisyBits
from nas.history import Evaluated, History, Limit
from nas.records import RecordError
from nas.runtime.queue import SearchFailed
from nas.strategies.local_search import LocalSearch
from nas.strategies.nsga2 import Nsga2
from search_spaces.bits import bits
from search_spaces.nasbench201 import nasbench201, network

Call = Callable[..., Any]

SPACE = (nas.one_of("depth", (1, 2, 3, 4)), nas.one_of("width", (8, 16, 32)))


def value(architecture: Any) -> float:
    depth, width = architecture
    return depth * 10 - abs(width - 16)


def quick(*arguments: Any, **options: Any) -> Any:
    return nas.search(*arguments, **{"evaluations": 12, "show": False, **options})


def test_a_call_makes_the_folder_that_the_commands_read(tmp_path: Path, call: Call) -> None:
    found = quick(
        nasbench201(),
        lambda cell: {"macs": nas.profile(network(cell)).macs},
        objective="-macs",
        folder=tmp_path / "run",
    )
    assert found.best.scores["macs"] == min(done.scores["macs"] for done in found.history.scored)
    assert str(found.best.digest)
    shown = call("show", found.folder)
    assert "12 of 12 evaluations" in shown.stdout
    assert call("report", found.folder, "--out", tmp_path / "report.html").returncode == 0
    assert call("export", found.folder, "--to", "json", "--out", tmp_path / "best").returncode == 0
    as_json = json.loads(call("show", found.folder, "--json").stdout)
    assert as_json["best"]["scores"] == found.best.scores
    assert as_json["state"] == "ended"


def test_a_number_is_the_score_of_the_objective(tmp_path: Path) -> None:
    found = quick(SPACE, value, objective="accuracy", folder=tmp_path / "run")
    assert found.best.scores == {"accuracy": 40.0}
    assert found.best.architecture == (4, 16)
    assert repr(found).endswith("12 evaluations, best accuracy 40)")


def test_the_same_seed_is_the_same_search_in_the_default_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, again, other = (quick(SPACE, value, seed=seed) for seed in (3, 3, 4))
    assert first.history.digests == again.history.digests != other.history.digests
    assert first.folder.parent == Path("runs")
    assert len({first.folder, again.folder, other.folder}) == 3


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    def scored(architecture: Any) -> dict[str, float]:
        return {"accuracy": value(architecture), "params": architecture[1] * architecture[0]}

    found = quick(SPACE, scored, objective=["accuracy", "-params"], folder=tmp_path / "run")
    assert isinstance(found.experiment.strategy, Nsga2)
    assert found.front == tuple(nas.load(found.folder).front)
    assert [done.scores["accuracy"] for done in found.front] == sorted(
        (done.scores["accuracy"] for done in found.front), reverse=True
    )
    assert all(row["on_front"] for row in found.rows() if row["number"] in {done.number for done in found.front})


def test_evaluators_and_functions_make_a_chain(tmp_path: Path) -> None:
    found = quick(
        nasbench201(), [Costs(), PythonFunction("builtins:hash", "luck")], objective="luck", folder=tmp_path / "run"
    )
    assert {"params", "macs", "luck"} <= found.best.scores.keys()
    found = quick("bits", NoisyBits(), LocalSearch(), objective="fitness", folder=tmp_path / "bits")
    assert found.experiment.space_name == "bits"


def test_limits_reject_and_hold(tmp_path: Path) -> None:
    limits = {"params": {"most": 200_000}}
    found = quick(
        nasbench201(), Costs(), objective="macs", limits=limits, folder=tmp_path / "run", network={"channels": 8}
    )
    assert found.history.rejected
    assert all(done.scores["params"] <= 200_000 for done in found.history.scored)
    assert found.experiment.rules.limits == {"params": Limit(most=200_000)}


def test_a_table_has_a_row_for_every_evaluation(tmp_path: Path, call: Call) -> None:
    def failing(architecture: Any) -> float:
        if architecture[0] == 1:
            raise ValueError("too shallow")
        return value(architecture)

    found = quick(SPACE, failing, folder=tmp_path / "run")
    rows = found.rows()
    assert [row["number"] for row in rows] == list(range(len(found.history.proposals)))
    assert {row["state"] for row in rows} == {"ended", "reused", "failed"}
    assert {row["failure"] for row in rows if row["state"] == "failed"} == {"ValueError: too shallow"}
    frame = found.table()
    assert list(frame.index) == [row["number"] for row in rows]
    assert frame.loc[found.best.number, "score"] == found.best.scores["score"]
    printed = list(csv.DictReader(io.StringIO(call("table", found.folder).stdout)))
    assert [row["architecture"] for row in printed] == [row["architecture"] for row in rows]
    assert json.loads(call("table", found.folder, "--json").stdout) == rows


def test_callbacks_hear_every_evaluation(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []

    def note(done: Evaluated, history: History) -> None:
        heard.append((done.number, len(history.finished)))

    found = quick(SPACE, value, folder=tmp_path / "run", callbacks=[note])
    assert heard == [(number, number + 1) for number in range(len(found.history.proposals))]


def test_a_search_is_resumed_with_its_function_and_a_larger_budget(tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "run"

    class Stop(Exception):
        pass

    def stop_at(number: int) -> Callable[..., None]:
        def callback(done: Evaluated, history: History) -> None:
            if done.number == number:
                raise Stop

        return callback

    with pytest.raises(Stop):
        quick(bits(12), lambda it: sum(it.values), folder=folder, callbacks=[stop_at(5)])
    assert len(nas.load(folder).history.finished) == 6
    refused = call("resume", folder)
    assert refused.returncode == 2
    assert (
        "is a function of a notebook or script, which this process cannot import: give it in Python" in refused.stderr
    )
    found = nas.resume(folder, lambda it: sum(it.values), evaluations=20, show=False)
    assert found.history.evaluations == 20
    whole = quick(bits(12), lambda it: sum(it.values), folder=tmp_path / "whole", evaluations=20)
    assert found.history.digests == whole.history.digests


def test_the_network_of_an_evaluation_is_a_module(tmp_path: Path) -> None:
    found = quick(nasbench201(), Costs(), objective="-params", folder=tmp_path / "run", network={"channels": 4})
    for number in (None, 2):
        model = found.model(number)
        assert isinstance(model, nn.Module)
        done = found.best if number is None else found.history.finished[number]
        assert sum(each.numel() for each in model.parameters()) == done.scores["params"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda folder: nas.search(SPACE, value, folder=folder),
            "the search has no budget: give evaluations=100 or hours=8",
        ),
        (lambda folder: quick(SPACE, folder=folder), "the search has nothing that scores: give evaluate="),
        (lambda folder: quick((1, 2), value, folder=folder), "the space has no open choice: make one with nas.one_of"),
        (
            lambda folder: quick(SPACE, Costs(), objective="accuracy", folder=folder),
            "rules.objective is 'accuracy', and the",
        ),
        (
            lambda folder: quick(SPACE, value, LocalSearch(), objective=("score", "-size"), folder=folder),
            "LocalSearch goes by one",
        ),
        (
            lambda folder: quick(SPACE, PythonFunction("nas.calls:searching"), folder=folder),
            "there is no function 'nas.calls:searching'",
        ),
        (lambda folder: quick(SPACE, value, limits={"score": {}}, folder=folder), "the limit has no bound"),
        (lambda folder: nas.load(folder), "is no run folder: it has no experiment.yaml"),
        (
            lambda folder: quick(SPACE, lambda it: {"other": 1}, folder=folder),
            "rules.objective is 'score', and the scores are other",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(made: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError) as refused:
        made(tmp_path / "run")
    assert said in str(refused.value)


def test_a_search_without_any_success_says_why(tmp_path: Path) -> None:
    with pytest.raises(SearchFailed, match="ZeroDivisionError"):
        quick(SPACE, lambda it: 1 / 0, folder=tmp_path / "run")


SCRIPT = """
import nas
from search_spaces.darts import OPERATIONS
from search_spaces.nasbench201 import nasbench201, network

@nas.record
class Wide:
    cell: object
    channels: int

space = Wide(nasbench201(), nas.one_of("channels", (4, 8, 16)))
costs = lambda it: nas.profile(network(it.cell, channels=it.channels, cells_per_stage=1))
scores = lambda it: {"macs": costs(it).macs, "depth": len(it.cell.nodes) * it.channels}
found = nas.search(space, scores, objective=["depth", "-macs"], evaluations=8, workers=WORKERS, folder="run")
frame = found.table()
print(frame[frame.on_front].sort_values("macs")[["macs", "depth"]].to_csv())
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_script_with_a_space_and_a_lambda_of_its_own_runs_on_ray(workers: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace("WORKERS", str(workers)))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout[done.stdout.index("number,") :])))
    assert rows
    assert (tmp_path / "run" / "front.json").is_file()
