"""Views: what a search shows while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from nas.evaluation.evaluator import Progress
from nas.history import Evaluated, History, Proposal


class View(ABC):
    """A view of a stage, called at each event."""

    @abstractmethod
    def started(self, number: int, proposal: Proposal) -> None:
        """Show a proposal that was handed out; any free worker may take it."""

    @abstractmethod
    def progress(self, number: int, worker: str, progress: Progress) -> None:
        """Show the progress that a worker reports."""

    @abstractmethod
    def finished(self, done: Evaluated, history: History) -> None:
        """Show the end of an evaluation, which the history includes already."""


@final
class Silent(View):
    """A view that shows nothing."""

    def started(self, number: int, proposal: Proposal) -> None:
        pass

    def progress(self, number: int, worker: str, progress: Progress) -> None:
        pass

    def finished(self, done: Evaluated, history: History) -> None:
        pass
