"""Standalone source: a network as one readable Python file that needs torch and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from nas.building import Node, Shape
from nas.export.source.page import page


def write_source(network: Node, model: nn.Module, input: Shape, name: str, header: Sequence[str] = ()) -> str:
    """Return the text of a file that declares `model`, built from `network` for images `input` (C, H, W).

    `name` is the file name without suffix, a valid Python module name; the class is named after it. The file can load
    weights exported as `<name>.safetensors`. `header` are lines for its docstring: the network's provenance and accuracy.
    Drop path and auxiliary heads, which are used in training alone, are left out. Raises RecordError where a module cannot
    be written.
    """
    return page(network, model, input, name, header)
