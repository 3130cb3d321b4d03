"""Loggers: a callback of Ray Tune that logs a search, with its settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from nas.records import RecordError, one_line


class Logger(ABC):
    """A callback of Ray Tune that writes to a tracker; a record, whose fields are its settings.

    `callback` is the class, as `package.module.Class`; `package` is what has to be installed for it.
    """

    callback: ClassVar[str]
    package: ClassVar[str]

    @abstractmethod
    def settings(self, folder: Path) -> dict[str, Any]:
        """Return the arguments of the callback; its files go into the run's `folder`."""

    def files_of(self, folder: Path, run: str) -> Path:
        """Return the folder of a logged run's files, if it writes any."""
        return folder

    def check(self) -> None:
        """Raise RecordError where the search cannot be logged; called before any worker starts."""
        if find_spec(self.package) is None:
            raise RecordError(
                f"logger {type(self).__name__} needs {self.package}, which is not installed: pip install {self.package}, "
                "or leave the logger out"
            )

    def opened(self, folder: Path) -> Any:
        """Return the callback, ready to log. Raises RecordError where it cannot start, as when its server does not answer."""
        self.check()
        module, _, name = self.callback.rpartition(".")
        try:
            callback = getattr(import_module(module), name)(**self.settings(folder))
            callback.setup()
        except Exception as error:  # noqa: BLE001, each tracker has errors of its own
            reason = one_line(error)
            raise RecordError(
                f"logger {type(self).__name__} cannot start ({reason}): change its settings, or leave it out"
            ) from None
        return callback
