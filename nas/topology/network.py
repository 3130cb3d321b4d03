"""Network: a stem, stages of cells or other nodes, a classifier and optional auxiliary classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site, inputs_of
from nas.choice import SpaceError, is_open
from nas.operations.conv import relu_conv_norm
from nas.records import Natural, Positive, RecordError, record
from nas.topology.chain import Stage


@record
class Auxiliary(Node):
    """Classify an inner map, so that training reaches the lower layers: pooling 5x5, 1x1 to 128, full size to 768.

    `after` is the layer that it reads; 0 is the first after the stem. Of a layer with inner maps, such as `MultiScale`, it reads
    the map `part`. In ImageNet form the released DARTS code has no last batch norm (`last_norm` False) and pools with stride
    2; its CIFAR form pools with stride 3. We follow the code. A custom `head` replaces all this.
    """

    after: Natural
    classes: Positive = 10
    stride: Positive = 3
    last_norm: bool = True
    head: Node | None = None
    part: Natural | None = None

    def build(self, site: Site) -> nn.Module:
        if self.head is not None:
            return site.build(self.head)
        channels, *size = site.shape
        if min(size) < 5:
            raise BuildError(
                f"the auxiliary head pools 5x5, and its map is {size}: leave it out, or enlarge the images"
            )
        height, width = ((each - 5) // self.stride + 1 for each in size)
        parts = [nn.ReLU(), nn.AvgPool2d(5, self.stride, count_include_pad=False)]
        parts += [*relu_conv_norm((channels, 128))[1:], nn.ReLU(), nn.Conv2d(128, 768, (height, width), bias=False)]
        parts += [nn.BatchNorm2d(768)] if self.last_norm else []
        return nn.Sequential(*parts, nn.ReLU(), nn.Flatten(), nn.Linear(768, self.classes))


@record
class Network(Node):
    """A whole image classifier: takes (B, C, H, W), returns logits (B, classes).

    With auxiliary heads it returns (logits, auxiliary logits, ...) in training mode. A node with two inputs reads the last
    two outputs; the first after the stem reads the stem's twice. A stage without channels keeps the input width, times its
    ratio.
    """

    stem: Node
    stages: tuple[Node, ...]
    head: Node
    auxiliary: Auxiliary | tuple[Auxiliary, ...] | None = None

    def build(self, site: Site) -> nn.Module:
        shapes, layers, parts = [site.output(self.stem)], [], list[tuple[Shape, ...]]()
        # `before` is the index in `shapes` of the other input of a layer with two.
        for i, (node, channels, stride, before) in enumerate(self._layers()):
            inner = site.put(shapes[i], channels or shapes[i][0], stride, shapes[before] if i else None)
            try:
                layers.append((inner.build(node), before if inputs_of(node) == 2 else None))
                shapes.append(inner.output(node))
                parts.append(inner.parts(node))
            except BuildError as error:
                raise BuildError(f"layer {i} of the network, on a map of {shapes[i]}: {error}") from None
        head = site.put(shapes[-1], shapes[-1][0]).build(self.head)
        auxiliary = list(self._build_auxiliary(site, shapes[1:], parts))
        return _NetworkModule(site.build(self.stem), layers, head, auxiliary)

    def shape(self, site: Site) -> Shape:
        return self.head.shape(site)

    def _layers(self) -> Iterator[tuple[Node, int | None, int, int]]:
        """Yield each layer's node, width, stride and other input besides the last output: 0 the stem's, 1 the first layer's.

        In a supernet a stage whose depth or width is open is one layer.
        """
        # Output 0 is the stem's and output i + 1 that of layer i. Layer i reads output i and, with two inputs, output i - 1.
        i = 0
        for stage in self.stages:
            if not isinstance(stage, Stage) or not stage.is_plain:
                yield stage, None, 1, max(i - 1, 0)
                i += 1
                continue
            for repetition, (node, stride) in enumerate(stage.members()):
                skips = 2 if stage.skip_reduction and repetition == 0 else 1
                yield node, stage.channels, stride, max(i - skips, 0)
                i += 1

    def places(self) -> list[tuple[int, int]]:
        """Return, for each layer, the number of its stage and its number in that stage."""
        known = [stage.repeat if isinstance(stage, Stage) and stage.is_plain else 1 for stage in self.stages]
        return [(i, repetition) for i, repeat in enumerate(known) for repetition in range(repeat)]

    def _build_auxiliary(
        self, site: Site, outputs: list[Shape], parts: list[tuple[Shape, ...]]
    ) -> Iterator[tuple[Auxiliary, nn.Module]]:
        declared = self.auxiliary if isinstance(self.auxiliary, tuple) else (self.auxiliary,)
        for head in declared:
            if head is None:
                continue
            if is_open(head):
                raise SpaceError("the auxiliary head is open, and does not relax: resolve it first, or leave it out")
            if head.after >= len(outputs):
                raise BuildError(
                    f"the auxiliary head reads layer {head.after}, and the last is {len(outputs) - 1}: give a lower one"
                )
            if head.part is not None and head.part >= len(parts[head.after]):
                raise BuildError(
                    f"the auxiliary head reads part {head.part} of layer {head.after}, which has {len(parts[head.after])}: "
                    "give a lower one, or none"
                )
            shape = outputs[head.after] if head.part is None else parts[head.after][head.part]
            yield head, site.put(shape, shape[0]).build(head)


class _NetworkModule(nn.Module):
    """The modules of a network. `befores` holds the other input of each layer with two inputs, else None.

    An output is freed after the last layer that reads it: `read_last` holds, for each layer, the outputs that no later layer
    reads.
    """

    def __init__(
        self,
        stem: nn.Module,
        layers: list[tuple[nn.Module, int | None]],
        head: nn.Module,
        auxiliary: list[tuple[Auxiliary, nn.Module]],
    ) -> None:
        super().__init__()
        self.stem, self.head = stem, head
        self.layers = nn.ModuleList(layer for layer, _ in layers)
        self.befores = [before for _, before in layers]
        # Layer i reads output i (0 is the stem) and perhaps an earlier one.
        reads = [{i, i if before is None else before} for i, before in enumerate(self.befores)]
        self.read_last = [read - set().union(*reads[i + 1 :]) for i, read in enumerate(reads)]
        self.auxiliary = nn.ModuleList(head for _, head in auxiliary)
        self.auxiliary_reads = [(node.after, node.part) for node, _ in auxiliary]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = {0: self.stem(x)}
        auxiliary_logits: list[Tensor] = []
        for i, (layer, before) in enumerate(zip(self.layers, self.befores, strict=True)):
            # Auxiliary heads run in training only, so evaluation costs nothing for them.
            heads = self._heads_after(i) if self.training else []
            inputs = (outputs[i],) if before is None else (outputs[before], outputs[i])
            reads_parts = any(part is not None for part, _ in heads)
            parts = cast(Any, layer).parts(*inputs) if reads_parts else [layer(*inputs)]
            outputs[i + 1] = parts[-1]
            auxiliary_logits += [head(parts[-1 if part is None else part]) for part, head in heads]
            for done in self.read_last[i]:
                del outputs[done]
        logits: Tensor = self.head(outputs[len(self.layers)])
        return (logits, *auxiliary_logits) if auxiliary_logits else logits

    def _heads_after(self, layer: int) -> list[tuple[int | None, nn.Module]]:
        """Return the auxiliary heads of a layer, each with the part that it reads, None for the output."""
        known = zip(self.auxiliary_reads, self.auxiliary, strict=True)
        return [(part, head) for (after, part), head in known if after == layer]


def with_classes(network: Node, classes: int | None = None) -> Node:
    """Return a network whose heads all have `classes` classes; unchanged where `classes` is None.

    Raises RecordError where nothing in it has `classes`.
    """
    if classes is None:
        return network
    changed: Node = _with_field(network, "classes", classes)
    if changed is network:
        raise RecordError(
            f"the network has no head whose number of classes could be {classes}: give it one, as Classifier"
        )
    return changed


def with_batch_norms(network: Network, norm: Node) -> Network:
    """Return a network whose fields `norm` hold a norm instead of "batch"."""
    changed: Network = _with_field(network, "norm", norm, "batch")
    return changed


def _with_field(tree: Any, name: str, value: Any, before: Any = None) -> Any:
    """Return a tree with every field of a name set, if `before` is given where it is that; itself where there is none."""
    if isinstance(tree, tuple):
        parts = tuple(_with_field(part, name, value, before) for part in tree)
        return tree if all(new is old for new, old in zip(parts, tree, strict=True)) else parts
    if not is_dataclass(tree):
        return tree
    record: Any = tree
    held = {field.name: getattr(record, field.name) for field in fields(record)}
    is_set = name in held and (before is None or held[name] == before)
    inner = {key: _with_field(each, name, value, before) for key, each in held.items()}
    changed = {**inner, name: value} if is_set else inner
    is_changed = is_set or any(held[key] is not each for key, each in changed.items())
    return replace(record, **changed) if is_changed else tree
