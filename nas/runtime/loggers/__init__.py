"""Loggers: trackers that record a search too, such as TensorBoard or MLflow. One logger per file, found automatically."""

from nas.records import import_all
from nas.runtime.loggers.logger import Logger

__all__ = ["Logger"]

import_all(__name__)
