"""The Pareto fronts of a search: the objective against MACs and against parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from nas.family import StackedNetwork
from nas.history import Evaluated
from nas.profiling import Profile, profile
from nas.records import RecordError
from nas.report.summary.loaded import LoadedRun
from nas.report.summary.summary import Front

COSTS = ("macs", "params")

PROFILED, POINTS = 12, 4000
"""The number of networks profiled where the scores have no costs, and about how many points of a front are shown."""


def fronts_of(run: LoadedRun) -> tuple[list[Front], str]:
    """Return a front for each known cost, and the reason why there is none, or ""."""
    best = _best_of_each(run)
    if not best:
        return [], "nothing was scored yet"
    if any(cost in done.scores for done in best for cost in COSTS):
        costs = {cost: {done.number: done.scores[cost] for done in best if cost in done.scores} for cost in COSTS}
        return [_front(run, cost, best, known, "") for cost, known in costs.items() if known], ""
    chosen = _spread(best)
    try:
        profiles = {done.number: _profile(run, done.architecture) for done in chosen}
    except (RecordError, ValueError, RuntimeError) as error:
        return [], f"the scores have no macs and no params, and the networks cannot be profiled: {error}"
    text = f"The scores have no multiply-adds: {len(chosen)} of {len(best):,} architectures were profiled, the best and others."
    note = text if len(chosen) < len(best) else ""
    by_cost = {cost: {number: float(getattr(each, cost)) for number, each in profiles.items()} for cost in COSTS}
    return [_front(run, cost, chosen, known, note) for cost, known in by_cost.items()], ""


def _profile(run: LoadedRun, architecture: object) -> Profile:
    """Profile the network that an architecture was scored as.

    Raises RecordError where the family builds no network, or the input shape is unknown.
    """
    if run.input is None:
        raise RecordError("the shape of its images is unknown until the run ends")
    experiment = run.experiment
    return profile(StackedNetwork(experiment.space_name, architecture, experiment.network).tree(), run.input)


def _best_of_each(run: LoadedRun) -> list[Evaluated]:
    """Return the best evaluation of each distinct architecture, best first; ties go to the earlier evaluation."""
    found: dict[str, Evaluated] = {}
    for done in sorted(run.history.scored, key=run.history.value, reverse=True):
        found.setdefault(done.digest, done)
    return list(found.values())


def _spread(ranked: Sequence[Evaluated]) -> list[Evaluated]:
    """Return the PROFILED / 2 best, and about as many spread evenly over the other ranks."""
    half = PROFILED // 2
    others = ranked[half:]
    return [*ranked[:half], *others[:: max(1, -(-len(others) // half))]]  # -(-a // b) rounds up


def _front(run: LoadedRun, cost: str, best: Iterable[Evaluated], costs: Mapping[int, float], note: str) -> Front:
    # cheapest first, of equally cheap ones the best first: a point is on the front if it beats all before it
    points = sorted(
        ((costs[done.number], run.value(done), done.number) for done in best if done.number in costs),
        key=lambda point: (point[0], -run.history.sign * point[1], point[2]),
    )
    reached = -inf
    on_front: set[int] = set()
    for _, value, number in points:
        if run.history.sign * value > reached:
            reached = run.history.sign * value
            on_front.add(number)
    step = -(-len(points) // POINTS)
    shown = [point for i, point in enumerate(points) if i % step == 0 or point[2] in on_front]
    if step > 1:
        note = f"{note} Of the architectures that are not on the front, one in {step} is shown.".strip()
    return Front(
        cost,
        number=[number for _, _, number in shown],
        costs=[each for each, _, _ in shown],
        value=[value for _, value, _ in shown],
        on_front=[int(number in on_front) for _, _, number in shown],
        note=note,
    )
