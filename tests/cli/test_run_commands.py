"""What was once wrong and is mended, each said as a fact: commands, run folders and assignments."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journals import events

from nas.family import _found_from
from nas.records import classes
from nas.runs.experiment import load

Call = Callable[..., Any]
Toy = Callable[..., Path]


def ends(folder: Path) -> list[dict[str, Any]]:
    return [event for event in events(folder) if event["event"] == "finish"]


def error_of(answer: Any) -> str:
    """Return the one line by which a command refused."""
    assert answer.returncode == 2, answer
    assert answer.stderr.startswith("nas: ")
    assert answer.stderr.count("\n") == 1
    return str(answer.stderr)


MINE = '''
from nas.evaluation.evaluator import Evaluator, at_once
from nas.family import Family
from nas.operations.conv import Conv
from nas.records import record
from nas.space import one_of
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network


@record
class MyGenes:
    """Two kernels."""

    kernels: tuple[int, ...]


@record
class OfKernels(Evaluator):
    """Adds them up."""

    def evaluate(self, task, job):
        return at_once({"fitness": float(sum(job.architecture.kernels))})

    def test(self, task, job, weights=None):
        return self.evaluate(task, job)


def space():
    return MyGenes((one_of("first", (1, 3)), one_of("second", (1, 3))))


def network(genes: MyGenes, channels: int = 4) -> Network:
    return Network(Conv(3), tuple(Stage(Conv(each), channels=channels) for each in genes.kernels), Classifier(2))


family = Family("ours", space, network, lambda genes: f"kernels {genes.kernels}")
'''


def test_the_best_of_a_space_of_ones_own_is_read_back(
    toy: Toy, call: Call, nas: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def forget() -> None:
        for module in ("mine.space", "mine"):
            sys.modules.pop(module, None)
        for name in ("MyGenes", "OfKernels"):
            classes.pop(name, None)
        _found_from.cache_clear()

    forget()  # another test may have a module of that name
    request.addfinalizer(forget)
    folder = run_folder.parent
    (folder / "mine").mkdir()
    (folder / "mine" / "space.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    changes = ("space: bits", "space: mine.space"), ("NoisyBits: {noise: 0.01}", "OfKernels: {}")
    path = toy(*changes, more="imports: [mine.space]\n")
    assert call("search", path, "--run-dir", run_folder).returncode == 0
    for what in (run_folder, run_folder / "best.json"):
        forget()
        shown = call("show", what)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "kernels (3, 3)" in shown.stdout
    elsewhere = nas("show", run_folder / "best.json", env={"PYTHONPATH": str(folder)})
    assert (elsewhere.returncode, elsewhere.stderr) == (0, "")


def test_workers_of_an_executor_that_has_none_are_refused(toy: Toy, call: Call, run_folder: Path) -> None:
    answer = call("search", toy(), "--executor", "inline", "--workers", "2", "--run-dir", run_folder)
    assert "--executor inline takes no --workers: leave it out, or give --executor ray_tune" in error_of(answer)
    assert not run_folder.exists()


@pytest.fixture
def finished(toy: Toy, call: Call, run_folder: Path) -> Path:
    """Return the folder of a search of 12 evaluations that has ended."""
    assert call("search", toy(), "--run-dir", run_folder).returncode == 0
    return run_folder


def test_a_finished_run_goes_on_to_a_larger_budget_and_notes_it(finished: Path, call: Call) -> None:
    before = events(finished)
    assert call("resume", finished, "rules.budget.evaluations=20").returncode == 0
    assert events(finished)[: len(before)] == before
    assert len(ends(finished)) == 20
    text = (finished / "experiment.yaml").read_text(encoding="utf-8")
    assert load(finished / "experiment.yaml").rules.budget.evaluations == 20
    assert text.startswith("# command: ")
    assert "\n# resumed with: rules.budget.evaluations=20\n" in text
    assert call("resume", finished).returncode == 0
    assert len(ends(finished)) == 20


@pytest.mark.parametrize("assignment", ["strategy.population=3", "rules.seed=1", "space=darts", "evaluator.noise=0"])
def test_what_would_change_a_runs_results_is_refused_on_resume(assignment: str, finished: Path, call: Call) -> None:
    before = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    said = f"{assignment}: a run that has begun takes rules.budget, rules.give_up_after, executor, final; for anything else start"
    assert said in error_of(call("resume", finished, assignment))
    assert {path: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("assignment", "place"),
    [
        ("strategy.population=many", "strategy.RegularizedEvolution.population"),
        ("strategy={RegularizedEvolution: {sampel: 3}}", "strategy.RegularizedEvolution.sampel"),
        ("rules.budget.evaluations=0", "rules.budget.evaluations"),
        ("space.bits.length=0", "space.bits.length"),
    ],
)
def test_an_error_in_an_assignment_names_the_assignment(assignment: str, place: str, toy: Toy, call: Call) -> None:
    path = toy(("space: bits", "space: {bits: {length: 8}}"))
    said = error_of(call("search", path, assignment))
    assert said.startswith(f"nas: {assignment!r}: {place}")
    assert str(path) not in said
    beside = error_of(call("search", toy(("sample: 2", "sampel: 2")), "rules.seed=3"))
    assert beside.startswith(f"nas: {path}, line 4: "), "another error still names its line"


def test_an_assignment_to_one_place_leaves_the_other_that_shares_its_anchor(toy: Toy) -> None:
    more = "final: {objective: true_fitness, evaluator: {NoisyBits: *shared}}\n"
    path = toy(("NoisyBits: {noise: 0.01}", "NoisyBits: &shared {noise: 0.01}"), more=more)
    for key, expected in {"evaluator.noise": (0.5, 0.01), "final.evaluator.noise": (0.01, 0.5)}.items():
        experiment: Any = load(path, [f"{key}=0.5"])
        assert (experiment.evaluator.noise, experiment.final.evaluator.noise) == expected
