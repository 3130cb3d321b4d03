"""DOT: the graph of an architecture in the language of graphviz."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, final

from nas.drawing import dot
from nas.export.format import Format
from nas.export.subject import Built, Subject
from nas.records import RecordError, record


@final
@record
class Dot(Format):
    """Write the architecture as a graphviz file, for other layouts and formats: `dot -Tpdf`."""

    name: ClassVar[str] = "dot"
    suffix: ClassVar[str] = ".dot"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        path.write_text(dot(subject.tree), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        """Let graphviz read the file, where it is installed."""
        if (command := shutil.which("dot")) is None:
            return
        done = subprocess.run([command, "-Tcanon", str(path)], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RecordError(f"graphviz cannot read {path.name} ({' '.join(done.stderr.split())})")
