"""Searches compared over their seeds: summaries, the best so far at some budgets, and paired tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from nas.history import read_objective
from nas.records import RecordError, nearest
from nas.report.summary.loaded import LoadedRun, load_run_summary
from nas.runs.experiment import Experiment, load
from nas.runs.finals import by_label
from nas.runs.seed_journal import DECLARED, SEEDS, kept
from nas.runs.seeds import (
    Anytime,
    SeedResult,
    Test,
    anytime,
    highest,
    is_free,
    make_test,
    scores_at,
    seconds_by_scores,
)
from nas.runs.statistics import Paired, Summary, compare_pairs, interval_text, summarise_scores

PARTS = (0.125, 0.25, 0.5, 1.0)
"""The budgets at which the best so far is compared, as parts of the least that any seed spent."""


@dataclass(frozen=True, slots=True)
class SearchedSeeds:
    """A search with its results by seed; `objective` is as in the experiment, with a minus where it is minimised."""

    name: str
    folder: Path
    objective: str
    seeds: Mapping[int, SeedResult]

    def values(self, metric: str | None) -> dict[int, float]:
        """Return a score by seed, by default the best of the objective. Raises RecordError where a seed has none."""
        if metric is None:
            return {seed: result.anytime.best[-1] for seed, result in self.seeds.items()}
        for seed, result in self.seeds.items():
            if metric not in result.scores:
                known = nearest(metric, result.scores)
                raise RecordError(f"--metric {metric}: seed {seed} of {self.folder} has no such score; {known}")
        return {seed: result.scores[metric] for seed, result in self.seeds.items()}


@dataclass(frozen=True, slots=True)
class Budgets:
    """The mean best so far of each search, by name, at some budgets; `unit` is "evaluations" or "seconds".

    With `test` it is the mean of that test score of the best so far by the objective; None is the objective itself.
    """

    unit: str
    test: str | None
    budgets: Sequence[float]
    means: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Compared:
    """Searches compared by `metric`; `tables` are by evaluations and, where all have seconds, by seconds.

    `tests` are the test scores whose curves all searches have.
    """

    metric: str
    objective: str
    searches: Sequence[SearchedSeeds]
    summaries: Mapping[str, Summary]
    tests: Sequence[str]
    tables: Sequence[Budgets]
    pairs: Sequence[Paired]


SUMMARY_COLUMNS = ("search", "seeds", "mean", "95 % interval")

PAIR_COLUMNS = ("search", "minus", "pairs", "difference", "95 % interval", "Cohen's d", "p", "p, Holm")


def summary_cells(name: str, summary: Summary) -> list[str]:
    """Return the texts of a search's row, as in SUMMARY_COLUMNS."""
    spread = "" if summary.std is None else f" ± {summary.std:.3f}"
    return [name, str(summary.seeds), f"{summary.mean:.3f}{spread}", interval_text(summary.interval)]


def pair_cells(pair: Paired) -> list[str]:
    """Return the texts of a comparison's row, as in PAIR_COLUMNS."""
    effect = "" if pair.effect_size is None else f"{pair.effect_size:.2f}"
    numbers = (str(pair.pairs), f"{pair.mean_difference:+.3f}", interval_text(pair.interval), effect)
    return [pair.first, pair.second, *numbers, f"{pair.p_value:.2g}", f"{pair.holm_p_value:.2g}"]


def compare_searches(folders: Sequence[Path], metric: str | None) -> Compared:
    """Compare searches in folders of runs or of reproductions; `metric` is by default their objective.

    Raises RecordError where a folder has no search, or nothing was scored in it, and where the objectives differ.
    """
    searches = [read_searched(folder, name) for folder, name in _named(folders).items()]
    objectives = dict.fromkeys(each.objective for each in searches)
    if len(objectives) > 1:
        raise RecordError(
            f"the searches have the objectives {', '.join(objectives)}: compare searches of one objective"
        )
    values = {each.name: each.values(metric) for each in searches}
    return Compared(
        metric or read_objective(searches[0].objective).score,
        searches[0].objective,
        searches,
        {name: summarise_scores(list(each.values())) for name, each in values.items()},
        tests_of(searches),
        budget_tables(searches, _shown_test(searches, metric)),
        compare_pairs(values),
    )


def _named(folders: Sequence[Path]) -> dict[Path, str]:
    """Return the folders with their names, or with their paths where two names are the same."""
    found = list({os.path.realpath(folder): folder for folder in folders}.values())
    names = [Path(os.path.realpath(folder)).name for folder in found]
    return {folder: name if names.count(name) == 1 else str(folder) for folder, name in zip(found, names, strict=True)}


def read_searched(folder: Path, name: str, seeds: int | None = None) -> SearchedSeeds:
    """Read a folder of a reproduction, all of it or the first `seeds`, or of a run.

    Raises RecordError where it is neither, or nothing was scored yet.
    """
    if (folder / SEEDS).is_file() and (folder / DECLARED).is_file():
        objective, results = _objective(folder / DECLARED), kept(folder)
    elif runs := sorted(folder.glob("seed-*/experiment.yaml")):
        objective, results = _objective(runs[0]), dict(_read_run(file.parent) for file in runs)
    elif (folder / "experiment.yaml").is_file():
        objective, results = _objective(folder / "experiment.yaml"), dict([_read_run(folder)])
    else:
        raise RecordError(f"{folder} is no folder of a search: give those of nas search or of nas reproduce")
    scored = {seed: result for seed, result in sorted(results.items()) if result.anytime.best}
    if seeds is not None:
        scored = {seed: result for seed, result in scored.items() if seed < seeds}
    if not scored:
        raise RecordError(f"{folder}: nothing was scored yet")
    return SearchedSeeds(name, folder, objective, scored)


def _objective(file: Path) -> str:
    objective = load(file).rules.objective
    return objective if isinstance(objective, str) else objective[0]


def _read_run(folder: Path) -> tuple[int, SeedResult]:
    run = load_run_summary(folder)
    return run.experiment.rules.seed, result_of(run, _test_of(run.experiment))


def result_of(run: LoadedRun, test: Test | None = None) -> SeedResult:
    """Return the result of a run so far; `test` is that of the best so far."""
    best = run.history.best
    finals = by_label(run.logs["final"].history) if "final" in run.logs else {}
    tested = finals["best"].scores if "best" in finals else {}
    scores = {**(best.scores if best is not None else {}), **tested, **highest(run.history)}
    return SeedResult(scores, anytime(run.history, _seconds(run), test))


def _test_of(experiment: Experiment) -> Test | None:
    """Return the test of a run's architectures where it costs nothing, and what it reads is on this machine."""
    evaluator = (experiment.final and experiment.final.evaluator) or experiment.evaluator
    if evaluator is None or not is_free(evaluator):
        return None
    try:
        space = experiment.open_space()
        _, task = experiment.final_task(space) or (evaluator, experiment.task(space))
    except RecordError:
        return None
    return make_test(evaluator, task, experiment.rules.seed)


def _seconds(run: LoadedRun) -> list[float] | None:
    """Return the seconds after each evaluation: of the simulated clock, of the table, or of this machine without pauses."""
    if run.simulated and not run.experiment.executor.simulates:
        return seconds_by_scores(run.history)
    ended = run.logs["search"].ended if "search" in run.logs else {}
    if run.experiment.executor.simulates:
        return [ended[number] for number in run.history.finished]
    return [run.clock.worked(ended[number]) for number in run.history.finished]


def units_of(searches: Sequence[SearchedSeeds]) -> list[str]:
    """Return what budgets the searches can be compared at: evaluations and, where all seeds have them, seconds."""
    has_seconds = all(result.anytime.seconds is not None for each in searches for result in each.seeds.values())
    return ["evaluations", "seconds"] if has_seconds else ["evaluations"]


def least_spent(searches: Sequence[SearchedSeeds], unit: str) -> float:
    """Return the least that any seed spent: up to there all curves go."""
    return min(_spent(result.anytime, unit)[-1] for each in searches for result in each.seeds.values())


def _spent(curve: Anytime, unit: str) -> Sequence[float]:
    return (curve.seconds or ()) if unit == "seconds" else curve.evaluations


def tests_of(searches: Sequence[SearchedSeeds]) -> list[str]:
    """Return the test scores of the best so far that every seed of every search has."""
    curves = [result.anytime for each in searches for result in each.seeds.values()]
    return [name for name in curves[0].tests if all(name in curve.tests for curve in curves)]


def _shown_test(searches: Sequence[SearchedSeeds], metric: str | None) -> list[str]:
    """Return the one test score to print beside the objective: the metric or, where that is none, the first."""
    known = tests_of(searches)
    return [metric] if metric in known else known[:1] if metric is None else []


def budget_tables(searches: Sequence[SearchedSeeds], tests: Sequence[str]) -> list[Budgets]:
    """Return the mean best so far by the objective, and its test scores, against each unit that all searches have.

    A table is left out where each budget ends before some seed has a score.
    """
    tables = [_budgets(searches, unit, test) for unit in units_of(searches) for test in (None, *tests)]
    return [each for each in tables if any(mean is not None for means in each.means.values() for mean in means)]


def _budgets(searches: Sequence[SearchedSeeds], unit: str, test: str | None) -> Budgets:
    least = least_spent(searches, unit)
    budgets = list(dict.fromkeys(max(1.0, round(least * part)) if part < 1 else least for part in PARTS))
    means = {each.name: [_mean(scores) for scores in by_budget(each, budgets, unit, test)] for each in searches}
    return Budgets(unit, test, budgets, means)


def _mean(scores: Sequence[float] | None) -> float | None:
    return None if scores is None else fmean(scores)


def by_budget(
    search: SearchedSeeds, budgets: Sequence[float], unit: str, test: str | None = None
) -> Iterator[Sequence[float] | None]:
    """Yield, for each budget, the best so far of all seeds, or its score `test`; None where a seed has none by then."""
    by_seed = (scores_at(result.anytime, budgets, unit == "seconds", test) for result in search.seeds.values())
    for scores in zip(*by_seed, strict=True):
        known = [score for score in scores if score is not None]
        yield known if len(known) == len(scores) else None
