"""The summaries of a full training and of a transfer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nas.drawing import draw
from nas.family import family
from nas.history import History
from nas.plain import read
from nas.profiling import profile
from nas.records import RecordError, digest
from nas.report.summary.clock import Clock
from nas.report.summary.costs import costs_of
from nas.report.summary.head import begin_head, format_options, format_settings, named
from nas.report.summary.journal import Log, read_log, works_of
from nas.report.summary.reproduction import training_again, transfer_again
from nas.report.summary.summary import Best, RunSummary, Trials
from nas.report.summary.timeline import timeline_of
from nas.report.summary.trainings import summarise_test, training_curves
from nas.runs.architecture import StackedNetwork, read_found
from nas.runs.declared import load_declared
from nas.runs.full_training import WEIGHTS, FullTraining
from nas.runs.scores import informative_scores
from nas.runs.status import state_of
from nas.runs.transfer import EXECUTOR, LABELS, TRAINED
from nas.runs.transfer_trials import Transfer
from nas.runtime.executor import Executor

OBJECTIVE = "test_top1_percent"
"""The objective of trainings and transfers."""

NOT_YET = {
    "trainings": "no epoch has ended yet",
    "timeline": "nothing has ended yet",
    "tests": "the weights are tested when the training ends",
    "trials": "no trial has ended yet",
}
"""Why each part is missing, by the part's name."""


def summarise_training(folder: Path) -> RunSummary:
    """Return the summary of a full training; its data need not be present. Raises RecordError for a damaged file."""
    declared = load_declared(folder / "training.yaml", (), FullTraining)
    found = read_found(folder / "best.json")
    logs = _logs(folder / "training.jsonl", "training")
    history = _history(logs, "training")
    works = [work for log in logs.values() for work in works_of(log)]
    clock = Clock(logs.values(), works)
    curves, test = training_curves(folder / WEIGHTS, "best"), summarise_test(folder / WEIGHTS, "best")
    # a training is the only evaluation of its journal; after failures the last one counts
    done = history.scored[-1] if history.scored else None
    begun = begin_head("training", folder / "training.yaml", OBJECTIVE, declared.seed, clock)
    failure = (history.failures[-1].failure or "") if history.failures else ""
    settings = {"data": named(declared.data), "recipe": named(declared.recipe), "failure": failure}
    head = replace(
        begun,
        state=state_of(folder, test is not None and done is not None),
        space=found.family,
        evaluator=f"Training on {type(declared.data).__name__}",
        executor=named(declared.executor),
        budget=f"{curves.epochs[-1]} of {curves.of_epochs} epochs" if curves else "no epoch has ended",
        settings={**format_settings(settings), **_stacked(found), **begun.settings},
    )
    return RunSummary(
        head=head,
        reproduction=training_again(folder, declared.expect),
        best=_trained(found, done.scores if done else {}),
        timeline=timeline_of(logs, works, clock),
        costs=costs_of(logs, works, clock, declared.executor, simulated=False),
        trainings=[curves] if curves else [],
        tests=[test] if test else [],
        missing=_missing({"trainings": curves, "timeline": works, "tests": test}),
    )


def summarise_transfer(folder: Path) -> RunSummary:
    """Return the summary of a transfer. Raises RecordError for a damaged file."""
    declared = load_declared(folder / "transfer.yaml", (), Transfer)
    executor = _executor(folder / EXECUTOR)
    found = read_found((folder / TRAINED).with_suffix(".json"))
    logs = _logs(folder / "trials.jsonl", "trials")
    history = _history(logs, "trials")
    works = [work for log in logs.values() for work in works_of(log)]
    clock = Clock(logs.values(), works)
    trials = _trials(history, len(declared.trials()))
    weights = {trial.name: folder / f"{trial.name}.safetensors" for trial in declared.trials()}
    begun = begin_head("transfer", folder / "transfer.yaml", OBJECTIVE, declared.seed, clock)
    settings = {"data": named(declared.data), "recipe": named(declared.recipe)}
    head = replace(
        begun,
        state=state_of(folder, not trials.left),
        space=found.family,
        evaluator=f"Transfer to {type(declared.data).__name__}: {', '.join(LABELS[way] for way in declared.ways)}",
        executor=named(executor),
        budget=f"{len(history.scored)} of {len(weights)} trials",
        settings={**format_settings(settings), **_stacked(found), **begun.settings},
    )
    return RunSummary(
        head=head,
        reproduction=transfer_again(folder, begun.command),
        best=_trained(found, found.scores),
        timeline=timeline_of(logs, works, clock),
        costs=costs_of(logs, works, clock, executor, simulated=False),
        tests=[test for name, path in weights.items() if (test := summarise_test(path, name))],
        trials=trials,
        missing=_missing({"timeline": works, "trials": trials.way}),
    )


def _executor(path: Path) -> Executor:
    try:
        executor: Executor = read(json.loads(path.read_text(encoding="utf-8")), str(path), Executor)
    except (OSError, ValueError) as error:
        raise RecordError(
            f'{path} cannot be read ({error}): write the executor of the trials into it, such as {{"Inline": {{}}}}'
        ) from None
    return executor


def _missing(parts: Mapping[str, object]) -> dict[str, str]:
    return {name: NOT_YET[name] for name, part in parts.items() if not part}


def _logs(path: Path, phase: str) -> dict[str, Log]:
    log = read_log(path, phase, OBJECTIVE)
    return {phase: log} if log else {}


def _history(logs: Mapping[str, Log], phase: str) -> History:
    return logs[phase].history if phase in logs else History(OBJECTIVE)


def _stacked(found: StackedNetwork) -> dict[str, str]:
    return {"network": format_options(found.options), "input": "x".join(map(str, found.input))}


def _trained(found: StackedNetwork, scores: Mapping[str, float]) -> Best:
    """Return the trained network with its parameters and MACs, None where it cannot be profiled."""
    known = family(found.family)
    text, svg = known.describe(found.architecture), draw(found.architecture) or ""
    informative = informative_scores(scores, found.options.get("classes"))
    try:
        costs = profile(found.tree(), found.input)
    except RecordError:
        return Best(None, digest(found.architecture), text, informative, None, None, "", svg)
    size_of = "the network that is trained"
    return Best(None, digest(found.architecture), text, informative, costs.params, costs.macs, size_of, svg)


def _trials(history: History, total: int) -> Trials:
    """Return the finished trials in the order of their proposals; a failed trial counts as left, and may be tried again."""
    done = [each for _, each in sorted(history.finished.items())]
    return Trials(
        way=[LABELS[each.architecture.way] for each in done],
        labels_percent=[each.architecture.labels_percent for each in done],
        repeat=[each.architecture.repeat for each in done],
        top1_percent=[each.scores.get(OBJECTIVE) for each in done],
        seconds=[each.scores.get("seconds") for each in done],
        worker=[each.worker for each in done],
        failure=[each.failure or "" for each in done],
        left=total - len(history.scored),
    )
