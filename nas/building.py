"""Building: a tree of nodes becomes a torch module.

A node knows only its `Site`: the input shape, the requested width and stride, and the relaxation that builds open choices.
One declaration therefore serves the network that is trained, the supernet with open choices, and the profile on `meta`
tensors.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

from torch import nn

from nas.choice import SCALARS
from nas.fields import conform, shown, wrong
from nas.records import Positive, RecordError
from nas.space import Choice, SpaceError

Shape = tuple[int, int, int]
"""Channels, height and width (C, H, W) of one image or feature map."""


LARGEST = 10_000
"""The most nodes a network may have, repeats counted."""


class BuildError(RecordError):
    """A node that cannot be built where it was put; the message names the node and what to change."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a module is built: all that a node knows of its surroundings.

    `shape` is the input shape (C, H, W); `channels` and `stride` are the requested ones. `before` is the shape of the output
    before the input, for cells with two inputs; None in the first cell of a network. A supernet sets `relaxation`, and `affine`
    to False for the norms inside its cells. `watch` is called with each module that is built, its node and its site.
    """

    shape: Shape
    channels: int
    stride: int = 1
    before: Shape | None = None
    affine: bool = True
    relaxation: Relaxation | None = None
    watch: Callable[[nn.Module, Node, Site], None] | None = field(default=None, compare=False)

    def put(self, shape: Shape, channels: int | None = None, stride: int = 1, before: Shape | None = None) -> Site:
        """Return a site inside this one."""
        return replace(self, shape=shape, channels=channels or self.channels, stride=stride, before=before)

    def build(self, node: Node) -> nn.Module:
        """Build a node here; the relaxation builds an open choice. Raises SpaceError where there is no relaxation."""
        node = lift_choices(_checked(node))
        module = self.relaxed(node).relax(node, self) if isinstance(node, Choice) else node.build(self)
        if self.watch is not None:
            self.watch(module, node, self)
        return module

    def output(self, node: Node) -> Shape:
        """Return the output shape of a node built here. Raises SpaceError where the options of a choice differ in it."""
        node = lift_choices(_checked(node))
        if not isinstance(node, Choice):
            return node.shape(self)
        shapes = {self.output(option) for option in node.options}
        if len(shapes) > 1:
            raise SpaceError(
                f"choice {node.name!r} does not relax: its options give {_listed(shapes)} (C, H, W), and a supernet can mix "
                "only outputs of one shape; resolve it first, or search it by evolution"
            )
        return shapes.pop()

    def parts(self, node: Node) -> tuple[Shape, ...]:
        """Return the shapes of a node's inner maps that auxiliary heads may read; an open choice has none."""
        node = lift_choices(_checked(node))
        return () if isinstance(node, Choice) else node.parts(self)

    def relaxed(self, choice: Choice) -> Relaxation:
        """Return the relaxation that builds an open choice. Raises SpaceError where the site has none."""
        if self.relaxation is None:
            raise SpaceError(f"choice {choice.name!r} is still open: resolve the space, or give a relaxation")
        return self.relaxation


class Node(ABC):
    """A part of a network: a record that can build itself at a site."""

    example: ClassVar[str] = "Activation('relu') or ConvNormAct(3)"
    """An example of a node, for the error of a value that is none."""

    relaxes: ClassVar[frozenset[str]] = frozenset()
    """The fields whose open choices the node itself builds, although they hold no nodes."""

    repeating: ClassVar[frozenset[str]] = frozenset()
    """The fields that hold how often the node repeats its content."""

    @property
    def inputs(self) -> int:
        """The number of earlier outputs that the module reads: 1, the last; or 2, the one before it and the last."""
        return 1

    @abstractmethod
    def build(self, site: Site) -> nn.Module:
        """Return a module that takes `inputs` tensors (B, C, H, W) and returns one of shape (B, *self.shape(site))."""

    def shape(self, site: Site) -> Shape:
        """Return the output shape (C, H, W): by default the requested width, and the input size over the stride, rounded up."""
        _, height, width = site.shape
        return site.channels, math.ceil(height / site.stride), math.ceil(width / site.stride)

    def parts(self, site: Site) -> tuple[Shape, ...]:
        """Return the shapes of inner maps that auxiliary heads of a network may read: by default none.

        The module's method `parts` returns them for an input (B, C, H, W), the last being the output.
        """
        return ()


class Relaxation(ABC):
    """How a supernet builds open choices: one module from the modules of all options."""

    @abstractmethod
    def relax(self, choice: Choice, site: Site) -> nn.Module:
        """Return one module for all options of a `one_of`."""

    def weigh(self, choice: Choice, index: int, module: nn.Module) -> nn.Module:
        """Return the module of option `index`, weighted, where the outputs of several options are added: edges, input states."""
        if choice.k is None:
            raise SpaceError(f"choice {choice.name!r} does not relax here: resolve it first, or search it by evolution")
        return module

    def depths(self, choice: Choice, layers: Sequence[nn.Module]) -> nn.Module:
        """Return the chain of `layers` in which a `one_of` over numbers decides how many are applied."""
        raise SpaceError(
            f"choice {choice.name!r} does not relax: it is a depth; resolve it first, or search it by evolution"
        )


def _checked(node: Any) -> Any:
    if not isinstance(node, Node | Choice):
        raise BuildError(f"{shown(node)} is not a node: give one, as {Node.example}")
    return node


def lift_choices(node: Any) -> Any:
    """Return a node with an open field as the choice among its closed nodes; other nodes are returned as they are.

    `SepConv(one_of("kernel", [3, 5]))` becomes a choice of two nodes. A choice of nodes stays in its field: the node that holds
    it relaxes it, and so its options share what surrounds them.
    """
    if not isinstance(node, Node):
        return node
    for name in getattr(node, "__dataclass_fields__", ()):
        value = getattr(node, name)
        if isinstance(value, Choice) and name not in node.relaxes:
            if value.k is not None:
                return value  # several parts at once: no single node replaces them
            # An open number or word, such as the kernel: each option is a separate node with separate weights.
            if not all(isinstance(option, Node | Choice) for option in value.options):
                return _among(node, name, value, value.options)
        # The same for one open entry of a tuple of numbers, such as a kernel (1, 3).
        if isinstance(value, tuple):
            for i, choice in enumerate(value):
                if isinstance(choice, Choice) and all(type(each) in SCALARS for each in choice.options):
                    return _among(node, name, choice, [(*value[:i], each, *value[i + 1 :]) for each in choice.options])
    return node


def _among(node: Any, name: str, choice: Choice, values: Iterable[Any]) -> Choice:
    """Return the choice among copies of a node, each with one of `values` in the field `name`."""
    return Choice(choice.name, tuple(replace(node, **{name: each}) for each in values))


def inputs_of(node: Any) -> int:
    """Return the number of outputs that a node reads. Raises BuildError where the options of a choice differ in it."""
    if not isinstance(node, Choice):
        return int(node.inputs)
    read = {inputs_of(option) for option in node.options}
    if len(read) > 1:
        raise BuildError(f"choice {node.name!r} has options with one input and with two: give all the same number")
    return read.pop()


def require_single_input(node: Any) -> Any:
    """Return a node that is to be built with one input. Raises BuildError where it reads two, such as a cell of DARTS."""
    if inputs_of(node) > 1:
        raise BuildError(
            f"a {type(node).__name__} with two inputs gets only one here: put it into a stage of the network whose width and "
            "depth are decided"
        )
    return node


def _listed(shapes: set[Shape]) -> str:
    return " and ".join(str(shape) for shape in sorted(shapes))


def count_parts(tree: Any) -> int:
    """Return the number of nodes that are built for a tree, with repeats and with all options of an open choice."""
    if isinstance(tree, tuple):
        return sum(map(count_parts, tree))
    if isinstance(tree, Choice):
        return sum(map(count_parts, tree.options))
    if not is_dataclass(tree):
        return 0
    held: dict[str, Any] = {field.name: getattr(tree, field.name) for field in fields(tree)}
    repeating: frozenset[str] = getattr(tree, "repeating", frozenset())
    times: list[Any] = [held.pop(name) for name in repeating]
    each = int(isinstance(tree, Node)) + sum(map(count_parts, held.values()))
    # A supernet builds an open `repeat` at its largest depth.
    return each * math.prod(int(max(time.options) if isinstance(time, Choice) else time) for time in times)


def build(tree: Node, input: Shape = (3, 32, 32), relaxation: Relaxation | None = None) -> nn.Module:
    """Return the torch module of a network, for images of shape `input` (C, H, W).

    With a relaxation, a space becomes its supernet. Raises SpaceError where a choice is open and no relaxation is given.
    """
    if not isinstance(relaxation, Relaxation | None):
        raise wrong(relaxation, "a Relaxation, or None", "relaxation")
    shape = image_shape(input)
    if (parts := count_parts(tree)) > LARGEST:
        raise BuildError(f"the network has {parts:,} nodes, repeats included: at most {LARGEST:,} can be built")
    return Site(shape, channels=shape[0], relaxation=relaxation).build(tree)


def image_shape(input: Any) -> Shape:
    """Return the shape of an image as a tuple. Raises BuildError where it is not (C, H, W), each at least 1."""
    try:
        shape: Shape = conform(input, tuple[Positive, Positive, Positive], "input")
    except RecordError:
        raise BuildError(
            f"the image shape is {shown(input)}: give (channels, height, width), without a batch dimension"
        ) from None
    return shape
