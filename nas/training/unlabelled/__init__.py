"""Losses of images without labels. One file per loss; files are discovered automatically."""

from importlib import import_module
from pkgutil import iter_modules

from nas.training.unlabelled.base import Unlabelled

__all__ = ["Unlabelled"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
