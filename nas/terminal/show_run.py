"""Terminal output of a search: its state, its best, its supernets and its final trainings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas.history import REUSED, Evaluated, History, describe_limits, read_objective
from nas.journal import replay
from nas.report.summary.fidelity import rungs_of
from nas.runs.experiment import Experiment
from nas.runs.finals import ENSEMBLE, by_label
from nas.runs.run import load_run
from nas.runs.scores import classes_of, informative_scores
from nas.runs.status import SECONDS_OF_SILENCE, State, seconds_of_silence, state_of_search
from nas.runs.supernets import SUPERNET_OBJECTIVE, SUPERNETS, searched_in
from nas.supernets.search import SupernetResult
from nas.terminal.live import best_so_far, duration, number, print_failure, sparkline
from nas.terminal.profile_table import print_architecture
from nas.terminal.resume_advice import resume_advice

LAST = 50
"""The number of last evaluations that show whether a search still improves."""

FAILURES, WORKERS, IN_FLIGHT, FRONT_ROWS = 3, 8, 8, 20
"""The maximum numbers of failures, workers, candidates in flight and members of a front to list."""

SECONDS_BETWEEN_LOOKS = 2.0
"""The minimum interval between two looks at a run that is watched."""

TESTED = "Tested once, after the search"


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """A search run as it is on disk at time `at`; times are in seconds since 1970, by the number of the proposal."""

    folder: Path
    experiment: Experiment
    state: State
    at: float
    history: History | None = None
    begun: Mapping[int, float] = field(default_factory=dict)
    ended: Mapping[int, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The time from the first proposal to now or, where no process works on the run, to the last event."""
        until = self.at if self.state == "running" else max([*self.begun.values(), *self.ended.values()])
        return until - min(self.begun.values())

    @property
    def seconds_left(self) -> float | None:
        """The estimated time left, from the last evaluations; None where it is unknown."""
        budget, history = self.experiment.rules.budget, self.history
        last = [done for done in history.finished.values() if done.worker != REUSED][-LAST:] if history else []
        if history is None or budget is None or not last:
            return None
        left = [float(budget.evaluations - history.evaluations)] if budget.evaluations is not None else []
        each = fmean(done.scores.get("seconds", 0.0) for done in last)
        if budget.seconds is not None and each:
            left.append((budget.seconds - history.totals.get("seconds", 0.0)) / each)
        return max(0.0, min(left)) * self._seconds_each(last, len(history.in_flight)) if left else None

    def _seconds_each(self, last: Sequence[Evaluated], at_once: int) -> float:
        """Return the expected time between the ends of two evaluations, from the last ones."""
        # both estimates are low: the first leaves out idle workers, the second the longest interval; so the larger counts
        took = median(self.ended[done.number] - self.begun[done.number] for done in last)
        ends = sorted(self.ended[done.number] for done in last)
        between = sorted(after - before for before, after in pairwise(ends))[:-1]  # the longest may have been a pause
        return max(took / max(1, at_once), fmean(between) if between else 0.0)


def look(folder: Path, at: float) -> RunSnapshot:
    """Read a run folder as it is. Raises RecordError where it is not a search's, or its journal is damaged."""
    experiment, journal = load_run(folder), folder / "history.jsonl"
    if not journal.is_file():
        return RunSnapshot(folder, experiment, state_of_search(folder, experiment, 0), at)
    times: dict[str, dict[int, float]] = {"start": {}, "finish": {}}

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] in times:
            times[event["event"]][event["number"]] = event["at"]

    history = replay(journal, experiment.rules.objective, note, experiment.rules.limits)
    state = state_of_search(folder, experiment, len(history.in_flight))
    return RunSnapshot(folder, experiment, state, at, history, times["start"], times["finish"])


def show_run(folder: Path, console: Console) -> None:
    """Print a run as it is."""
    _print(look(folder, time.time()), console)


def watch_run(folder: Path, console: Console) -> None:
    """Print a run repeatedly until no process works on it. Ctrl-C ends it.

    The last look remains, whole, in a terminal and in a file.
    """
    shown = Text()
    with Live(console=console, auto_refresh=False, transient=True) as live, suppress(KeyboardInterrupt):
        goes_on = True
        while goes_on:
            began = time.monotonic()
            seen = look(folder, time.time())
            shown = _frame(seen, console)
            live.update(_fitted(shown, console), refresh=True)
            goes_on = _may_go_on(seen)
            took = time.monotonic() - began
            time.sleep(max(SECONDS_BETWEEN_LOOKS, 4 * took) if goes_on else 0)  # reading takes a fifth at most
    console.print(shown)


def _frame(seen: RunSnapshot, console: Console) -> Text:
    text = StringIO()
    kind = console.is_terminal
    _print(seen, Console(file=text, width=console.width, force_terminal=kind, markup=False, highlight=False))
    return Text.from_ansi(text.getvalue())


def _fitted(frame: Text, console: Console) -> Text:
    """Return the lines of a frame that fit on the screen, then a mark: lines that have scrolled away cannot be erased."""
    lines = frame.wrap(console, console.width)
    room = console.height - 1
    return Text("\n").join(lines if len(lines) <= room else [*lines[: room - 1], Text("…", "dim")])


def _may_go_on(seen: RunSnapshot) -> bool:
    """Return whether a process works on a run or, without file locks, has written something lately."""
    is_lively = seen.state == "unknown" and seconds_of_silence(seen.folder) < SECONDS_OF_SILENCE
    return seen.state == "running" or is_lively


def _print(seen: RunSnapshot, console: Console) -> None:
    """Print counts, curve and best, then workers, failures and final trainings."""
    history, folder = seen.history, seen.folder
    _print_state(seen, console)
    _print_seeds(seen, console)
    show_searched(searched_in(folder), console)
    if history is None or not history.finished:
        under_way = f", {len(history.in_flight)} under way" if history and history.in_flight else ""
        console.print(f"{folder}: {_in_words(seen)}nothing was evaluated yet{under_way}", soft_wrap=True)
        if history is not None:
            _print_in_flight(seen, history, console)
        return
    _print_counts(seen, history, console)
    _print_rungs(history, console)
    if history.best is not None:
        _print_curve(seen, history, console)
        show_best(seen.experiment, history.best, console)
        show_front(history, seen.folder, console)
    _print_in_flight(seen, history, console)
    _print_workers(seen, history, console)
    for done in history.failures[-FAILURES:]:
        print_failure(f"#{done.number}", done, console)
    _print_finals(seen, console)


def _print_state(seen: RunSnapshot, console: Console) -> None:
    """Print how to resume a run that has not ended."""
    if said := resume_advice(seen.folder, seen.state):
        console.print(said, style="yellow", soft_wrap=True)


def _in_words(seen: RunSnapshot) -> str:
    """Return the state as the first item of a list; empty where it is unknown."""
    return f"{seen.state}, " if seen.state != "unknown" else ""


def _print_finals(seen: RunSnapshot, console: Console) -> None:
    """Print the results of the final trainings, those that failed, and those that have not ended."""
    final, journal = seen.experiment.final, seen.folder / "final.jsonl"
    if final is None or not journal.is_file():
        return
    history = replay(journal, final.objective)
    together = seen.folder / f"{ENSEMBLE}.jsonl"
    ensemble = by_label(replay(together, "test_top1_percent")) if together.is_file() else {}
    print_finals({**by_label(history), **ensemble}, final.objective, console, classes_of(seen.folder))
    if history.failures and seen.state == "ended":
        console.print(f"Repeat the failed trainings with nas resume {seen.folder}", style="yellow", soft_wrap=True)
    if roles := [proposal.origin for _, proposal in sorted(history.in_flight.items())]:
        doing = {"running": "under way", "stopped": "interrupted when the run was stopped"}.get(seen.state, "not ended")
        console.print(f"Final training of {', '.join(roles)}: {doing}", soft_wrap=True)


def _print_counts(seen: RunSnapshot, history: History, console: Console) -> None:
    """Print the numbers of evaluations, how much of the budget is spent, and the time."""
    counts = f"{len(history.scored)} evaluated, {len(history.in_flight)} in flight, {len(history.failures)} failed"
    if history.screened:
        counts += f", {len(history.screened)} only screened"
    if history.reused:
        counts += f", {history.reused} of them reused scores"
    if history.stopped:
        counts += f", {history.stopped} stopped early"
    console.print(Text.assemble((str(seen.folder), "bold"), f": {counts}"), soft_wrap=True)
    budget = seen.experiment.rules.budget
    parts: list[str] = []
    if budget is not None and budget.evaluations is not None:
        parts.append(f"{history.evaluations} of {budget.evaluations} evaluations")
    if budget is not None and budget.seconds is not None:
        parts.append(f"{duration(history.totals.get('seconds', 0.0))} of {duration(budget.seconds)} of evaluation")
    if budget is not None and budget.epochs is not None:
        parts.append(f"{history.epochs} of {budget.epochs} epochs")
    if budget is not None and budget.hours is not None:
        parts.append(f"at most {duration(3600 * budget.hours)} on the clock")
    parts.append(f"{duration(seen.seconds)} since the first proposal")
    if seen.state != "ended" and seen.seconds_left is not None:
        parts.append(f"about {duration(seen.seconds_left)} left")
    console.print(f"{_in_words(seen)}{', '.join(parts)}", soft_wrap=True)


def _print_rungs(history: History, console: Console) -> None:
    """Print how many evaluations ended at each rung, and the best value of each."""
    for rung in rungs_of(history):
        best = "" if rung.best is None else f", best {history.objective} {number(rung.best)} (#{rung.number})"
        ended = f"{rung.ended} ended, {rung.promoted} promoted"
        console.print(f"rung of {rung.epochs} epochs: {ended}{best}", soft_wrap=True)


def _print_curve(seen: RunSnapshot, history: History, console: Console) -> None:
    """Print the best so far as a sparkline between its first and last value, then the scores of the last evaluations."""
    sign = history.sign  # history.value() is negated for a minimised objective: times the sign it is the score again
    curve, values = best_so_far(history), [history.value(done) for done in history.scored]
    first, best = number(sign * curve[0]), number(sign * curve[-1])
    text = f"{history.objective} {first} {sparkline(curve, width=60)} {best}"
    console.print(text, style="green", soft_wrap=True)
    if len(values) > LAST:
        since, last = len(values) - 1 - values.index(curve[-1]), values[-LAST:]
        text = f"Last {LAST}: best {number(sign * max(last))}, mean {number(sign * fmean(last))}"
        console.print(f"{text}; {since} evaluations since the best", soft_wrap=True)


def _print_in_flight(seen: RunSnapshot, history: History, console: Console) -> None:
    """Print the evaluations in flight, the oldest first, or those in flight when the run was stopped."""
    if not history.in_flight:
        return
    console.print("In flight" if seen.state != "stopped" else "In flight when it was stopped", style="bold")
    for each in sorted(history.in_flight)[:IN_FLIGHT]:
        proposal = history.in_flight[each]
        parents = ", ".join(f"#{parent}" for parent in proposal.parents)
        since = f"  for {duration(max(0.0, seen.at - seen.begun[each]))}" if seen.state != "stopped" else ""
        origin = f"{proposal.origin} of {parents}" if parents else proposal.origin
        console.print(f"  #{each}  {origin}{since}", soft_wrap=True)
    if (more := len(history.in_flight) - IN_FLIGHT) > 0:
        console.print(f"  and {more} more")


def _print_workers(seen: RunSnapshot, history: History, console: Console) -> None:
    """Print how many evaluations each worker has done, the busiest first; nothing for a single worker."""
    done, failed = Counter[str](), Counter[str]()
    last: dict[str, float] = {}
    for each in history.finished.values():
        worker = each.worker or "none"
        done[worker] += 1
        failed[worker] += each.failure is not None
        last[worker] = max(seen.ended[each.number], last.get(worker, 0.0))
    if len(done) < 2:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("worker", "evaluations", "failed", "last"):
        table.add_column(column, justify="left" if column == "worker" else "right", header_style="dim")
    for worker, count in done.most_common(WORKERS):
        table.add_row(
            worker, str(count), str(failed[worker] or ""), f"{duration(max(0.0, seen.at - last[worker]))} ago"
        )
    if rest := done.most_common()[WORKERS:]:
        table.add_row(f"{len(rest)} more", str(sum(count for _, count in rest)), "", "")
    console.print(table)


def _print_seeds(seen: RunSnapshot, console: Console) -> None:
    """Print which supernet searches failed, and which have not ended."""
    journal = seen.folder / f"{SUPERNETS}.jsonl"
    if not journal.is_file():
        return
    history = replay(journal, SUPERNET_OBJECTIVE)
    for done in history.failures:
        print_failure(f"supernet, seed {done.number}", done, console)
    if seeds := ", ".join(map(str, sorted(history.in_flight))):
        doing = {"running": "under way", "stopped": "interrupted when the run was stopped"}.get(seen.state, "not ended")
        console.print(f"Search with a supernet, seed {seeds}: {doing}", soft_wrap=True)


def show_searched(searched: Sequence[SupernetResult], console: Console) -> None:
    """Print the result of each supernet search, and its monitor's last warning."""
    if not searched:
        return
    shown = ("validation_top1_percent", "supernet_top1_percent", "entropy", "skips", "epochs", "seconds")
    table = Table(title="Supernet searches", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("seed", *shown):
        table.add_column(column, justify="right")
    for each in searched:
        scores = each.scores or _so_far(each)
        cells = [number(scores[name]) if name in scores else "" for name in shown]
        if each.epochs and each.epochs[-1].skippable:
            cells[shown.index("skips")] += f" of {each.epochs[-1].skippable}"
        table.add_row(str(each.number), *cells)
    console.print(table)
    for each in searched:
        if each.epochs and (warning := each.epochs[-1].warning):
            console.print(f"seed {each.number}: {warning}", style="yellow", soft_wrap=True)


def _so_far(searched: SupernetResult) -> dict[str, float]:
    """Return the scores so far of a supernet search that has not ended."""
    if not searched.epochs:
        return {}
    last, seconds = searched.epochs[-1], sum(epoch.seconds for epoch in searched.epochs)
    supernet = last.top1_percent if last.alphas_top1_percent is None else last.alphas_top1_percent
    scores = {"supernet_top1_percent": supernet, "entropy": last.entropy, "skips": last.skips}
    return {**scores, "epochs": len(searched.epochs), "seconds": seconds}


def show_best(experiment: Experiment, best: Evaluated, console: Console) -> None:
    """Print the scores and the architecture of the search's best."""
    scores = "  ".join(f"{name} {number(value)}" for name, value in best.scores.items())
    console.print(Text.assemble(("\nBest of the search", "bold"), f": #{best.number}, {scores}"), soft_wrap=True)
    print_architecture(experiment.describe(best.architecture), console)


def show_front(history: History, folder: Path, console: Console) -> None:
    """Print the Pareto front of several objectives, and the number of proposals that the limits rejected."""
    if history.rejected:
        proposals = "proposal" if len(history.rejected) == 1 else "proposals"
        console.print(
            f"{len(history.rejected):,} {proposals} rejected: not within {describe_limits(history.limits)}",
            soft_wrap=True,
        )
    if len(history.objectives) == 1 or not history.front:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title="Pareto front", title_justify="left")
    table.add_column("")
    for name, sign in history.objectives:
        table.add_column(f"{name} ({'most' if sign > 0 else 'least'})", justify="right")
    for place, done in enumerate(history.front[:FRONT_ROWS]):
        table.add_row(f"{folder}:front/{place}", *(number(done.scores[name]) for name, _ in history.objectives))
    console.print(table)
    if (more := len(history.front) - FRONT_ROWS) > 0:
        console.print(f"and {more} more")


def print_finals(finals: Mapping[str, Evaluated], objective: str, console: Console, classes: int | None = None) -> None:
    """Print the test scores and failures, and a note where the best is no better than the random architectures."""
    if any(done.scores for done in finals.values()):
        console.print(finals_table(finals, classes))
    for role, done in finals.items():
        if done.failure is not None:
            print_failure(f"final training of {role}", done, console)
    name, sign = read_objective(objective)
    values = {role: done.scores[name] for role, done in finals.items() if name in done.scores}
    others = [value for role, value in values.items() if role.startswith("random")]
    if "best" in values and others and sign * values["best"] <= sign * fmean(others):
        console.print(
            f"The best is no better than the random architectures: {name} {number(values['best'])} against "
            f"{number(fmean(others))}. One seed is noisy: compare several seeds, or search longer",
            style="yellow",
            soft_wrap=True,
        )


def finals_table(finals: Mapping[str, Evaluated], classes: int | None = None) -> Table:
    """Return the scores of the final networks, a column each, without those that are trivial for the number of classes."""
    table = Table(title=TESTED, title_justify="left", box=None, padding=(0, 2, 0, 0), min_width=len(TESTED))
    table.add_column("")
    for role in finals:
        table.add_column(role, justify="right")
    for name in dict.fromkeys(name for done in finals.values() for name in informative_scores(done.scores, classes)):
        table.add_row(name, *(number(done.scores[name]) if name in done.scores else "" for done in finals.values()))
    return table
