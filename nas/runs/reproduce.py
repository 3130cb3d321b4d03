"""Reproduction: an experiment run with several seeds, and compared with the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import fmean
from time import monotonic

from nas.data.processors import processors
from nas.evaluation.repeats import deviation_of
from nas.places import without_places
from nas.records import RecordError
from nas.runs import seed_journal
from nas.runs.experiment import Expectation, Experiment, Final
from nas.runs.run import SearchPlan, as_begun, create_folder, load_run, plan, resolved, run
from nas.runs.run_data import hold_to_data
from nas.runs.scores import scores_of_test
from nas.runs.seed_processes import in_processes
from nas.runs.seeds import HIGHEST, SeedResult, highest, is_in_memory, run_seed, trains, with_one_thread
from nas.runs.statistics import Interval, summarise_scores
from nas.runtime.queue import SearchFailed
from nas.runtime.view import Silent

SECONDS_OF_A_START = 3.0
"""The time that processes take to start: less work than that is done without any."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """An expected number, with the mean, the standard deviation and the 95 % bootstrap interval of the mean over own seeds.

    The latter two are None for one seed. `own_std` is between searches, `retraining_std` within them: that of final trainings of
    one architecture with several seeds, as the root mean square over the searches; None where each is trained once. The score of
    a search is the mean of its trainings, so that `own_std` contains `retraining_std` over the root of their number.
    """

    name: str
    published: Expectation
    own_mean: float
    own_std: float | None
    seeds: int
    interval: Interval | None = None
    retraining_std: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the own mean is within the tolerance of the published one; None for one seed, which allows no verdict."""
        if self.own_std is None:
            return None
        return abs(self.difference) <= self.published.tolerance

    @property
    def difference(self) -> float:
        """The own mean minus the published one."""
        return self.own_mean - self.published.mean

    @property
    def outside(self) -> float:
        """By how much the own mean is outside the tolerance; 0 where it is inside."""
        return max(0.0, abs(self.difference) - self.published.tolerance)

    @property
    def standard_error(self) -> float | None:
        """The standard error of the own mean; None for one seed."""
        return None if self.own_std is None else self.own_std / self.seeds**0.5


def reproduce(
    experiment: Experiment,
    seeds: int,
    done: Callable[[int], None],
    folder: Path | None = None,
    workers: int | None = 1,
) -> list[Comparison]:
    """Run the experiment with the seeds 0, 1, ... and compare its scores with the published ones.

    `done` is called after each seed with the number of seeds that have ended. Searches of one process, without a supernet, are
    run in memory: with a `folder` each seed's scores are written there as it ends, and not run again; without one nothing is
    written. `workers` processes run them, by default as many as are worth it; the results do not depend on their number. Any
    other search has one run folder per seed under `folder`, or under runs/, where it resumes after an interruption.

    Raises RecordError where the experiment expects nothing, or a score that the runs do not have, or where the folder has seeds
    with other settings.
    """
    if not experiment.expect:
        raise RecordError("the experiment has no `expect:`: there is nothing to compare with")
    found: dict[int, Mapping[str, float]] = {}
    with closing(_seeds(prepared(experiment), range(seeds), folder, workers)) as ended:
        for seed, scores in ended:
            _check_expected(experiment.expect, scores)
            found[seed] = scores
            done(len(found))
    in_order = [found[seed] for seed in sorted(found)]
    return [_compare(name, expected, in_order) for name, expected in experiment.expect.items()]


def prepared(experiment: Experiment) -> SearchPlan:
    """Return an experiment, with a final test, ready for its seeds. Raises RecordError where something is missing."""
    experiment = with_one_thread(experiment)
    return plan(replace(experiment, final=experiment.final or _final(experiment)))


def _final(experiment: Experiment) -> Final:
    """Return a final test whose objective is a score that the test gives; with a single architecture any of them will do."""
    names = scores_of_test(experiment)
    return Final() if not names or Final().objective in names else Final(objective=next(iter(names)))


def _check_expected(expect: Iterable[str], scores: Mapping[str, float]) -> None:
    """Raise RecordError after the first seed already: the others would take as long and fail as well."""
    for name in expect:
        if name not in scores:
            raise RecordError(
                f"expect.{name}: the runs have no such score; they have {', '.join(scores)}", f"expect.{name}"
            )


Seeds = Generator[tuple[int, Mapping[str, float]], None, None]


def _seeds(planned: SearchPlan, seeds: Sequence[int], folder: Path | None, workers: int | None) -> Seeds:
    """Yield each seed with its scores as it ends."""
    if not is_in_memory(planned.experiment):
        if workers is not None and workers > 1:
            raise RecordError(
                "--workers is for searches in memory: this one has workers by its `executor`, leave it out"
            )
        for seed in seeds:
            yield seed, _run_in_folder(planned, seed, (folder or Path("runs")) / f"seed-{seed}")
    elif folder is None:
        for seed in seeds:
            yield seed, run_seed(planned, seed).scores
    else:
        yield from _kept_seeds(planned, seeds, folder.resolve(), workers)


def _kept_seeds(planned: SearchPlan, seeds: Sequence[int], folder: Path, workers: int | None) -> Seeds:
    """Yield the seeds that are in the folder, and then those that are run."""
    planned = seed_journal.taken_up(folder, planned)
    with seed_journal.opened(folder, planned) as journal:
        known = seed_journal.kept(folder)
        yield from ((seed, known[seed].scores) for seed in seeds if seed in known)
        missing = [seed for seed in seeds if seed not in known]
        with closing(_run_missing(planned, missing, folder, workers)) as ended:
            for seed, result in ended:
                seed_journal.keep(journal, seed, result)
                yield seed, result.scores


def _run_missing(
    planned: SearchPlan, missing: Sequence[int], folder: Path, workers: int | None
) -> Generator[tuple[int, SeedResult], None, None]:
    """Run the first seed here, by which the time of the others is known, and those by processes where that is worth it."""
    begin = monotonic()
    yield from ((seed, run_seed(planned, seed)) for seed in missing[:1])
    rest = missing[1:]
    if workers is None:
        is_long = (monotonic() - begin) * len(rest) > SECONDS_OF_A_START
        workers = processors() if is_long and not trains(planned.experiment) else 1
    if workers > 1 and rest:
        yield from in_processes(folder / seed_journal.DECLARED, rest, workers)
    else:
        yield from ((seed, run_seed(planned, seed)) for seed in rest)


def _run_in_folder(planned: SearchPlan, seed: int, folder: Path) -> dict[str, float]:
    """Run one seed in its run folder, or what is left of it; return the scores as of a run in memory."""
    experiment = planned.experiment
    planned = replace(planned, experiment=replace(experiment, rules=replace(experiment.rules, seed=seed)))
    if not folder.exists():
        create_folder(folder, planned)
    else:
        planned = _taken_up(planned, folder)
        hold_to_data(folder, planned.data, changed_data=False)
    result = run(planned, folder, lambda stage: Silent())
    best = result.finals["best"]
    if best.failure is not None:
        raise SearchFailed(f"seed {seed}: the test failed: {best.failure}")
    return {**best.scores, **highest(result.history)}


def _taken_up(planned: SearchPlan, folder: Path) -> SearchPlan:
    """Return the plan with the thread count of the run that began in the folder.

    Raises RecordError where that run has other settings.
    """
    begun, executor = load_run(folder), planned.experiment.executor
    if without_places(replace(begun, executor=executor)) != without_places(resolved(planned)):
        raise seed_journal.other_runs(folder, "runs with other settings")
    return as_begun(planned, begun)


def _compare(name: str, expected: Expectation, found: Sequence[Mapping[str, float]]) -> Comparison:
    own = summarise_scores([scores[name] for scores in found])
    # a maximum of the search is no test; the maximum of its deviation is another evaluation's
    deviation = "" if name.startswith(HIGHEST) else deviation_of(name)
    within = [scores[deviation] for scores in found if deviation in scores]
    retraining = sqrt(fmean(each**2 for each in within)) if within else None
    return Comparison(name, expected, own.mean, own.std, own.seeds, own.interval, retraining)
