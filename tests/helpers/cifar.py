"""CIFAR-10 as published, from the folder of real data."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def unpacked(shared: Path, folder: Path) -> Path:
    """Write both published forms of CIFAR-10 into a folder, their md5 sums checked; returns the folder."""
    spec = importlib.util.spec_from_file_location("load_cifar", shared / "load_cifar.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Path(module.write_original(str(folder)))
