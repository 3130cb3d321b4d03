"""Without Torch-Pruning a space of a module says what to install."""

from __future__ import annotations

import sys

import pytest
from torch import nn

import nas
from nas.records import RecordError


def test_the_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 10, 6))
    install = r"pip install ('cellstack\[modules\]'|torch-pruning)"
    with pytest.raises(RecordError, match=rf"torch-pruning is not installed .*: {install}"):
        nas.from_module(module, (1, 8, 8))
