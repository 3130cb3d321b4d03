"""Measured latency: the time of an inference on this machine."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, build
from nas.data.libraries import optional
from nas.evaluation.captured import onnx_program, random_images
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.evaluation.layer_times import LayerTime, layer_times, now
from nas.lock import waited_for
from nas.records import Natural, Positive, RecordError, record
from nas.training import seeded
from nas.training.step import lay_out

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@record
class Latency(Evaluator):
    """Score an architecture by the time of an inference of its untrained network on this machine, in milliseconds.

    `latency_ms` is the median of `runs` after `warm_up` runs, `latency_p90_ms` the 90th percentile. The network runs in torch or
    onnxruntime on the `device`, "cpu" or "cuda", on a `batch` of random images, with `threads` on a CPU. Only one measurement
    runs at a time on a machine, but trainings of other workers may run beside it: where both percentiles are far apart, search
    with one worker, or measure with a table.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    runtime: Literal["torch", "onnxruntime"] = "torch"
    batch: Positive = 1
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    threads: Positive = 1
    warm_up: Natural = 5
    runs: Positive = 30

    def __post_init__(self) -> None:
        if self.runtime == "onnxruntime" and (self.device, self.dtype) != ("cpu", "float32"):
            raise RecordError(
                f"onnxruntime measures float32 on the CPU, not {self.dtype} on {self.device}: take torch", "runtime"
            )

    def scores(self) -> tuple[str, ...]:
        return "latency_ms", "latency_p90_ms"

    def check(self, task: Task) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise RecordError("Latency.device is cuda, and torch finds no GPU here: give cpu", "device")
        for package in ("onnx", "onnxscript", "onnxruntime") if self.runtime == "onnxruntime" else ():
            optional(package, package)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        yield Progress(shown={"batch": self.batch})
        return self.measured(untrained(task.network(job.architecture), task.input, job.seed), task.input)

    def measured(self, model: nn.Module, input: Shape) -> dict[str, float]:
        """Return the scores of a network in evaluation mode for images `input` (C, H, W)."""
        images = random_images(input, self.batch)
        with alone(self.device), _threads(self.threads):
            run = self._in_torch(model, images) if self.runtime == "torch" else self._in_onnxruntime(model, images)
            seconds = _timed(run, self.device, self.warm_up, self.runs)
        # of a single run both are its time
        p90 = quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
        return {"latency_ms": 1000 * median(seconds), "latency_p90_ms": 1000 * p90}

    def by_layer(self, model: nn.Module, input: Shape) -> list[LayerTime]:
        """Return the time of each layer of a network in evaluation mode, in torch.

        Raises RecordError for onnxruntime, which runs several layers as one.
        """
        if self.runtime != "torch":
            raise RecordError(
                "onnxruntime runs several layers as one: leave --layers out, or measure in torch", "runtime"
            )
        with alone(self.device), _threads(self.threads):
            run = self._in_torch(model, random_images(input, self.batch))
            return layer_times(model, run, self.device, self.warm_up, self.runs)

    def _in_torch(self, model: nn.Module, images: Tensor) -> Callable[[], object]:
        placed = lay_out(model.to(self.device, DTYPES[self.dtype]), torch.channels_last)
        x = images.to(self.device, DTYPES[self.dtype]).contiguous(memory_format=torch.channels_last)

        def run() -> object:
            with torch.inference_mode():
                return cast(object, placed(x))

        return run

    def _in_onnxruntime(self, model: nn.Module, images: Tensor) -> Callable[[], object]:
        written = BytesIO()
        onnx_program(model, tuple(images.shape[1:])).save(written)  # type: ignore[arg-type]
        session, x = onnx_session(written.getvalue(), self.threads), images.numpy()
        return lambda: session.run(None, {"images": x})


def untrained(network: Node, input: Shape, seed: int = 0) -> nn.Module:
    """Build a network for images `input` (C, H, W) with the random weights of a seed, in evaluation mode."""
    with seeded(seed):
        return build(network, input).eval()


def onnx_session(model: bytes | str, threads: int) -> Any:
    """Return a session of onnxruntime on the CPU, of an ONNX model or of its file."""
    runtime: Any = optional("onnxruntime", "onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_latency_ms(file: Path, images: Tensor, warm_up: int = 5, runs: int = 30) -> float:
    """Return the median time of an ONNX file on images (B, C, H, W), with one thread and alone on this processor."""
    session, x = onnx_session(str(file), 1), images.numpy()
    with alone("cpu"):
        return 1000 * median(_timed(lambda: session.run(None, {"images": x}), "cpu", warm_up, runs))


def _timed(run: Callable[[], object], device: str, warm_up: int, runs: int) -> list[float]:
    """Return the seconds of each run after the first `warm_up`, until the device has finished it."""
    seconds = []
    for _ in range(warm_up + runs):
        started = now(device)
        run()
        seconds.append(now(device) - started)
    return seconds[warm_up:]


@contextmanager
def alone(device: str) -> Iterator[None]:
    """Wait until no other process of this user measures on the device of this machine, and keep others waiting."""
    name = hashlib.sha256(f"{Path.home()} {device}".encode()).hexdigest()[:12]
    with waited_for(Path(tempfile.gettempdir()) / f"cellstack-latency-{name}.lock"):
        yield


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let torch use a number of threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
