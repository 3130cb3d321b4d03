"""The checkpoints of a stage's evaluations: where they are, and which are still needed."""

from __future__ import annotations

from pathlib import Path
from typing import final

from nas.evaluation.evaluator import Parent
from nas.history import History, Proposal
from nas.runtime.stage import RunStage


@final
class StageCheckpoints:
    """The checkpoints of a stage in its run folder; without a folder, or where nothing could be resumed, there are none."""

    def __init__(self, stage: RunStage, history: History, folder: Path | None) -> None:
        self.stage, self.history = stage, history
        self.folder = folder / "checkpoints" if folder and stage.has_checkpoints else None
        self._written = {history.root(done.number) for done in history.closed if done.proposal.epochs or stage.inherits}

    def hand_out(self, number: int) -> Path | None:
        """Return the path for the training of an evaluation, which writes it from now on."""
        root = self.history.root(number)
        self._written.add(root)
        return self._path(root)

    def parent(self, proposal: Proposal) -> Parent | None:
        """Return the parent whose weights a proposal inherits."""
        if not self.stage.inherits or not proposal.parents or proposal.resumes is not None:
            return None
        number = proposal.parents[0]
        path = self._path(self.history.root(number))
        return None if path is None else Parent(self.history.proposals[number].architecture, path)

    def drop(self) -> None:
        """Remove those that neither an evaluation in flight nor a later proposal needs."""
        if self.folder is None:
            return
        history, source = self.history, self.stage.source
        needed = {*history.in_flight, *source.resumable(history)}
        if self.stage.inherits:
            needed.update(*(proposal.parents for proposal in history.in_flight.values()))
            needed.update(source.possible_parents(history))
        if self.stage.retries_failures:
            needed |= {each.number for each in history.failures}
        for number in self._written - set(map(history.root, needed)):
            if (path := self._path(number)) is not None:
                path.unlink(missing_ok=True)
            self._written.discard(number)

    def _path(self, number: int) -> Path | None:
        return self.folder and self.folder / f"{self.stage.stem}-{number:05}-{self.history.digests[number]}.pt"
