"""Everything that is worth measuring on a GPU, one part after the other; each has a time limit and its line in a results file.

    python tools/gpu_campaign.py [OUT] [PART ...]

OUT (by default runs/gpu_campaign) gets results.jsonl, a log of each part, and measured.md, the page to put into docs/measured.md.
A part that has ended well is not run again, so that the campaign can be interrupted. Without a GPU all parts run in tiny sizes,
which shows that they work, and measures nothing. NAS_DATA is the folder that holds CIFAR-10; the two parts that need
it are left out where it is missing. Ray is not needed.

Hardware: one GPU, about two hours in all; two GPUs for the part `two_processes`. On two processor cores three minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import split
from typing import Literal

import torch

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
DARTS_TINY = (
    "network.channels=4 network.layers=3 supernet.network.channels=4 supernet.network.layers=3 supernet.epochs=1"
)
TWIN_TINY = (
    "network.channels=4 network.cells_per_stage=1 'evaluator={Training: {data: Cifar10, validation: 500, images: 64, "
    "recipe: {epochs: 1, batch: 32, augmentation: {cutout: 0}, drop_path: 0}}}'"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the campaign: the arguments of Python at full size, and those of its tiny form."""

    name: str
    minutes: float
    full: Sequence[str]
    tiny: Sequence[str]
    gpus: int = 1
    needs_data: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How a part ended, and the last lines that it printed."""

    name: str
    outcome: Literal["done", "failed", "out of time", "left out"]
    seconds: float
    lines: tuple[str, ...]


def benchmark(name: str, *tiny: str) -> tuple[list[str], list[str]]:
    """Return the arguments for a program of tests/benchmarks, at full size and tiny."""
    program = str(BENCHMARKS / f"{name}.py")
    return [program], [program, *tiny]


def search(name: str, out: Path, full: str, tiny: str) -> tuple[list[str], list[str]]:
    """Return the arguments for a search in this process, at full size and tiny; one that was stopped goes on."""
    folder = out / name.rpartition("/")[2]
    if folder.exists():
        return (resume := ["-m", "nas", "resume", str(folder)]), resume
    command = ["-m", "nas", "search", name, "--executor", "inline", "--run-dir", str(folder)]
    return [*command, *split(full)], [*command, *split(full), *split(tiny)]


def parts(out: Path) -> list[Part]:
    """Return the parts in the order in which they run; the cheap ones that find mistakes come first."""
    machine, pytest = ["-c", MACHINE], ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests = [str(ROOT / "tests" / name) for name in ("training", "supernets", "evaluation/test_evaluators.py")]
    first_order = "supernet.seeds=1 supernet.epochs=10 evaluator=null final=null"
    few = f"{DARTS_TINY} supernet.images=64 supernet.alphas.images=64 supernet.weights.batch=32"
    return [
        Part("machine", 1, machine, machine),
        Part("tests", 20, [*pytest, *tests], [*pytest, str(ROOT / "tests/training/test_peers.py")]),
        Part("supernet_grouped", 10, *benchmark("supernet_grouped", "2")),
        Part("supernet_search", 10, *benchmark("supernet_search", "2")),
        Part("elastic", 10, *benchmark("elastic", "4", "1")),
        Part("training", 15, *benchmark("training", "2", "1", "1")),
        Part("two_processes", 10, *benchmark("two_processes", "2", "2", "1", "8", "5"), gpus=2),
        Part("darts", 30, *search("cifar10/darts_first_order", out, first_order, few), needs_data=True),
        Part("twin", 30, *search("nasbench201/real_twin", out, "", TWIN_TINY), needs_data=True),
    ]


MACHINE = """
import os, platform, torch
print("torch", torch.__version__, "Python", platform.python_version(), os.cpu_count(), "processor cores")
for i in range(torch.cuda.device_count()):
    known = torch.cuda.get_device_properties(i)
    print(f"GPU {i}: {known.name}, {known.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}")
if not torch.cuda.is_available():
    print("no GPU: sizes are tiny, and the numbers say nothing")
"""


def left_out(part: Part, gpus: int) -> str:
    """Return why a part cannot be run here, "" where it can."""
    if part.needs_data and not os.environ.get("NAS_DATA"):
        return "NAS_DATA is not set: give the folder that holds CIFAR-10"
    # without a GPU its processes use processor cores
    return f"needs {part.gpus} GPUs, and there is {gpus}" if 0 < gpus < part.gpus else ""


def run(part: Part, out: Path, gpus: int) -> Result:
    """Run a part in a process of its own, which is stopped with all its children at the time limit."""
    if why := left_out(part, gpus):
        return Result(part.name, "left out", 0.0, (why,))
    log, began = out / f"{part.name}.log", time.monotonic()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, *(part.full if gpus else part.tiny)],
            cwd=ROOT, env=environment, stdout=written, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            ended = "done" if process.wait(60 * part.minutes) == 0 else "failed"
        except subprocess.TimeoutExpired:
            ended = "out of time"
            _stop(process)
        except BaseException:
            _stop(process)
            raise
    # the page speaks of no folder of this machine
    text = log.read_text(errors="replace").replace(f"{out.resolve()}/", "").replace(f"{ROOT}/", "")
    lines = text.splitlines()
    return Result(part.name, ended, time.monotonic() - began, tuple(line.rstrip() for line in lines[-40:]))  # type: ignore[arg-type]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process and its children to end, as a cluster does, so that they write a checkpoint; then end them."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def earlier(results: Path) -> Iterator[Result]:
    """Yield the last result of each part that has been run into this folder."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
    found = {each["name"]: Result(**each | {"lines": tuple(each["lines"])}) for each in map(json.loads, lines)}
    yield from found.values()


def page(results: Sequence[Result], day: str) -> str:
    """Return the results as a page of Markdown."""
    text = [f"# Measured on a GPU, {day}", "", "Written by `make gpu-campaign`.", ""]
    for each in results:
        text += [f"## {each.name}: {each.outcome}, {each.seconds:.0f} s", "", "```text", *each.lines, "```", ""]
    return "\n".join(text)


def main(out: Path, names: Sequence[str]) -> int:
    """Run the parts that have not ended well yet; return 1 where one has failed."""
    out.mkdir(parents=True, exist_ok=True)
    planned, results, gpus = parts(out.resolve()), out / "results.jsonl", torch.cuda.device_count()
    if unknown := set(names) - {each.name for each in planned}:
        print(f"no part is called {', '.join(sorted(unknown))}: known are {', '.join(each.name for each in planned)}")
        return 2
    done = {each.name: each for each in earlier(results) if each.outcome == "done"}
    for part in planned:
        if part.name in done or (names and part.name not in names):
            continue
        print(f"{part.name}: at most {part.minutes:g} min", flush=True)
        done[part.name] = found = run(part, out, gpus)
        with results.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(asdict(found)) + "\n")
        print(
            f"{part.name}: {found.outcome} after {found.seconds:.0f} s; {found.lines[-1] if found.lines else ''}",
            flush=True,
        )
    in_order = [done[part.name] for part in planned if part.name in done]
    (out / "measured.md").write_text(page(in_order, time.strftime("%Y-%m-%d")), encoding="utf-8")
    print(f"{out / 'measured.md'} has what was printed")
    return int(any(each.outcome == "failed" for each in in_order))


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["runs/gpu_campaign"]
    sys.exit(main(Path(arguments[0]), arguments[1:]))
