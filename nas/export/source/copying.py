"""Copying: a forward's source code is taken over as its author wrote it, with the functions that it calls."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from nas.export.source.forward import IMPORTS, TAKEN, Forward, NotExpressible
from nas.export.source.terms import is_literal, written_term
from nas.operations.drop_path import DropPath


def copy(module: nn.Module) -> Forward:
    """Copy the methods that `forward` needs. Raises NotExpressible where they use names that the file cannot have."""
    copied = _Copied(type(module))
    copied.take("forward")
    methods = [copied.methods[name] for name in sorted(copied.methods, key=lambda name: name != "forward")]
    lines: list[str] = []
    for text in methods:
        lines += ([""] if lines else []) + textwrap.indent(text, "    ").splitlines()
    return Forward(tuple(lines), tuple(copied.attributes), False, frozenset(copied.imports), copied.helpers)


def is_straight(module: nn.Module) -> bool:
    """Return whether a forward is straight-line code: no loops, no conditions, no drop path, no lists as attributes."""
    if any(isinstance(part, DropPath) for part in module.children()):
        return False
    try:
        tree = ast.parse(_text(type(module).forward))
    except NotExpressible:
        return False
    turns = (ast.For, ast.While, ast.If, ast.IfExp, ast.comprehension)
    return not any(isinstance(node, turns) for node in ast.walk(tree)) and not (
        any(isinstance(getattr(module, name, 0), list | tuple | dict) for name in _read(tree))
    )


def _text(function: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError):
        raise NotExpressible(
            f"the source of {getattr(function, '__name__', function)} is in no file: put it into one"
        ) from None


def _read(tree: ast.AST) -> Iterator[str]:
    """Yield the attributes of `self` that code reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr


class _Copied:
    """The methods, helpers and imports that are copied for one class."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.methods: dict[str, str] = {}
        self.attributes: dict[str, None] = {}
        self.imports: set[str] = set()
        self.helpers: dict[str, str] = {}

    def take(self, name: str) -> None:
        function = inspect.unwrap(getattr(self.cls, name))
        if not isinstance(function, FunctionType) or function.__module__.startswith("torch."):
            raise NotExpressible(f"its {name} is torch's own")
        self.methods[name] = text = _text(function)
        tree = ast.parse(text)
        for attribute in _read(tree):
            # other methods of the class are copied too, but not those that nn.Module has anyway
            found = inspect.getattr_static(self.cls, attribute, None)
            if isinstance(found, FunctionType) and not hasattr(nn.Module, attribute):
                if attribute not in self.methods:
                    self.take(attribute)
            elif isinstance(found, property | staticmethod | classmethod):
                raise NotExpressible(f"it reads self.{attribute}, which is a {type(found).__name__}: make it a method")
            elif attribute != "training":
                self.attributes[attribute] = None
        self._names(tree, function)

    def _names(self, tree: ast.AST, function: FunctionType) -> None:
        """Resolve each global name in a piece of code, and note what it needs."""
        # local variables and parameters; what is left are globals and builtins
        own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id not in own:
                if node.id == "super":
                    raise NotExpressible("it calls super(), whose class is not exported: repeat its code")
                if node.id in function.__globals__:
                    self._need(node.id, function.__globals__[node.id])
                elif not hasattr(builtins, node.id) and node.id != function.__name__:
                    raise NotExpressible(f"it uses {node.id}, which is no global of its module")

    def _need(self, name: str, value: Any) -> None:
        home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        line = _line(name, value, home)
        if name in TAKEN and IMPORTS.get(name, name) != line:
            raise NotExpressible(f"it uses {name}, a name that every written file defines otherwise: rename it")
        if line is not None:
            self.imports.add(line)
        elif is_literal(value):
            self.helpers[name] = f"{name} = {written_term(value)}"
        elif isinstance(value, FunctionType) and not _is_allowed(home):
            self._function(name, value)
        else:
            raise NotExpressible(f"it uses {name} of {home}: write it with only torch and the standard library")

    def _function(self, name: str, function: Callable[..., Any]) -> None:
        if name not in self.helpers and isinstance(function, FunctionType):
            if function.__name__ == "<lambda>":
                raise NotExpressible(f"it calls a lambda, {name}: make it a function")
            if function.__name__ != name:
                raise NotExpressible(f"it calls {function.__name__} by the name {name}: use its own name")
            self.helpers[name] = _text(function)
            self._names(ast.parse(self.helpers[name]), function)


def _is_allowed(module: str | None) -> bool:
    first = (module or "").partition(".")[0]
    return first == "torch" or first in sys.stdlib_module_names


def _line(name: str, value: Any, home: str | None) -> str | None:
    """Return the line that imports `name` from torch or the standard library, None where it is from elsewhere."""
    if home is None or not _is_allowed(home):
        return None
    if isinstance(value, ModuleType):
        return _import(name, value)
    is_there = getattr(sys.modules[home], name, None) is value
    return f"from {'torch' if name == 'Tensor' else home.removeprefix('_')} import {name}" if is_there else None


def _import(name: str, module: ModuleType) -> str:
    path, _, last = module.__name__.rpartition(".")
    if not path:
        return f"import {last}" if last == name else f"import {last} as {name}"
    return f"from {path} import {last}" if last == name else f"from {path} import {last} as {name}"
