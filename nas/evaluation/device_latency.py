"""Latency on a device that a command of the user's measures, such as a board behind ssh."""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from torch import nn

from nas.building import Shape
from nas.data.libraries import optional
from nas.evaluation.captured import onnx_program
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.evaluation.latency import alone, untrained
from nas.records import Positive, RecordError, digest, record
from nas.space import sample

FILE = "{onnx}"
"""What stands for the network's file in a command."""


@record
class DeviceLatency(Evaluator):
    """Score an architecture by what a command prints of its untrained network, as ONNX.

    In `measure`, such as "./on_board.sh {onnx}", {onnx} stands for the file; its input `images` is (batch, C, H, W) with any
    batch. The command is run without a shell: for pipes give "sh -c '...'". The last line that it prints is a JSON object with
    the scores `returns`. It is ended after `timeout_seconds`. One command runs at a time on this machine.
    """

    measure: str
    returns: tuple[str, ...] = ("latency_ms",)
    timeout_seconds: Positive = 600

    def __post_init__(self) -> None:
        if FILE not in self.measure:
            raise RecordError(
                f"the command {self.measure!r} does not say where the file goes: write {FILE} there", "measure"
            )
        try:
            shlex.split(self.measure)
        except ValueError as error:
            raise RecordError(f"the command {self.measure!r} cannot be read ({error}): close it", "measure") from None

    def scores(self) -> tuple[str, ...]:
        return self.returns

    def check(self, task: Task) -> None:
        for package in ("onnx", "onnxscript"):
            optional(package, package)
        # the command is tried before a search begins, on the first member
        self.measured(untrained(task.network(sample(task.space, Random(0))), task.input), task.input)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        yield Progress()
        return self.measured(untrained(task.network(job.architecture), task.input), task.input)

    def measured(self, model: nn.Module, input: Shape) -> dict[str, float]:
        """Return what the command prints of a network in evaluation mode for images `input` (C, H, W)."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "network.onnx")
            onnx_program(model, input).save(file)
            with alone(digest(self.measure)):
                return self.measured_file(file)

    def measured_file(self, file: Path) -> dict[str, float]:
        """Return what the command prints of an ONNX file.

        Raises RecordError, with what the command said, where it fails, takes too long or prints something else.
        """
        words = [word.replace(FILE, str(file)) for word in shlex.split(self.measure)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=self.timeout_seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise self._refusal(f"took more than {self.timeout_seconds} s", "give more timeout_seconds") from None
        except OSError as error:
            raise self._refusal(f"cannot be run ({error.strerror})", "give a program of this machine") from None
        if done.returncode:
            raise self._refusal(f"ended with exit code {done.returncode}{_last(done.stderr)}", "mend it")
        return self._read(done.stdout)

    def _read(self, printed: str) -> dict[str, float]:
        try:
            found: Any = json.loads(printed.strip().rpartition("\n")[2])
        except ValueError:
            found = None
        if not isinstance(found, Mapping):
            raise self._refusal(f"printed no JSON object in its last line{_last(printed)}")
        scores = {name: found.get(name) for name in self.returns}
        for name, score in scores.items():
            if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
                raise self._refusal(f"printed {json.dumps(found)[:200]}, which has no number {name}")
        return {name: float(score) for name, score in scores.items() if score is not None}

    def _refusal(self, what: str, repair: str = "") -> RecordError:
        example = json.dumps(dict.fromkeys(self.returns, 1.5))
        return RecordError(
            f"the command {self.measure!r} {what}: {repair or f'let it print a line such as {example}'}", "measure"
        )


def _last(text: str) -> str:
    """Return the last line of a text in brackets, cut off; nothing where there is none."""
    line = "".join(each for each in text.strip().rpartition("\n")[2] if each.isprintable())[:200]
    return f" ({line})" if line else ""
