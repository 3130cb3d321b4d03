"""The methods whose supernets hold every option of every choice, by name; those of elastic weights hold a store instead."""

from __future__ import annotations

from nas.records import import_all, record_classes
from nas.supernets.elastic_method import Elastic
from nas.supernets.method import Method

import_all("nas.supernets")

METHOD_CLASSES = {name: cls for name, cls in record_classes(Method).items() if not issubclass(cls, Elastic)}
