"""Everything once on CIFAR-10, small but real: a search, a full training of which a worker is killed, and two transfers.

`make end-to-end` runs it, or `python tests/end_to_end.py FOLDER`. CIFAR-10 is in NAS_DATA, or is unpacked from the folder of
real data. Each step is a command in a process of its own. Exit code 2 where there are no images, 1 where a step fails.
Measured once, on two busy processors: 4.5 minutes of searching, 4 of training, 4 of transfers, 11 minutes of a processor in
all. The cell's test accuracy is 53.8 %; on photographs of animals and vehicles with 40 labels, a linear probe on
87 %, from scratch 74 %.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nas.data import Cifar10, Images
from nas.evaluation.results import read_epochs, read_test
from nas.records import RecordError
from nas.runs.architecture import read_found
from nas.runs.transfer import by_way, transferred

ROOT = Path(__file__).resolve().parents[1]

EPOCHS = 4
TRAINING = (
    "fit.macs=10_000_000 network.layers=5 images=5000 execution.checkpoint_seconds=0 "
    f"recipe.epochs={EPOCHS} recipe.batch=32 recipe.lr=0.05 recipe.augmentation.cutout=0 recipe.drop_path=0"
).split()
TRANSFER = ("recipe.batch=32", "fine_tune_lr=0.05")

VEHICLES = ("airplane", "automobile", "ship", "truck")
PHOTOGRAPHS, SIDE = 400, 40
"""How many photographs of each of two classes are written, and how many pixels wide."""

LONGEST = 600
"""How many seconds a command may take."""


class StepFailed(Exception):
    """A step that did not do what it should."""


class NoImages(Exception):
    """There is no CIFAR-10."""


# ------------------------------------------------------------------------------------------------------------- data


@contextmanager
def cifar() -> Iterator[Path]:
    """Give the folder that holds CIFAR-10: NAS_DATA, or one for the time being. Raises NoImages where there are none."""
    if given := os.environ.get("NAS_DATA"):
        yield Path(given).resolve()
        return
    shared = Path(os.environ.get("NAS_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (shared / "load_cifar.py").is_file():
        raise NoImages(f"there is no CIFAR-10 in {shared}: set NAS_DATA to the folder that holds cifar-10-batches-bin")
    with tempfile.TemporaryDirectory(prefix="cifar-") as folder:
        print(f"Unpacking CIFAR-10 from {shared} into {folder}", flush=True)
        spec = importlib.util.spec_from_file_location("load_cifar", shared / "load_cifar.py")
        assert spec is not None, "it is a file of Python"
        assert spec.loader is not None, "it is a file of Python"
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.write_original(folder)
        yield Path(folder)


def write_photographs(data: Path, folder: Path) -> None:
    """Write test images of CIFAR-10, which nothing was trained on, as larger JPEG files of two classes of our own."""
    from PIL import Image

    loaded = Cifar10(str(data)).load()
    assert isinstance(loaded.test, Images), "CIFAR-10 is held in memory"
    left = {"animal": PHOTOGRAPHS, "vehicle": PHOTOGRAPHS}
    for name in left:
        (folder / name).mkdir(parents=True)
    for i, (pixels, label) in enumerate(zip(loaded.test.x, loaded.test.y.tolist(), strict=True)):
        name = "vehicle" if loaded.classes[label] in VEHICLES else "animal"
        if left[name]:
            left[name] -= 1
            image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
            image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / name / f"{i:05}.jpg", quality=90)


# --------------------------------------------------------------------------------------------------------- commands


def start(data: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a command of the command line in a process of its own; what it prints is shown."""
    words = [str(each) for each in arguments]
    print(f"\n$ nas {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", "nas.cli", *words]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "NAS_DATA": str(data)})


def nas(data: Path, *arguments: object) -> None:
    """Run a command to its end. Raises StepFailed where its exit code is not 0."""
    ended(start(data, *arguments))


def ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command to end. Raises StepFailed where its exit code is not 0, or it does not end."""
    try:
        code = process.wait(LONGEST)
    except subprocess.TimeoutExpired:
        raise StepFailed(f"the command has not ended in {LONGEST} s") from None
    finally:
        process.terminate()
    if code:
        raise StepFailed(f"the command ended with exit code {code}")


def descendants(of: int) -> list[tuple[int, str]]:
    """Return process and command line of all that a process has started, and what these have."""
    parents, titles = dict[int, int](), dict[int, str]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, title = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        titles[int(folder.name)] = title.replace(b"\0", b" ").decode(errors="replace").strip()
    found, new = list[int](), {of}
    while new := {child for child, parent in parents.items() if parent in new}:
        found += sorted(new)
    return [(pid, titles[pid]) for pid in found]


def train_and_kill(data: Path, searched: Path, folder: Path) -> tuple[int, int]:
    """Train in full by two workers, and kill one once an epoch is done; returns its process and the epochs done by then."""
    command = ("train", searched, "--recipe", "darts_cifar", *TRAINING, "--workers", 2, "--run-dir", folder)
    process = start(data, *command)
    try:
        wait_for(lambda: len(read_epochs(folder / "best.safetensors")) >= 1, process)
        time.sleep(5)  # in the middle of the next epoch
        workers, done = workers_of(process), len(read_epochs(folder / "best.safetensors"))
        print(f"--- after epoch {done}: kill -9 {workers[1]}, one of the workers {workers}", flush=True)
        os.kill(workers[1], signal.SIGKILL)
        wait_for(lambda: len(set(workers_of(process)) - set(workers)) == 2, process)
        print(f"--- the workers are {workers_of(process)} now", flush=True)
        ended(process)
    finally:
        process.terminate()
    return workers[1], done


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that a command has to train together."""
    started = descendants(process.pid)
    return [pid for pid, title in started if title.startswith("ray::") and "RayTrainWorker" in title]


def wait_for(happens: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something happens. Raises StepFailed where the command ends first, or neither comes."""
    begun = time.monotonic()
    while not happens():
        if process.poll() is not None:
            raise StepFailed(f"the command ended too early, with exit code {process.returncode}")
        if time.monotonic() - begun > LONGEST:
            raise StepFailed(f"nothing has happened in {LONGEST} s")
        time.sleep(0.2)


def check_went_on(folder: Path, done: int) -> str:
    """Say how a training went that lost a worker. Raises StepFailed where an epoch was trained twice, or not at all."""
    lines = (folder / "best.epochs.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [json.loads(line)["Epoch"]["epoch"] for line in lines]
    if epochs != list(range(1, EPOCHS + 1)):
        raise StepFailed(f"the epochs that were trained are {epochs}, and should be 1 to {EPOCHS}, each once")
    return f"epochs {epochs}: a worker was killed after epoch {done}, and epoch {done + 1} came next"


# ------------------------------------------------------------------------------------------------------------ steps


def run(data: Path, folder: Path) -> dict[str, Any]:
    """Do all steps in a folder; returns what they came to. Raises StepFailed."""
    steps: dict[str, Any] = {}
    searched, trained = folder / "search", folder / "train"
    with timed(steps, "search") as search:
        nas(data, "search", "experiments/cifar10/small_search.yaml", "--run-dir", searched)
        search["validation_top1_percent"] = read_found(searched / "best.json").scores["validation_top1_percent"]
    with timed(steps, "train") as training:
        training["killed"], done = train_and_kill(data, searched, trained)
        training["went_on"] = check_went_on(trained, done)
        training["test_top1_percent"] = tested(trained)
    with timed(steps, "transfer to Digits") as digits:
        digits |= transfer(data, trained, "Digits", folder / "digits", "recipe.epochs=3")
    with timed(steps, "transfer to photographs") as photographs:
        write_photographs(data, folder / "photographs")
        more = ("--labels", "10,100", "data.test=0.5", "recipe.epochs=6")
        photographs |= transfer(data, trained, folder / "photographs", folder / "animals", *more)
    return steps


@contextmanager
def timed(steps: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Do a step, and note how many seconds it took beside what it came to."""
    steps[name], begun = {}, time.monotonic()
    yield steps[name]
    steps[name] = {"seconds": time.monotonic() - begun, **steps[name]}


def tested(folder: Path) -> float:
    """Return the test accuracy of a training in percent."""
    measured = read_test(folder / "best.safetensors")
    if measured is None:
        raise StepFailed(f"{folder} has no test")
    return measured.raw.top1_percent


def transfer(data: Path, trained: Path, to: object, folder: Path, *more: str) -> dict[str, Any]:
    """Take what was trained to other data; returns, for each way, its accuracy in percent by percent of the labels."""
    nas(data, "transfer", trained, "--to", to, *TRANSFER, *more, "--workers", 2, "--run-dir", folder)
    return {
        way: {f"{share:g} %": top1 for share, top1 in points} for way, points in by_way(transferred(folder)).items()
    }


def summary(steps: dict[str, Any], folder: Path) -> str:
    """Return what the steps came to, as lines."""
    seconds = sum(step["seconds"] for step in steps.values())
    rounded = json.loads(json.dumps(steps), parse_float=lambda text: round(float(text), 2))
    return (
        f"\nDone in {seconds:.0f} s; all of it is in {folder}\n\n{yaml.safe_dump(rounded, sort_keys=False, width=200)}"
    )


def main(arguments: Sequence[str]) -> int:
    """Run everything, and print what it came to."""
    folder = Path(*arguments[:1] or ["runs", f"end-to-end-{datetime.now():%Y%m%d-%H%M%S}"]).resolve()
    try:
        with cifar() as data:
            Cifar10(str(data)).load()
            steps = run(data, folder)
    except (NoImages, RecordError) as error:
        print(f"end-to-end: {error}", file=sys.stderr)
        return 2
    except StepFailed as error:
        print(f"end-to-end: {error}; see {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    (folder / "summary.json").write_text(json.dumps(steps, indent=1), encoding="utf-8")
    print(summary(steps, folder), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
