"""Change: merges the sketches of two architectures into one that marks what was removed ("gone") and added ("came")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from nas.drawing.sketch import (
    Changed,
    Framed,
    Graph,
    Level,
    Levels,
    Link,
    Page,
    Panel,
    Paths,
    Row,
    Sketch,
)


def changed(before: Sketch, after: Sketch) -> Any:
    """Return the merged sketch of both: shared parts once, and the others marked as gone or came."""
    if before == after:
        return after
    match before, after:
        case (Row(), Row()):
            return Row(tuple(_aligned(before.parts, after.parts)))
        case (Paths(), Paths()) if before.join == after.join:
            return Paths(tuple(_aligned(before.parts, after.parts)), after.join)
        case (Framed(), Framed()):
            title = _text(before.title, after.title)
            return replace(after, title=title, part=changed(before.part, after.part), is_changed=title != after.title)
        case (Graph(), Graph()) if _same_states(before, after):
            return replace(after, links=tuple(_links(before.links, after.links)))
        case (Level(), Level()):
            repeat, title = _text(before.repeat, after.repeat), _text(before.title, after.title)
            is_changed = (repeat, title) != (after.repeat, after.title)
            return replace(
                after, repeat=repeat, title=title, part=changed(before.part, after.part), is_changed=is_changed
            )
        case (Levels(), Levels()):
            return Levels(tuple(_aligned(before.levels, after.levels)), after.asides)
        case (Panel(), Panel()):
            return replace(after, part=changed(before.part, after.part))
        case (Page(), Page()):
            return Page(tuple(_panels(before.panels, after.panels)))
    return Changed(before, after)


def _text(before: str, after: str) -> str:
    return after if before == after else f"{before or 'once'} → {after or 'once'}"


def _same_states(before: Graph, after: Graph) -> bool:
    same = before.states == after.states and before.outputs == after.outputs
    return same and before.inputs == after.inputs and before.kinds == after.kinds


def _links(before: Sequence[Link], after: Sequence[Link]) -> Iterator[Link]:
    """Yield the links of both graphs, grouped by target state."""
    kept = Counter(before) & Counter(after)  # as multisets: a state may read the same link twice
    gone, came = Counter(before) - kept, Counter(after) - kept
    for target in sorted({link.target for link in (*before, *after)}):
        for links, mark in ((kept, None), (gone, "gone"), (came, "came")):
            for link in links.elements():
                if link.target == target:
                    yield replace(link, mark=mark)  # type: ignore[arg-type]


def _aligned(before: Sequence[Any], after: Sequence[Any]) -> Iterator[Any]:
    """Yield the merged parts of two rows: equal parts once, parts at the same place compared, others as gone or came."""
    # autojunk would treat parts that occur often in a long row as noise
    keys = [_unnamed(part) for part in before], [_unnamed(part) for part in after]
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from after[j1:j2]
            continue
        both = min(i2 - i1, j2 - j1)  # this many parts are replaced; the rest is only removed or only added
        yield from map(changed, before[i1 : i1 + both], after[j1 : j1 + both])
        yield from (_only(each, gone=True) for each in before[i1 + both : i2])
        yield from (_only(each, gone=False) for each in after[j1 + both : j2])


def _unnamed(part: Any) -> Any:
    """Return a part without the name of a stage, as stages are numbered, and shift when one is inserted before them."""
    return replace(part, name="") if isinstance(part, Level) else part


def _only(part: Any, gone: bool) -> Any:
    if isinstance(part, Level):
        return replace(part, part=_only(part.part, gone))
    return Changed(part, None) if gone else Changed(None, part)


def _panels(before: Sequence[Panel], after: Sequence[Panel]) -> Iterator[Panel]:
    """Yield the panels of both pages; panels with the same title are compared."""
    old, new = {panel.title: panel for panel in before}, {panel.title: panel for panel in after}
    for title in dict.fromkeys([*old, *new]):
        if title in old and title in new:
            yield changed(old[title], new[title])
        else:
            panel = old.get(title) or new[title]
            yield replace(panel, part=_only(panel.part, title in old))
