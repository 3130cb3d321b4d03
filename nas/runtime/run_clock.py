"""The time that a search has run, without the times between its interruptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final


@final
class RunClock:
    """The seconds on the clock of a run, which follows the events of its journal; a `session` begins each part."""

    def __init__(self) -> None:
        self.before = 0.0
        self.begun: float | None = None
        self.last = 0.0

    def follow(self, event: Mapping[str, Any]) -> None:
        """Add an event of the journal."""
        if event["event"] == "session" and self.begun is not None:
            self.before += self.last - self.begun
            self.begun = None
        if self.begun is None:
            self.begun = float(event["at"])
        self.last = float(event["at"])

    def seconds(self, now: float) -> float:
        """Return the seconds up to a time."""
        return 0.0 if self.begun is None else self.before + now - self.begun
