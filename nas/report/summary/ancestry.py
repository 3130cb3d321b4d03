"""The family tree of the winner: its ancestors, and what each mutation changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from nas.choice import Choice
from nas.history import Evaluated, History
from nas.labels import labels_of, stored_label
from nas.report.summary.summary import Ancestor, Change
from nas.space import choices, decisions
from nas.supernets.search import label

NEAREST = 300
"""The maximum number of ancestors shown; the nearest ones are kept."""


def ancestors_of(space: Any, history: History, winner: Evaluated) -> list[Ancestor]:
    """Return the winner and its ancestors breadth first, each once: the winner, its parents, its grandparents, ..."""
    known = choices(space)
    queue, seen, found = deque([winner.number]), {winner.number}, list[Ancestor]()
    while queue and len(found) < NEAREST:
        number = queue.popleft()
        found.append(_ancestor(space, known, history, number))
        # architectures of a search may share ancestors (crossover, or a parent of several): each is visited once
        fresh = [parent for parent in history.proposals[number].parents if parent not in seen]
        seen.update(fresh)
        queue.extend(fresh)
    return found


def _ancestor(space: Any, known: Mapping[str, Choice], history: History, number: int) -> Ancestor:
    proposal, done = history.proposals[number], history.finished.get(number)
    changes: list[Change] = []
    if proposal.parents:
        parent = history.proposals[proposal.parents[0]].architecture
        changes = list(changes_between(known, decisions(space, parent), decisions(space, proposal.architecture)))
    value = done.scores[history.objective] if done and done.is_scored else None
    return Ancestor(number, proposal.origin, proposal.parents, value, len(history.children.get(number, ())), changes)


def changes_between(
    known: Mapping[str, Choice], before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[Change]:
    """Yield the decisions in which two architectures of a space differ, in the order of the space's choices."""
    for name, choice in known.items():
        if before.get(name) != after.get(name):
            yield Change(name, decision_label(choice, before.get(name)), decision_label(choice, after.get(name)))


def decision_label(choice: Choice, decision: int | None) -> str:
    """Return the label of a decision's option or options; "" where the choice is not open."""
    if decision is None:
        return ""
    if choice.k is None:
        return labels_of(choice)[decision]
    return " + ".join(stored_label(label(choice.options[i])) for i in choice.picked(decision)) or "nothing"
