"""Searches by TPE and NSGA-II on real scans: killed and resumed, no proposal is lost, and the sampler goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journals import events, untimed
from killing import killed_after, nas, searched_whole_and_killed_twice

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: STRATEGY
evaluator:
  Training:
    data: Digits
    validation: 200
    images: 300
    execution: {checkpoint_seconds: 0}
    recipe: {epochs: 3, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules:
  budget: {evaluations: 24}
  objective: OBJECTIVE
"""

SEARCHES = {
    "tpe": ("{Optuna: {sampler: {TPESampler: {n_startup_trials: 5}}}}", "validation_top1_percent"),
    "tpe of two": ("{Optuna: {sampler: {TPESampler: {n_startup_trials: 5}}}}", "[validation_top1_percent, -macs]"),
    "optuna nsga2": ("{Optuna: {sampler: {NSGAIISampler: {population_size: 6}}}}", "[validation_top1_percent, -macs]"),
    "nsga2": ("{Nsga2: {population: 6}}", "[validation_top1_percent, -macs]"),
}


def proposals(folder: Path) -> list[dict[str, Any]]:
    return [event for event in untimed(folder)[1:] if event["event"] == "start"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_killed_sampler_goes_on_as_if_nothing_had_been(name: str, tmp_path: Path) -> None:
    if name != "nsga2":
        pytest.importorskip("optuna")
    strategy, objective = SEARCHES[name]
    file = tmp_path / "search.yaml"
    file.write_text(SEARCH.replace("STRATEGY", strategy).replace("OBJECTIVE", objective))
    whole, cut = searched_whole_and_killed_twice(file, tmp_path)
    assert proposals(cut) == proposals(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_no_proposal_of_two_ray_workers_is_lost(name: str, tmp_path: Path) -> None:
    if name == "tpe":
        pytest.importorskip("optuna")
    strategy, objective = SEARCHES[name]
    file, folder = tmp_path / "search.yaml", tmp_path / "run"
    file.write_text(SEARCH.replace("STRATEGY", strategy).replace("OBJECTIVE", objective))
    killed_after(9, folder, "search", file, "--workers", "2", "--run-dir", folder)
    before = events(folder)
    with nas("resume", folder) as process:
        assert process.wait(timeout=300) == 0
    after = events(folder)
    assert after[: len(before)] == before
    started = [event["number"] for event in after if event["event"] == "start"]
    finished = [event["number"] for event in after if event["event"] == "finish"]
    assert started == list(range(len(started)))
    assert sorted(finished) == started
    reused = sum(event.get("worker") == "reused" for event in after)
    assert len(started) - reused == 24
