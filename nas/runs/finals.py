"""The final stages of a run: the best architectures and random ones are trained and tested, alone and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from nas.evaluation.ensemble import test_ensemble, training_of
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task
from nas.evaluation.trained_network import TrainedNetwork
from nas.history import Evaluated, History
from nas.journal import read_journal
from nas.plain import write
from nas.records import digest
from nas.runs.experiment import Experiment, Final
from nas.runs.written import read_found
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline
from nas.runtime.queue import Views, carry_out
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.space import sample
from nas.strategies.fixed_proposals import FixedProposals

ENSEMBLE = "ensemble"
"""The name of the stage that tests the finalists together, and of its one evaluation."""


@dataclass(frozen=True, slots=True)
class Finalist:
    """An architecture of the final training, its label, and its scores in the search."""

    architecture: Any
    label: str
    scores: Mapping[str, float]

    @property
    def stem(self) -> str:
        """The name of its files, without the suffix."""
        return stem_of(self.label)


def stem_of(label: str) -> str:
    """Return the name of the files of a label."""
    return label.replace(" ", "-")


def finalists_of(history: History, final: Final, space: Any, seed: int) -> list[Finalist]:
    """Return the best architectures, or the whole front, and the random ones beside them.

    Labels are `best`, `best 2`, ..., or `best`, `front 1`, ... as RUN:front/1; then `random`, or `random 1`, ...
    """
    best = history.best
    assert best is not None, "a search without a best ends before"
    if final.top == "front":
        tops = list(history.front) or [best]  # nothing is within the limits: then the nearest
        labels = ["best", *(f"front {place}" for place in range(1, len(tops)))]
    else:
        # of an architecture that was evaluated several times, the best evaluation
        ranked = sorted({done.digest: done for done in history.ranked}.values(), key=history.rank, reverse=True)
        tops = [best, *(done for done in ranked if done.digest != best.digest)][: final.top]
        labels = ["best", *(f"best {place}" for place in range(2, len(tops) + 1))]
    chosen = [Finalist(done.architecture, label, done.scores) for done, label in zip(tops, labels, strict=True)]
    random = _others(space, [each.architecture for each in chosen], seed, int(final.beside_random))
    names = ["random"] if len(random) == 1 else [f"random {i + 1}" for i in range(len(random))]
    return chosen + [Finalist(other, label, {}) for other, label in zip(random, names, strict=True)]


def train_finalists(
    experiment: Experiment,
    evaluator: Evaluator,
    task: Task,
    finalists: Sequence[Finalist],
    folder: Path,
    views: Views,
) -> dict[str, Evaluated]:
    """Train and test the finalists, and their ensemble if it is asked for; return the results by label."""
    final = experiment.final
    assert final is not None, "planned with the experiment"
    for path in [*folder.glob("best-*.json"), *folder.glob("front-*.json"), *folder.glob("random*.json")]:
        if path.stem not in {each.stem for each in finalists} and not path.stem.endswith(".test"):
            path.unlink()  # of a search that had ended with others, before its budget was extended
    for each in finalists:
        write_found(task, each.architecture, each.scores, folder / f"{each.stem}.json")
    _set_aside_finals_of_others(folder, finalists)
    stage = RunStage(
        "final",
        FixedProposals(tuple((each.architecture, each.label) for each in finalists)),
        partial(_test, evaluator, task, folder, [each.stem for each in finalists]),
        Rules(Budget(len(finalists)), final.objective, "evaluate", seed=experiment.rules.seed),
        experiment.describe,
        task.space,
        objective_key="final.objective",
    )
    results = by_label(carry_out(stage, _executor(experiment), views, folder))
    together = [each.stem for each in finalists if not each.label.startswith("random") and results[each.label].scores]
    if final.ensemble and len(together) > 1:
        results |= _together(experiment, evaluator, together, folder, views)
    return results


def _together(
    experiment: Experiment, evaluator: Evaluator, stems: Sequence[str], folder: Path, views: Views
) -> dict[str, Evaluated]:
    """Test the mean of the logits of the trained finalists in a stage of its own."""
    stage = RunStage(
        ENSEMBLE,
        FixedProposals(((tuple(stems), ENSEMBLE),)),
        partial(_test_together, evaluator, folder),
        Rules(Budget(1), "test_top1_percent", "evaluate", seed=experiment.rules.seed),
        " + ".join,
    )
    return by_label(carry_out(stage, _executor(experiment), views, folder))


def _test_together(evaluator: Evaluator, folder: Path, job: Job) -> Evaluation:
    trained = [
        TrainedNetwork(read_found(folder / f"{stem}.json"), folder / f"{stem}.safetensors") for stem in job.architecture
    ]
    return test_ensemble(training_of(evaluator), trained)


def write_found(task: Task, architecture: Any, scores: Mapping[str, float], file: Path) -> None:
    """Write an architecture with its network options of the final training, to describe the weights file next to it."""
    file.write_text(write(task.found(architecture, scores)), encoding="utf-8")


def _set_aside_finals_of_others(folder: Path, finalists: Sequence[Finalist]) -> None:
    """Start the final trainings again where the search has found better architectures since."""
    journal = folder / "final.jsonl"
    if not journal.exists():
        return
    trained = [event["digest"] for _, event in read_journal(journal) if event.get("event") == "start"]
    wanted = [digest(each.architecture) for each in finalists]
    # a run that was interrupted has begun with the first of them
    if trained != wanted[: len(trained)]:
        set_aside(journal)
        set_aside(folder / f"{ENSEMBLE}.jsonl")


def set_aside(journal: Path) -> None:
    """Rename a journal, so that a new one is started."""
    if journal.exists():
        number = len(list(journal.parent.glob(f"{journal.stem}-before-*.jsonl"))) + 1
        journal.rename(journal.with_name(f"{journal.stem}-before-{number}.jsonl"))


def _test(evaluator: Evaluator, task: Task, folder: Path, stems: Sequence[str], job: Job) -> Evaluation:
    return evaluator.test(task, job, folder / f"{stems[job.number]}.safetensors")


def by_label(history: History) -> dict[str, Evaluated]:
    """Return the final trainings by label: `best`, `best 2`, `front 1`, `random`, ..."""
    return {done.proposal.origin: done for _, done in sorted(history.finished.items())}


def _others(space: Any, chosen: Sequence[Any], seed: int, number: int) -> list[Any]:
    """Draw distinct random architectures other than the chosen ones; fewer than `number` where the space is small."""
    rng, drawn = Random(f"{seed}/beside"), dict[str, Any]()
    # draws may repeat, and a small space may not have enough: stop after 100 draws each
    for _ in range(100 * number):
        if len(drawn) < number and (other := sample(space, rng)) not in chosen:
            drawn[digest(other)] = other
    return list(drawn.values())


def _executor(experiment: Experiment) -> Executor:
    """Return the executor of final trainings; a test has no seconds, by which a simulated one would order it."""
    return Inline() if experiment.executor.simulates else experiment.executor
