"""Libraries that only some parts of this one need."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

from nas.records import RecordError


def optional(module: str, package: str) -> Any:
    """Import a module. Raises RecordError naming the package, and the extra that has it, where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise RecordError(f"{package} is not installed ({error}): pip install {_wanted(package)}") from error


def _wanted(package: str) -> str:
    """Return what is to be installed for a package: the extra of this library that has it, or the package itself."""
    try:
        declared = requires("cellstack") or []
    except PackageNotFoundError:
        return package
    # a line is such as: onnx>=1.18; extra == 'export'
    found = (re.fullmatch(r"([\w.-]+).*; extra == '(\w+)'", line) for line in declared)
    extras = [each[2] for each in found if each is not None and each[1].lower() == package.lower() and each[2] != "all"]
    return f"'cellstack[{extras[0]}]'" if extras else package
