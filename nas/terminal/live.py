"""Terminal: the live view of a stage, or plain lines where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.util import find_spec
from typing import final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas.evaluation.evaluator import Progress
from nas.history import REUSED, Evaluated, History, Proposal
from nas.runtime.stage import RunStage
from nas.runtime.stopping import listener
from nas.runtime.view import View

BARS = " ▁▂▃▄▅▆▇█"

SECONDS_BETWEEN_LINES = 30.0
"""The interval between progress lines of long work in a log, which cannot be redrawn."""


SECONDS_BETWEEN_EPOCHS = 2.0
"""The minimum interval between lines for the epochs of a single training, also in a terminal."""


@final
class Terminal(View):
    """A panel of one stage: the best so far, the work of each worker, what is done and left, and failures with their reasons."""

    def __init__(self, console: Console, stage: RunStage) -> None:
        self.console, self.stage, self.total = console, stage.name, stage.total
        self.describe, self.hours = stage.describe, stage.rules.budget.hours if stage.rules.budget else None
        # in a notebook the panel needs a widget, which is drawn again
        self.is_live = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
        self.begun = time.monotonic()
        self.history: History | None = None
        self.waiting: dict[int, Proposal] = {}
        self.working: dict[int, tuple[str, Progress]] = {}
        # the fraction done before an evaluation's first report, as in a resumed training: not counted in the rate of work
        self.at_first: dict[int, float] = {}
        self.done, self.said = 0.0, time.monotonic()
        self.warned: set[int] = set()
        self.stop = listener()
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Terminal:
        if self.is_live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_live:
            self.live.stop()
        if self.history is not None:
            self.console.print(self._summary(self.history), soft_wrap=True)

    def started(self, number: int, proposal: Proposal) -> None:
        self.stop.check()
        self.waiting[number] = proposal

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        self.stop.check()
        self.working[number] = worker, progress
        if progress.epochs is not None:
            before = progress.ends_an_epoch  # a first report at the end of an epoch follows a whole one
            self.at_first.setdefault(number, _part(progress, before))
        if progress.warning and number not in self.warned:
            self.warned.add(number)
            epoch = f", epoch {progress.epoch:.0f}" if progress.epoch else ""
            self._line(f"#{number}{epoch}: {progress.warning}", "yellow")
        is_due = not self.is_live and time.monotonic() - self.said > SECONDS_BETWEEN_LINES
        if is_due or self._ends_an_epoch(progress):
            self._line(f"{self.stage} #{number} epoch {'  '.join(_epoch_and_scores(progress))}")

    def _ends_an_epoch(self, progress: Progress) -> bool:
        """Return whether an epoch of the only training has ended, and no line was printed just now."""
        return self.total == 1 and progress.ends_an_epoch and time.monotonic() - self.said > SECONDS_BETWEEN_EPOCHS

    def _line(self, text: str, style: str = "") -> None:
        self.said = time.monotonic()
        self.console.print(text, style=style, soft_wrap=True)

    def finished(self, done: Evaluated, history: History) -> None:
        self.history = history
        self.done += (done.worker != REUSED) - self.at_first.get(done.number, 0.0)
        self.waiting.pop(done.number, None)
        self.working.pop(done.number, None)
        if done.failure is not None:
            print_failure(f"#{done.number}", done, self.console)
        elif not self.is_live and done.worker != REUSED:
            self._line(f"{self._counted(history)} #{done.number} {_scores(done)}")

    def render(self) -> RenderableType:
        """Return the panel as it is now."""
        rows: list[RenderableType] = [
            self._summary(self.history) if self.history else Text(f"{self.stage}: {self._before_the_first()}")
        ]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("worker", "candidate", "origin", "epoch", "scores so far"):
            table.add_column(column, style="cyan" if column == "worker" else "", header_style="dim")
        for number, proposal in self.waiting.items():
            worker, progress = self.working.get(number, ("", Progress()))
            table.add_row(worker or "waiting", f"#{number}", _origin(proposal), *_epoch_and_scores(progress))
        return Group(*rows, table) if self.waiting else Group(*rows)

    def _before_the_first(self) -> str:
        return self._time_left(0) if self.working else "starting workers"

    def _summary(self, history: History) -> Text:
        text = Text(f"{self._counted(history)}  {self._time_left(history.evaluations)}", "bold")
        outside = sum(bool(done.scores) for done in history.failures)
        if failed := len(history.failures) - outside:
            text.append(f"  {failed} failed", "red")
        if outside:
            text.append(f"  {outside} ended outside the limits", "yellow")
        if history.screened:
            text.append(f"  {len(history.screened)} only screened", "dim")
        if history.rejected:
            text.append(f"  {len(history.rejected)} rejected by the limits", "yellow")
        if history.reused:
            text.append(f"  {history.reused} reused", "dim")
        if history.stopped:
            text.append(f"  {history.stopped} stopped early", "dim")
        if self.stage == "search" and (best := history.best) is not None:
            text.append(f"\n{sparkline(best_so_far(history))}  best {_scores(best)}", "green")
            if self.is_live:  # a log shows it once, when the search is over
                described, room = self.describe(best.architecture), 2 * self.console.width
                text.append(f"\n{described if len(described) <= room else f'{described[: room - 1]}…'}", "dim")
        return text

    def _counted(self, history: History) -> str:
        total = f" / {self.total}" if self.total else ""
        return f"{self.stage} {history.evaluations}{total}"

    def _time_left(self, finished: int) -> str:
        """Return the time spent and, from the work done in it, the time left; half an evaluation counts as half."""
        spent = time.monotonic() - self.begun
        parts = {n: _part(progress) for n, (_, progress) in self.working.items() if progress.epochs is not None}
        done = self.done + sum(part - self.at_first[n] for n, part in parts.items())
        if self.hours is not None and not self.total:
            # an upper bound: what another session of this run has spent is not known here
            return f"{duration(spent)}, at most {duration(max(0.0, 3600 * self.hours - spent))} left"
        if not self.total or not done or finished >= self.total:
            return f"{duration(spent)}"
        left = (self.total - finished - sum(parts.values())) * spent / done  # the work left, at the rate so far
        return f"{duration(spent)}, about {duration(left)} left"


@final
class Panels:
    """The panels of a run's stages, one at a time."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._open = ExitStack()

    def __enter__(self) -> Panels:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def view(self, stage: RunStage) -> View:
        """Close the panel of the last stage and open one for the next."""
        self._open.close()
        return self._open.enter_context(Terminal(self.console, stage))


def print_failure(who: str, done: Evaluated, console: Console) -> None:
    """Print the reason of a failed evaluation as it is, since it may contain brackets."""
    ended, style = ("failed", "red") if not done.scores else ("ended", "yellow")  # with scores, it ended at a limit
    console.print(f"{who} {ended}: {done.failure}", style=style, soft_wrap=True)


def _origin(proposal: Proposal) -> str:
    parents = ", ".join(f"#{parent}" for parent in proposal.parents)
    return f"{proposal.origin} of {parents}" if parents else proposal.origin


def _part(progress: Progress, before: float = 0.0) -> float:
    """Return the fraction of an evaluation that is done, or was done `before` epochs ago."""
    return (progress.epoch - before) / (progress.epochs or 1)


def _epoch_and_scores(progress: Progress) -> tuple[str, str]:
    epoch = f"{_tenths(progress.epoch)} / {progress.epochs}" if progress.epochs is not None else ""
    return epoch, "  ".join(f"{name} {number(value)}" for name, value in progress.shown.items())


def _tenths(epoch: float) -> str:
    return f"{epoch:.0f}" if float(epoch).is_integer() else f"{epoch:.1f}"


def _scores(done: Evaluated) -> str:
    return "  ".join(f"{name} {number(value)}" for name, value in done.scores.items())


def number(value: float) -> str:
    """Return a score in readable form: 97.31, 12,345, 1.2e-05."""
    if abs(value) >= 10_000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return a time as 7 s, 3 min 20 s or 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def best_so_far(history: History) -> list[float]:
    """Return the best value after each evaluation that succeeded."""
    values: list[float] = []
    for done in history.scored:
        values.append(max(values[-1], history.value(done)) if values else history.value(done))
    return values


def sparkline(values: Iterable[float], width: int = 40) -> str:
    """Return values as a line of bars, subsampled to a width."""
    points = list(values)
    if not points:
        return ""
    step = max(1, len(points) / width)
    # the last point is always shown; BARS[0] is a blank, so the lowest value takes the first visible bar
    points = [points[min(int(i * step), len(points) - 1)] for i in range(min(width, len(points)) - 1)] + [points[-1]]
    low, span = min(points), (max(points) - min(points)) or 1.0
    return "".join(BARS[1 + int((point - low) / span * (len(BARS) - 2))] for point in points)
