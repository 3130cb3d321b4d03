"""Making: a module by a call of the function that makes it, or one that was given in Python."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from typing import Any

from torch import nn

from nas.fields import shown
from nas.literal import LiteralCall, literal
from nas.own import import_named, is_path, written_out
from nas.records import RecordError, nearest, one_line

GIVEN = "given:"
"""The beginning of the name of a module that was given in Python."""

_given: dict[str, nn.Module] = {}
"""Copies of the modules that were given in this process, by their names, which digest their content."""


def given(module: nn.Module) -> str:
    """Keep a copy of a module, and return its name: the same in every process that is given the same weights."""
    content = hashlib.sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().cpu().contiguous().flatten().numpy().tobytes())
    name = f"{GIVEN}{type(module).__name__}-{content.hexdigest()[:16]}"
    if name not in _given:
        _given[name] = deepcopy(module)
    return name


def made(make: str) -> nn.Module:
    """Return a new module: a copy of a given one, or what a call such as `my_package.make_model(classes=10)` returns.

    Raises RecordError where there is no such function, or it returns no module.
    """
    if make.startswith(GIVEN):
        if make not in _given:
            raise RecordError(
                f"module {make} was given in Python, and this process does not have it: call nas.from_module with it first, or "
                "name the function that makes it"
            )
        return deepcopy(_given[make])
    module, name, arguments = _split(make)
    function, call = _function(module, name), _call(make, arguments)
    try:
        made = function(*call.values, **call.fields)
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001, whatever the user's own code raises
        raise RecordError(f"{make} raises {type(error).__name__}: {one_line(error)}: change its arguments") from None
    if not isinstance(made, nn.Module):
        raise RecordError(f"{make} returns {shown(made)}: name a function that returns a torch.nn.Module")
    return made


def settled(make: str) -> str:
    """Return a call in a form that is valid in every folder. Raises RecordError where it is none."""
    if make.startswith(GIVEN):
        return make
    module, name, arguments = _split(make)
    return f"{written_out(module)}:{name}{arguments}" if is_path(module) else f"{module}.{name}{arguments}"


def _split(make: str) -> tuple[str, str, str]:
    """Return module, function and arguments of `my_package.make_model`, `./mine.py:make_model` or `mine.make_model(depth=3)`."""
    path, bracket, arguments = make.partition("(")
    module, colon, name = path.strip().rpartition(":")
    if not colon:
        module, _, name = path.strip().rpartition(".")
    if not module or not name.isidentifier() or is_path(path):
        raise RecordError(
            f"{shown(make)} names no function that makes a module: give it as my_package.make_model, ./mine.py:make_model or "
            "my_package.make_model(depth=3)"
        )
    return module, name, bracket + arguments


def _function(module: str, name: str) -> Any:
    found = import_named(module)
    if not callable(function := getattr(found, name, None)):
        known = [each for each, value in vars(found).items() if callable(value) and not each.startswith("_")]
        raise RecordError(f"module {module} has no function {name!r}: {nearest(name, known)}")
    return function


def _call(make: str, arguments: str) -> LiteralCall:
    try:
        call = literal(f"make{arguments or '()'}")
    except ValueError as error:
        raise RecordError(
            f"the arguments of {shown(make)} cannot be read ({error}): give numbers, texts and lists"
        ) from None
    if not isinstance(call, LiteralCall):
        raise RecordError(f"{shown(make)} is no call: give it as my_package.make_model(depth=3)")
    return call
