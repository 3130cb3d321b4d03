"""Loggers: where else a search is written, as TensorBoard or MLflow. One logger a file, found by itself."""

from nas.records import import_all
from nas.runtime.loggers.logger import Logger

__all__ = ["Logger"]

import_all(__name__)
