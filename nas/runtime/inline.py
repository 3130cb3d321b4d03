"""Inline: every job in this process, one after another."""

from __future__ import annotations

from pathlib import Path

from nas.records import record
from nas.runtime.executor import Executor, Outcome, Session, Work, perform


@record
class Inline(Executor):
    """Do every job in this process: for tables, for debugging, and where the same seed must give the same journal."""

    def run(self, session: Session, work: Work, folder: Path | None) -> None:
        while (job := session.ask()) is not None:
            for event in perform(work, job):
                if isinstance(event, Outcome):
                    session.tell(job.number, "inline", event)
                else:
                    session.progress(job.number, "inline", event)
        if not session.finished:
            raise RuntimeError("the strategy waits for results and nothing is in flight: it must propose or end")
