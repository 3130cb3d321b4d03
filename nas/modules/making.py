"""Making: a module by the import path of the function that makes it, or one that was given in Python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from torch import nn

from nas.fields import shown
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


def made(make: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Return a new module: a copy of a given one, or what the function `make` returns for these arguments.

    Raises RecordError where there is no such function, or it returns no module.
    """
    if make.startswith(GIVEN):
        if make not in _given:
            raise RecordError(
                f"module {make} was given in Python, and this process does not have it: call nas.from_module with it first, or "
                "name the function that makes it"
            )
        return deepcopy(_given[make])
    function = _function(make)
    try:
        module = function(**arguments)
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001, whatever the user's own code raises
        listed = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise RecordError(
            f"{make}({listed}) raises {type(error).__name__}: {one_line(error)}: change space.module.arguments"
        ) from None
    if not isinstance(module, nn.Module):
        raise RecordError(f"{make} returns {shown(module)}: give a function that returns a torch.nn.Module")
    return module


def settled(make: str) -> str:
    """Return the name of a function in a form that is valid in every folder. Raises RecordError where it names none."""
    if make.startswith(GIVEN):
        return make
    module, name = _split(make)
    return f"{written_out(module)}:{name}" if is_path(module) else f"{module}.{name}"


def _split(make: str) -> tuple[str, str]:
    """Return the module and the function of `my_package.make_model`, `my_package:make_model` or `./mine.py:make_model`."""
    module, colon, name = make.rpartition(":")
    if not colon:
        module, _, name = make.rpartition(".")
    if not module or not name.isidentifier() or is_path(make):
        raise RecordError(
            f"{shown(make)} names no function that makes a module: give it as my_package.make_model or ./mine.py:make_model"
        )
    return module, name


def _function(make: str) -> Any:
    module, name = _split(make)
    found = import_named(module)
    if not callable(function := getattr(found, name, None)):
        known = [each for each, value in vars(found).items() if callable(value) and not each.startswith("_")]
        raise RecordError(f"{module} has no function {name!r}: {nearest(name, known)}")
    return function
