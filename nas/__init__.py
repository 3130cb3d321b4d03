"""Cellstack: neural architecture search over one declared space.

An architecture is a frozen tree of plain data; a search space is the same tree with named choices left open. The names
below are imported on first use, so that `import nas` loads neither torch nor ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.building import build as build
    from nas.calls import Run as Run
    from nas.calls import load as load
    from nas.calls import resume as resume
    from nas.calls import search as search
    from nas.modules import from_module as from_module
    from nas.plain import from_plain as from_plain
    from nas.profiling import profile as profile
    from nas.records import digest as digest
    from nas.records import record as record
    from nas.records import to_plain as to_plain
    from nas.space import count as count
    from nas.space import crossover as crossover
    from nas.space import decisions as decisions
    from nas.space import encode as encode
    from nas.space import enumerate_architectures as enumerate_architectures
    from nas.space import mutate as mutate
    from nas.space import neighbours as neighbours
    from nas.space import one_of as one_of
    from nas.space import resolve as resolve
    from nas.space import sample as sample
    from nas.space import some_of as some_of

__version__ = "0.1.0"

_HOME = {
    "build": "nas.building",
    **dict.fromkeys(("Run", "load", "resume", "search"), "nas.calls"),
    "from_module": "nas.modules",
    "profile": "nas.profiling",
    "from_plain": "nas.plain",
    **dict.fromkeys(("digest", "record", "to_plain"), "nas.records"),
    **dict.fromkeys(
        ("count", "crossover", "decisions", "encode", "enumerate_architectures", "mutate", "neighbours"), "nas.space"
    ),
    **dict.fromkeys(("one_of", "resolve", "sample", "some_of"), "nas.space"),
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
