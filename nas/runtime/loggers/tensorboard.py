"""TensorBoard: event files in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from nas.records import record
from nas.runtime.loggers.logger import Logger


@record
class TensorBoard(Logger):
    """Write event files into `tensorboard/` in the run folder, for `tensorboard --logdir RUN/tensorboard`."""

    callback: ClassVar[str] = "ray.tune.logger.TBXLoggerCallback"
    package: ClassVar[str] = "tensorboardX"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {}

    def files_of(self, folder: Path, run: str) -> Path:
        return folder / "tensorboard" / run
