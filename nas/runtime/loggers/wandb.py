"""Weights & Biases: a project on its server, or files to send there later."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from nas.records import record
from nas.runtime.loggers.logger import Logger


@record
class WandB(Logger):
    """Write to a project of Weights & Biases; offline, into `wandb/` in the run folder, for `wandb sync`."""

    project: str = "cellstack"
    mode: Literal["online", "offline"] = "online"

    callback: ClassVar[str] = "ray.air.integrations.wandb.WandbLoggerCallback"
    package: ClassVar[str] = "wandb"

    def settings(self, folder: Path) -> dict[str, Any]:
        return {"project": self.project, "group": folder.name, "mode": self.mode, "dir": str(folder)}

    def opened(self, folder: Path) -> Any:
        before = os.environ.get("WANDB_MODE")
        os.environ["WANDB_MODE"] = self.mode  # when it is offline, Ray's callback asks for no API key
        try:
            return super().opened(folder)
        finally:
            os.environ.pop("WANDB_MODE")
            os.environ.update({"WANDB_MODE": before} if before is not None else {})
