"""Run folders that version 0.1 began, and was killed in, are shown, resumed, reported and exported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.plain import from_plain
from nas.records import to_plain
from nas.runs.transfer_trials import TransferRun
from nas.supernets.search import SupernetResult
from nas.training import measure

RECORDED = Path(__file__).parent / "recorded" / "version_0_1"
"""A search, killed when two of its four evaluations were done, and a training, killed after two of its four epochs."""

Call = Callable[..., Any]


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies a recorded run folder."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(RECORDED / name, tmp_path / name))

    return copied


@pytest.mark.slow
def test_a_search_is_shown_resumed_reported_and_exported(recorded: Callable[[str], Path], call: Call) -> None:
    run = recorded("search")
    before = (run / "history.jsonl").read_text("utf-8")
    shown = call("show", run)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "continue with nas resume" in shown.stdout
    resumed = call("resume", run)
    assert resumed.returncode == 0, resumed.stderr
    journal = (run / "history.jsonl").read_text("utf-8")
    assert journal.startswith(before)
    assert journal.count('"finish"') == 4
    assert json.loads((run / "best.json").read_text("utf-8"))["StackedNetwork"]["classes"]
    assert_handed_over(run, call)


@pytest.mark.slow
def test_a_training_is_shown_resumed_reported_and_exported(recorded: Callable[[str], Path], call: Call) -> None:
    run = recorded("training")
    before = (run / "best.epochs.jsonl").read_text("utf-8")
    shown = call("show", run)
    assert (shown.returncode, shown.stderr) == (0, "")
    resumed = call("resume", run)
    assert resumed.returncode == 0, resumed.stderr
    epochs = (run / "best.epochs.jsonl").read_text("utf-8")
    assert epochs.startswith(before), "it goes on from its checkpoint"
    assert [json.loads(line)["Epoch"]["epoch"] for line in epochs.splitlines()] == [1, 2, 3, 4]
    assert_handed_over(run, call)


def assert_handed_over(run: Path, call: Call) -> None:
    """Test, report and export the best of a run."""
    for command in (("test", run), ("report", run), ("export", run, "--to", "source", "--out", run / "exported")):
        done = call(*command)
        assert (done.returncode, done.stderr) == (0, ""), command
    assert (run / "report.html").is_file()
    assert torch.tensor(
        json.loads(call("test", run, "--json").stdout)["TestResult"]["raw"]["Accuracy"]["loss"]
    ).isfinite()


def test_records_are_read_by_the_names_that_they_had() -> None:
    accuracy = measure.Accuracy(90.0, 100.0, 0.5, 10, 1.0, (10, 0), (9, 0))
    measured = {"classes": ["cat", "dog"], "raw": to_plain(accuracy)}
    assert from_plain({"Measured": measured}) == measure.TestResult(("cat", "dog"), accuracy)
    assert from_plain({"Trial": {"way": "scratch", "labels_percent": 5, "repeat": 0}}) == TransferRun("scratch", 5.0, 0)
    searched = SupernetResult(3, None, (), (), {})
    assert from_plain({"Searched": to_plain(searched)["SupernetResult"]}) == searched
