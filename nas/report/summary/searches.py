"""The summary of a search run, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nas.drawing import draw
from nas.evaluation.candidate import architecture_of
from nas.history import Evaluated, describe_limits
from nas.report.summary.ancestry import ancestors_of
from nas.report.summary.checklist import checklist_of
from nas.report.summary.checklist_item import ChecklistItem
from nas.report.summary.compared import SearchedSeeds, result_of
from nas.report.summary.costs import costs_of
from nas.report.summary.curve import curve_of
from nas.report.summary.evaluations import evaluations_of
from nas.report.summary.fidelity import learning_of, rungs_of
from nas.report.summary.fronts import fronts_of
from nas.report.summary.head import begin_head, format_options, format_settings, named
from nas.report.summary.importances import importances_of_choices
from nas.report.summary.loaded import LoadedRun, load_run_summary
from nas.report.summary.objectives import objectives_of
from nas.report.summary.reproduction import search_again
from nas.report.summary.shares import shares_of, window_of
from nas.report.summary.summary import Best, Finals, Front, Head, RunSummary
from nas.report.summary.supernets import supernet_curves
from nas.report.summary.timeline import timeline_of
from nas.report.summary.trainings import summarise_test, training_curves
from nas.runs.finals import ENSEMBLE, by_label
from nas.runs.scores import classes_of, informative_scores
from nas.runs.status import state_of_search
from nas.runs.supernets import searched_in


def summarise_search(folder: Path) -> RunSummary:
    """Return the summary of a search. Raises RecordError where a file in the folder is damaged."""
    run = load_run_summary(folder)
    best = run.history.best
    curve, no_baseline = curve_of(run) if best else (None, "")
    fronts, no_fronts = fronts_of(run)
    method = named(run.experiment.supernet and run.experiment.supernet.method)
    shares, left_out = shares_of(run)
    learning, curves_left_out = learning_of(run.history)
    importances, no_importances = importances_of_choices(run)
    finals = [run.logs[name].history for name in ("final", ENSEMBLE) if name in run.logs]
    roles = {label: done for history in finals for label, done in by_label(history).items()}
    weights = {role: folder / f"{role.replace(' ', '-')}.safetensors" for role in roles}
    summary = RunSummary(
        head=_head(run),
        reproduction=search_again(folder, run.experiment),
        best=_best(run, best, fronts),
        finals=_finals(roles, classes_of(folder)),
        curve=curve,
        ancestors=ancestors_of(run.space, run.history, best) if best else [],
        shares=shares,
        shares_left_out=left_out,
        share_window=window_of(run.experiment.strategy, len(run.history.scored)),
        fronts=fronts,
        objectives=objectives_of(run.history),
        rungs=rungs_of(run.history),
        learning=learning,
        learning_left_out=curves_left_out,
        importances=importances,
        supernets=[supernet_curves(each, method) for each in searched_in(folder) if each.epochs],
        timeline=timeline_of(run.logs, run.works, run.clock),
        costs=costs_of(run.logs, run.works, run.clock, run.experiment.executor, run.simulated),
        evaluations=evaluations_of(run),
        trainings=[curves for role, path in weights.items() if (curves := training_curves(path, role))],
        tests=[test for role, path in weights.items() if (test := summarise_test(path, role))],
        checklist=_checklist(run) if best else [],
    )
    return replace(
        summary, missing=_missing(run, summary, no_baseline, no_fronts) | _without(importances, no_importances)
    )


def _checklist(run: LoadedRun) -> list[ChecklistItem]:
    seeds = {run.experiment.rules.seed: result_of(run)}
    return checklist_of(run.folder, SearchedSeeds(run.folder.name, run.folder, run.history.objective, seeds))


def _name(pruner: str | Mapping[str, object] | None) -> str:
    return pruner if isinstance(pruner, str) else next(iter(pruner or ()), "")


def _without(importances: Mapping[str, float], reason: str) -> dict[str, str]:
    return {} if importances else {"importances": reason}


def _missing(run: LoadedRun, summary: RunSummary, no_baseline: str, no_fronts: str) -> dict[str, str]:
    """Return the reason for each part that is missing, by the part's name."""
    nothing = "nothing was scored yet"
    is_searched, few = run.experiment.supernet is not None, len(run.history.scored) < 2
    reasons = {
        "best": nothing,
        "curve": nothing,
        "baseline": no_baseline or nothing,
        "ancestors": nothing if summary.best is None else "the winner has no parents: it was not bred from others",
        "fronts": no_fronts,
        "shares": "under two scored evaluations" if few else "the space has no choices of operations or structures",
        "supernets": "no epoch has ended yet" if is_searched else "the search has no supernet",
        "timeline": "no evaluation has ended yet",
        "finals": "not reached yet" if run.experiment.final else "the experiment declares no final training",
        "trainings": "the final trainings have no recorded epochs" if summary.finals else "there was no final training",
        "checklist": nothing,
        "tests": "the final trainings have no tested weights" if summary.finals else "there was no final training",
    }
    there = {
        "baseline": summary.curve is not None and summary.curve.baseline is not None,
        "ancestors": len(summary.ancestors) > 1,
    }
    # a part is missing where it is empty, except for those that `there` decides otherwise
    return {part: reason for part, reason in reasons.items() if not there.get(part, bool(getattr(summary, part, None)))}


def _head(run: LoadedRun) -> Head:
    experiment = run.experiment
    begun = begin_head(
        "search", run.folder / "experiment.yaml", experiment.rules.objective, experiment.rules.seed, run.clock
    )
    settings = {
        "network": format_options(experiment.network),
        "data": named(experiment.data),
        "supernet": named(experiment.supernet and experiment.supernet.method),
        "duplicates": experiment.rules.duplicates,
        "limits": describe_limits(experiment.rules.limits),
        "pruner": _name(experiment.rules.pruner),
    }
    return replace(
        begun,
        state=state_of_search(run.folder, experiment, len(run.history.in_flight)),
        space=experiment.space_name,
        strategy=named(experiment.strategy),
        evaluator=named(experiment.evaluator),
        executor=named(experiment.executor),
        budget=_budget(run),
        settings={**format_settings(settings), **begun.settings},
    )


def _budget(run: LoadedRun) -> str:
    budget, history = run.experiment.rules.budget, run.history
    if budget is None:
        seeds = run.experiment.supernet.seeds if run.experiment.supernet else 0
        searched = len(run.logs["supernets"].history.scored) if "supernets" in run.logs else 0
        return f"{searched} of {seeds} seeds searched, {len(history.scored)} of {len(history.proposals)} architectures scored"
    parts = []
    if budget.evaluations is not None:
        parts.append(f"{history.evaluations:,} of {budget.evaluations:,} evaluations")
    if budget.seconds is not None:
        parts.append(f"{history.totals.get('seconds', 0.0):,.0f} of {budget.seconds:,.0f} seconds")
    if budget.epochs is not None:
        parts.append(f"{history.epochs:,} of {budget.epochs:,} epochs")
    if budget.hours is not None:
        parts.append(f"at most {budget.hours:g} hours")
    return ", ".join(parts)


def _best(run: LoadedRun, best: Evaluated | None, fronts: Sequence[Front]) -> Best | None:
    """Return the best architecture, with the size of the scored network where it is known."""
    if best is None:
        return None
    sizes = {
        front.cost: cost
        for front in fronts
        for number, cost in zip(front.number, front.costs, strict=True)
        if run.history.digests[number] == best.digest
    }
    text, svg = run.experiment.describe(best.architecture), draw(architecture_of(best.architecture)) or ""
    size_of = _sized(run) if sizes else ""
    return Best(best.number, best.digest, text, best.scores, sizes.get("params"), sizes.get("macs"), size_of, svg)


def _sized(run: LoadedRun) -> str:
    """Return which network the sizes describe: not the scored one where a supernet scored it, inside itself, at its own size."""
    return "the stand-alone network" if run.experiment.evaluator is None else "the search network"


def _finals(roles: dict[str, Evaluated], classes: int | None) -> Finals | None:
    """Return the results of the final trainings, without scores that mean nothing for so few `classes`."""
    if not roles:
        return None
    done = list(roles.values())
    names = dict.fromkeys(name for each in done for name in informative_scores(each.scores, classes))
    scores = {name: [each.scores.get(name) for each in done] for name in names}
    return Finals(list(roles), scores, [each.failure for each in done])
