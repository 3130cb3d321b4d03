"""Inline: every job in this process, one after another."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nas.records import Positive, record
from nas.runtime.executor import Executor, Outcome, Session, perform, waits_for_nothing
from nas.runtime.stage import Work
from nas.runtime.threads import counted, free_threads, threads_limited


@record
class Inline(Executor):
    """Run every job in this process: for tables, for debugging, and where the same seed must give the same journal.

    torch uses `threads` threads; by default as many as there are idle processors when the run begins.
    """

    threads: Positive | None = None

    def settled(self) -> Executor:
        return self if self.threads is not None else replace(self, threads=free_threads())

    def unsettled(self) -> Executor:
        return replace(self, threads=None)

    def describe(self) -> str:
        return counted(1, self.threads)

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        with threads_limited(self.threads):
            _run(session, work)


def _run(session: Session, work: Work) -> None:
    while (job := session.ask()) is not None:
        with closing(perform(work, job)) as events:
            for event in events:
                if isinstance(event, Outcome):
                    session.tell(job.number, "inline", event)
                elif session.progress(job.number, "inline", event):
                    session.stop(job.number, "inline")
                    break
    if not session.finished:  # every job has ended by now, so no result will come that the strategy could wait for
        raise waits_for_nothing()
