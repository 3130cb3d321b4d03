"""Tracing: a forward that loops over lists and tables is unrolled step by step with torch.fx, as in a paper's listing."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx import Tracer as FxTracer
from torch.nn import functional

from nas.export.source.forward import Forward, NotExpressible, method
from nas.export.source.origins import Examples, undecided
from nas.export.source.terms import Argument, Call, Listed, Literal, Name, Term, Total, flat, is_literal, statement
from nas.operations.drop_path import DropPath
from nas.records import one_line

_INFIX = {
    operator.add: ("+", 1),
    operator.sub: ("-", 1),
    operator.mul: ("*", 2),
    operator.truediv: ("/", 2),
    operator.floordiv: ("//", 2),
    operator.mod: ("%", 2),
    operator.pow: ("**", 4),
}
"""The infix operators with their sign and precedence."""

# the precedence of a minus sign, and of names, calls and literals
_SIGNED = 3
_ATOM = 5
_LONG = 60
"""A longer expression gets a separate line."""


def trace(module: nn.Module, name: str, examples: Examples) -> Forward:
    """Return the forward of a module in evaluation mode. Raises NotExpressible where it depends on the values of tensors."""
    try:
        with undecided():
            graph = _Tracer(name, examples).trace(module)
        return _Writer(graph, module).forward()
    except NotExpressible:
        raise
    except Exception as error:  # noqa: BLE001, whatever a module's own code does with what is no tensor
        raise NotExpressible(one_line(error)) from None


class _Value(fx.Proxy):
    """A proxy of a tensor, or of a number of its shape, with an example on the `meta` device."""

    _is_param = False

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance(value, Tensor) holds
        return Tensor if isinstance(self.node.meta.get("example"), Tensor) else _Value

    def __iter__(self) -> Iterator[Any]:
        example = self.node.meta["example"]
        if isinstance(example, Tensor):
            raise NotExpressible("it iterates over a tensor: process the whole batch at once")
        return (operator.getitem(cast(Any, self), i) for i in range(len(example)))

    def dim(self) -> int:
        return int(self.node.meta["example"].dim())

    @property
    def ndim(self) -> int:
        return self.dim()


class _Tracer(FxTracer):
    """A tracer of a single module: submodules are called, not entered."""

    proxy_buffer_attributes = True

    def __init__(self, name: str, examples: Examples) -> None:
        super().__init__()
        self.name, self.examples = name, examples

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Value(node, self)

    def create_arg(self, a: Any) -> Any:
        if type(a) is _Value:
            return a.node
        if isinstance(a, Tensor):
            raise NotExpressible("it creates a tensor: register it as a buffer")
        return super().create_arg(a)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        given = self.examples.given.get(self.name)
        if given is None:
            raise NotExpressible("it is never called")
        # as in torch.fx, but each input has the example that this module got when the whole model ran
        names = ["x"] if len(given) == 1 else [f"x{i}" for i in range(len(given))]
        proxies = []
        for name, example in zip(names, given, strict=True):
            value = self.create_proxy("placeholder", name, (), {})
            value.node.meta["example"] = example
            proxies.append(value)
        return root_fn, [self.root, *proxies]

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> fx.Node:
        node = super().create_node(kind, target, args, kwargs, *rest, **more)
        if kind not in ("placeholder", "output"):
            node.meta["example"] = self._example(node)
        return node

    def _example(self, node: fx.Node) -> Any:
        """Return what a step gives for the examples, so that code which asks for shapes can be traced."""
        if node.op == "call_module":
            return self.examples.gave.get(f"{self.name}.{node.target}".lstrip("."))
        if node.op == "get_attr":
            held = {**dict(self.root.named_parameters()), **dict(self.root.named_buffers())}
            return held[str(node.target)].to("meta")
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda each: each.meta["example"])
        with torch.device("meta"), torch.no_grad():
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            return node.target(*args, **kwargs)  # type: ignore[operator]


class _Writer:
    """A writer of a graph as statements: a value used once, right away, is written inside the expression that uses it.

    `terms` holds the term of each node with its precedence; `waiting` are values that have no name yet.
    """

    def __init__(self, graph: fx.Graph, root: nn.Module) -> None:
        self.graph, self.root = graph, root
        self.terms: dict[fx.Node, tuple[Term, int]] = {}
        self.body: list[str] = []
        self.waiting: list[fx.Node] = []
        self.imports: set[str] = set()
        self.attributes: dict[str, None] = {}
        self.is_wired, self.counts = False, 0

    def forward(self) -> Forward:
        arguments = []
        for node in self.graph.nodes:
            if node.op == "placeholder":
                arguments.append(str(node.target))
                self.terms[node] = Name(str(node.target)), _ATOM
            elif node.op == "output":
                self._end(node.args[0])
            elif self._is_dropping(node):
                node.replace_all_uses_with(node.all_input_nodes[0])
            else:
                self._step(node)
        return Forward(
            method(arguments, self.body), tuple(self.attributes), self.is_wired, imports=frozenset(self.imports)
        )

    def _is_dropping(self, node: fx.Node) -> bool:
        return node.op == "call_module" and isinstance(self.root.get_submodule(str(node.target)), DropPath)

    def _step(self, node: fx.Node) -> None:
        inside = [each for each in dict.fromkeys(node.all_input_nodes) if each in self.waiting]
        if not self._keeps_order(inside) or any(len(flat(self.terms[each][0])) > _LONG for each in inside):
            self._settle(len(self.waiting))
        self.waiting = [each for each in self.waiting if each not in inside]
        self.terms[node] = self._written(node)
        # weights are read, not computed, so they can be written anywhere
        if node.op != "get_attr":
            self.waiting.append(node)
        if len(node.users) > 1:
            self._settle(len(self.waiting))

    def _keeps_order(self, inside: list[fx.Node]) -> bool:
        """Return whether values may be written where they are used, without changing the order of calls."""
        # an expression evaluates its calls from left to right: the order stays where it uses all last values in order, or
        # where the values that it would jump over are no calls
        behind = self.waiting[min(map(self.waiting.index, inside), default=len(self.waiting)) :]
        return inside == behind or all(node.target in _INFIX or node.target is operator.getitem for node in behind)

    def _settle(self, count: int) -> None:
        """Assign the first `count` waiting values to variables."""
        for node in self.waiting[:count]:
            self.counts += 1
            name = f"y{self.counts}"
            self.body += statement(f"{name} = ", self.terms[node][0])
            self.terms[node] = Name(name), _ATOM
        self.waiting = self.waiting[count:]

    def _end(self, result: Any) -> None:
        if not isinstance(result, fx.Node):
            raise NotExpressible("it does not return a single tensor")
        self._settle(len(self.waiting) - (result in self.waiting))
        self.body += statement("return ", self.terms[result][0])

    def _written(self, node: fx.Node) -> tuple[Term, int]:
        target: Any = node.target
        if node.op == "get_attr":
            return Name(self._part(target)), _ATOM
        if node.op == "call_module":
            return Call(self._part(target), self._arguments(node.args, node.kwargs)), _ATOM
        if node.op == "call_method":
            first, *rest = node.args
            return Call(f"{self._text(first, _ATOM)}.{target}", self._arguments(rest, node.kwargs)), _ATOM
        if target is operator.add:
            return self._added(*node.args), 1
        if target in _INFIX:
            sign, binds = _INFIX[target]
            # ** groups to the right and binds tighter than a sign, so only an atom stands left of it without brackets; the
            # other operators group to the left
            left, right = (binds + 1, _SIGNED) if target is operator.pow else (binds, binds + 1)
            return Name(f"{self._text(node.args[0], left)} {sign} {self._text(node.args[1], right)}"), binds
        if target is operator.neg:
            return Name(f"-{self._text(node.args[0], _SIGNED)}"), _SIGNED
        if target is operator.getitem:
            return Name(f"{self._text(node.args[0], _ATOM)}[{self._index(node.args[1])}]"), _ATOM
        if target is getattr:
            return Name(f"{self._text(node.args[0], _ATOM)}.{node.args[1]}"), _ATOM
        return Call(self._function(target), self._arguments(node.args, node.kwargs)), _ATOM

    def _added(self, first: Any, second: Any) -> Term:
        # (a + b) + c is written a + b + c; a + (b + c) keeps its brackets, as rounding depends on the order
        before = self._term(first)
        operands = before.operands if isinstance(before, Total) else (before,)
        is_sum = isinstance(second, fx.Node) and self.terms[second][1] == 1
        return Total((*operands, Name(self._text(second, 2)) if is_sum else self._term(second)))

    def _part(self, target: str) -> str:
        first, *rest = target.split(".")
        self.attributes[first] = None
        self.is_wired = self.is_wired or any(each.isdigit() for each in rest)
        return "self." + first + "".join(f"[{each}]" if each.isdigit() else f".{each}" for each in rest)

    def _function(self, target: Any) -> str:
        name = getattr(target, "__name__", "")
        if getattr(torch, name, None) is target:
            self.imports.add("import torch")
            return f"torch.{name}"
        if getattr(functional, name, None) is target:
            self.imports.add("from torch.nn import functional")
            return f"functional.{name}"
        raise NotExpressible(f"it calls {name or target}")

    def _arguments(self, args: Any, kwargs: Any) -> tuple[Argument, ...]:
        named = (Argument(self._term(each), name) for name, each in kwargs.items())
        return (*(Argument(self._term(each)) for each in args), *named)

    def _index(self, index: Any) -> str:
        if isinstance(index, tuple):
            return ", ".join(map(self._index, index))
        if isinstance(index, slice):
            parts = ["" if each is None else self._text(each) for each in (index.start, index.stop)]
            parts += [] if index.step is None else [self._text(index.step)]
            is_simple = all(re.fullmatch(r"\w*|-\d+", part) for part in parts)
            return ":".join(parts) if is_simple else " : ".join(parts).strip()
        return "..." if index is ... else self._text(index)

    def _text(self, value: Any, binds: int = 0) -> str:
        text = flat(self._term(value))
        own = _SIGNED if text.startswith("-") else _ATOM
        if isinstance(value, fx.Node):
            own = self.terms[value][1]
        return f"({text})" if own < binds else text

    def _term(self, value: Any) -> Term:
        if isinstance(value, fx.Node):
            return self.terms[value][0]
        if isinstance(value, list):
            return Listed(tuple(map(self._term, value)))
        if isinstance(value, tuple) and not is_literal(value):
            return Name(f"({', '.join(map(self._text, value))}{',' if len(value) == 1 else ''})")
        if isinstance(value, torch.dtype):
            self.imports.add("import torch")
            return Name(str(value))
        if not is_literal(value):
            raise NotExpressible(f"it uses {value!r}")
        return self._number(value) or Literal(value)

    def _number(self, value: Any) -> Name | None:
        """Return the module's attribute that holds this float (the same object), so that modules may differ in it."""
        named = [name for name, each in vars(self.root).items() if isinstance(value, float) and each is value]
        if len(named) != 1:
            return None
        self.attributes[named[0]] = None
        return Name(f"self.{named[0]}")
