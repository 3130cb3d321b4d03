"""Standalone source: a network as one readable Python file that needs torch and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from nas.building import Node, Shape
from nas.export.source.page import page


def write_source(network: Node, model: nn.Module, input: Shape, name: str, header: Sequence[str] = ()) -> str:
    """Return the text of a file that declares `model`, built from `network` for images `input` (C, H, W).

    `name` is the file's, without its ending, which Python can import; its class is called after it. The file reads the
    weights that were exported as `<name>.safetensors`. `header` are lines for its docstring: where the network is from,
    what it reached. Drop path and auxiliary heads, which act in training alone, are left out. Raises RecordError where a
    module cannot be written.
    """
    return page(network, model, input, name, header)
