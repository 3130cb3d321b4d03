"""A run that has ended goes on with a larger budget, and hands over what is best then."""

from __future__ import annotations

import json
from pathlib import Path

from nas.runs.architecture import find_architecture
from nas.runs.run import load_run, plan, run
from nas.runtime.stage import RunStage
from nas.runtime.view import Silent, View

EXPERIMENT = """
space: {bits: {length: 40}}
strategy: {RegularizedEvolution: {population: 10, sample: 5}}
evaluator: {NoisyBits: {noise: 0.01}}
rules: {budget: {evaluations: 20}, objective: fitness}
final: {objective: true_fitness, beside_random: true}
"""


def silent(stage: RunStage) -> View:
    return Silent()


def test_a_better_best_is_trained_anew_and_the_same_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    first = run(plan(load_run(tmp_path)), tmp_path, silent)
    journal = (tmp_path / "final.jsonl").read_bytes()
    for role, done in first.finals.items():
        assert find_architecture(str(tmp_path / f"{role}.json")).architecture == done.architecture
    run(plan(load_run(tmp_path)), tmp_path, silent)
    assert (tmp_path / "final.jsonl").read_bytes() == journal, "nothing changed, so nothing is trained again"

    later = run(plan(load_run(tmp_path, ["rules.budget.evaluations=400"])), tmp_path, silent)
    assert later.history.evaluations == 400
    assert later.finals["best"].digest == later.best.digest != first.best.digest
    assert (tmp_path / "final-before-1.jsonl").read_bytes() == journal, "what was trained before is kept"
    found = json.loads((tmp_path / "best.json").read_text())["StackedNetwork"]
    assert found["scores"]["fitness"] == later.best.scores["fitness"]


def test_other_settings_of_the_end_train_anew(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    run(plan(load_run(tmp_path)), tmp_path, silent)
    alone = run(plan(load_run(tmp_path, ["final.beside_random=false"])), tmp_path, silent)
    assert list(alone.finals) == ["best"]
