"""MLflow: a tracking server, or a database file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from nas.records import record
from nas.runtime.loggers.logger import Logger


@record
class MLflow(Logger):
    """Write to the MLflow server or database at `tracking_uri`, as sqlite:///mlflow.db, under the name of an experiment.

    Without a `tracking_uri` MLflow's default is used: MLFLOW_TRACKING_URI, or a file in the current folder.
    """

    tracking_uri: str | None = None
    experiment: str = "cellstack"

    callback: ClassVar[str] = "ray.air.integrations.mlflow.MLflowLoggerCallback"
    package: ClassVar[str] = "mlflow"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {"tracking_uri": self.tracking_uri, "experiment_name": self.experiment, "tags": {"folder": str(folder)}}
