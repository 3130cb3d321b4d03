"""A question of the checklist for papers."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "not known from the run"


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """A question of the checklist, under its heading, with the answer; UNKNOWN where the folder has none."""

    heading: str
    question: str
    answer: str = UNKNOWN

    @property
    def is_known(self) -> bool:
        """Whether the folder has the answer."""
        return self.answer != UNKNOWN
