"""Trees: turns a tree of nodes, closed or open, into a sketch; a node without a rule here is drawn as a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, final

from nas.choice import Choice, is_open
from nas.drawing.graphs import is_graph, sketch_graph
from nas.drawing.inside import Options, among_closed, held_by, holds_nodes, options_of, pulled_in, tuple_of
from nas.drawing.numbers import NumberedModules
from nas.drawing.shapes import TIMES
from nas.drawing.sketch import Block, Framed, Level, Levels, Paths, Row, Sketch
from nas.drawing.words import kind_of, node_label, said_of, value_of, wrap_words
from nas.notation import name_of, notation
from nas.topology.appended import Appended
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.dense import Dense
from nas.topology.dual_path import DualPath
from nas.topology.highway import Highway
from nas.topology.network import Network
from nas.topology.residual import Residual

DEEPEST = 12
"""The depth of nesting that is drawn; of deeper nodes only the name is drawn."""


@final
@dataclass(frozen=True, slots=True)
class Sketcher:
    """A maker of sketches.

    `names` are the cells and graphs with a separate panel, `keys` the letters of the lists of options that many choices share.
    """

    names: Mapping[Any, str]
    keys: Mapping[Options, str] = field(default_factory=dict)
    depth: int = 0

    def sketch(self, node: Any, seen: NumberedModules | None = None) -> Sketch:
        """Return the sketch of a node; `seen` is its record with shapes and parameters, if known."""
        inner = replace(self, depth=self.depth + 1)
        if not holds_nodes(node):
            return block(node, seen=seen)
        if self.depth > DEEPEST:
            return Block(name_of(type(node)).replace("_", " "), ("…",), spelt=_spelt(node))
        if node in self.names:
            return Block(self.names[node], kind="cell", spelt=_spelt(node))
        return inner.composed(among_closed(node), seen)

    def composed(self, node: Any, seen: NumberedModules | None) -> Sketch:
        """Return the sketch of a node that holds other nodes."""
        match node:
            case Choice():
                return self.choice(node)
            case tuple():
                return Row(tuple(self.serial(node, seen)))
            case Network():
                return self.network(node, seen)
            case Chain() if isinstance(node.nodes, tuple):
                return Row(tuple(self.serial(node.nodes, seen)))
            case Stage():
                return self.stage(node, seen)
            case Dense():
                return self.dense(node, seen)
            case Branches() if isinstance(node.paths, tuple):
                join: Any = node.join
                return Paths(tuple(self.several(node.paths, seen)), join if isinstance(join, str) else "concat")
            case _ if is_graph(node):
                return sketch_graph(node, self.sketch)
        return self.beside(node, seen) or self.other(node, seen)

    def beside(self, node: Any, seen: NumberedModules | None) -> Sketch | None:
        """Return the sketch of a body with a parallel path, such as a shortcut; None for any other node."""
        match node:
            case Residual():
                return self.residual(node, seen)
            case Appended():
                return Paths(tuple(self.several((node.body, node.pool), seen)), "concat")
            case DualPath():
                parts = self.several(tuple(each for each in (node.body, node.projection) if each is not None), seen)
                # without a projection the second path is the identity, an empty Row
                return Paths((*parts, Row())[:2], f"add, concat {value_of(node.growth)}")
            case Highway():
                return Paths((self.sketch(node.body), Row()), "gate")
        return None

    def several(self, nodes: tuple[Any, ...], seen: NumberedModules | None) -> Iterator[Sketch]:
        """Yield the sketches of nodes inside the node of the record `seen`."""
        found = _seen_of(nodes, seen)
        yield from map(self.sketch, nodes, found)

    def serial(self, nodes: tuple[Any, ...], seen: NumberedModules | None) -> Iterator[Sketch]:
        """Yield the sketches of nodes in series; a run of equal nodes is drawn once."""
        found = _seen_of(nodes, seen)
        for _, run in groupby(zip(nodes, found, strict=True), itemgetter(0)):
            first, *rest = run
            made = self.sketch(*first)
            yield Framed(f"{TIMES} {len(rest) + 1}", made) if rest else made

    def stage(self, stage: Stage, seen: NumberedModules | None) -> Sketch:
        """Return the sketch of a stage inside another node."""
        (inner,) = _seen_of((stage.body,), seen)
        words = said_of(stage, ("body", "repeat"))
        if stage.repeat == 1 and not holds_nodes(stage.body):
            return block(stage.body, words, inner)
        body = self.sketch(stage.body, inner)
        times = [] if stage.repeat == 1 else [f"{TIMES} {_times(stage.repeat)}"]
        return Framed(", ".join(times + words), body) if times or words else body

    def dense(self, dense: Dense, seen: NumberedModules | None) -> Sketch:
        """Return the sketch of one dense layer: its input bypasses it, and is concatenated with its output."""
        (inner,) = _seen_of((dense.layer,), seen)
        words = ["dense", f"{TIMES} {_times(dense.repeat)}", *said_of(dense, ("layer", "repeat"))]
        return Framed(", ".join(words), Paths((self.sketch(dense.layer, inner), Row()), "concat"))

    def residual(self, residual: Residual, seen: NumberedModules | None) -> Sketch:
        """Return the sketch of a body and its shortcut, with the opening before and the activation after both."""
        optional = residual.gate, residual.opening, residual.activation
        nodes = (residual.body, residual.shortcut, *(each for each in optional if each is not None))
        body, shortcut, *rest = self.several(nodes, seen)
        if residual.gate is not None:
            body = Row((body, Framed(f"{TIMES} gate of body and shortcut", rest.pop(0))))
        scaled = "" if residual.scale == 1.0 else f" {value_of(residual.scale)} {TIMES}"
        total: Sketch = Paths((body, shortcut), f"add{scaled}")
        before = [rest.pop(0)] if residual.opening is not None else []
        return Row((*before, total, *rest)) if before or rest else total

    def other(self, node: Any, seen: NumberedModules | None) -> Sketch:
        """Return the sketch of any other node that holds nodes: a frame around them, titled with its other fields."""
        held = held_by(node)
        parts = [part for value in held.values() for part in tuple_of(value)]
        title = ", ".join((node_label(node), *said_of(node, held)))
        made = tuple(self.several(tuple(parts), seen))
        return Framed(title, made[0] if len(made) == 1 else Paths(made, ""))

    def choice(self, choice: Choice) -> Sketch:
        """Return the sketch of an open choice: a list of operations, or the sketches of its options below each other."""
        listed = options_of(choice)
        picks = "one" if choice.k is None else str(choice.k)
        key = self.keys.get(listed, "")
        title = f"{choice.name}: {picks} of {key or len(choice.options)}"
        if listed:
            return Block(title, options=listed, key=key, is_open=True, spelt=_spelt(choice))
        # options that differ in one number or word, such as kernels, are drawn as one option with the values listed in it
        only = None if choice.k is not None or choice.supernet_only else pulled_in(choice.name, choice.options)
        if only is not None:
            return self.sketch(only)
        parts = tuple(map(self.sketch, (*choice.options, *choice.supernet_only)))
        return Framed(title, Paths(parts, ""), is_open=True)

    def network(self, network: Network, seen: NumberedModules | None) -> Sketch:
        """Return the sketch of a network: its stages from the stem to the head, and its auxiliary heads."""
        return Levels(tuple(self.levels(network, seen)), tuple(self.asides(network)))

    def levels(self, network: Network, seen: NumberedModules | None) -> Iterator[Level]:
        """Yield the stages from the stem to the head; a run of equal stages is one level."""
        stages = tuple_of(network.stages)
        members = [
            [stage.body] * stage.repeat if isinstance(stage, Stage) and stage.is_plain else [stage] for stage in stages
        ]
        flat = [node for layer in members for node in layer]
        # equal nodes are matched in the order in which a network builds them: the layers, the head, the stem
        *found, head, stem = _seen_of((*flat, network.head, network.stem), seen)
        yield self.level("stem", "", network.stem, [stem])
        start = 0
        for i, (_, run) in enumerate(groupby(enumerate(stages), _alike)):
            numbers = [number for number, _ in run]
            layers = sum(len(members[number]) for number in numbers)
            yield self._stage_level(str(i + 1), [stages[number] for number in numbers], found[start : start + layers])
            start += layers
        yield self.level("head", "", network.head, [head])

    def _stage_level(self, name: str, stages: list[Any], seen: list[NumberedModules | None]) -> Level:
        first = stages[0]
        if not isinstance(first, Stage) or not first.is_plain:
            return self.level(name, _repeated(len(stages)), first, seen)
        words = said_of(first, ("body", "repeat"))
        repeat = _repeated(first.repeat * len(stages))
        if not holds_nodes(first.body):
            return self._numbered(Level(name, repeat, block(first.body, words, seen[0])), seen)
        level = Level(name, repeat, self.sketch(first.body, seen[0]), ", ".join(words))
        return self._numbered(level, seen)

    def level(self, name: str, repeat: str, node: Any, seen: list[NumberedModules | None]) -> Level:
        """Return one line of a network's table; `seen` are the records of its modules."""
        part = self.sketch(node, seen[0])
        # the stage's card is a frame already: take the part out of its own, and keep the title
        if isinstance(part, Framed) and not part.is_open:
            return self._numbered(Level(name, repeat, part.part, part.title), seen)
        return self._numbered(Level(name, repeat, part), seen)

    def _numbered(self, level: Level, seen: list[NumberedModules | None]) -> Level:
        known = [each for each in seen if each is not None]
        if len(known) < len(seen):
            return level
        output = f" {TIMES} ".join(str(size) for size in known[-1].output)
        return replace(level, output=output, params=sum(each.params for each in known))

    def asides(self, network: Network) -> Iterator[Level]:
        """Yield the auxiliary heads."""
        for each in tuple_of(network.auxiliary):
            if each is not None:
                head = getattr(each, "head", None)
                part = Block(node_label(each), kind=kind_of(each)) if head is None else self.sketch(head)
                after = value_of(getattr(each, "after", "?"))
                yield Level("", "", part, f"in training, after layer {after}")


def block(node: Any, words: list[str] | None = None, seen: NumberedModules | None = None) -> Block:
    """Return the sketch of a node that holds no others; `words` describe its stage."""
    details = [*said_of(node), *(words or ())]
    # with a record, the number of output channels replaces a declared width or ratio
    if seen is not None and kind_of(node) not in ("classifier", "norm, activation"):
        details = [each for each in details if not each.endswith(" channels") and not each.startswith(TIMES)]
        details.insert(0, str(seen.output[0]))
    return Block(node_label(node), wrap_words(details), kind_of(node), is_open=is_open(node), spelt=_spelt(node))


def _alike(numbered: tuple[int, Any]) -> Any:
    """Return the key by which equal stages in a row are merged; strided stages are never merged."""
    number, stage = numbered
    return (number, stage) if isinstance(stage, Stage) and stage.stride != 1 else (None, stage)


def _seen_of(nodes: tuple[Any, ...], seen: NumberedModules | None) -> list[NumberedModules | None]:
    return [None] * len(nodes) if seen is None else seen.of(nodes)


def _times(repeat: Any) -> str:
    return f"({value_of(repeat)})" if isinstance(repeat, Choice) else str(repeat)


def _repeated(times: int) -> str:
    return f"{TIMES} {times}" if times > 1 else ""


def _spelt(node: Any) -> str:
    text = notation(node)
    return text if len(text) <= 400 else f"{text[:399]}…"
