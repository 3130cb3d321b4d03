"""Two processes that train DARTS_V2 together, beside one: images/s, and whether both end with the same weights.

Each process has a GPU of its own, over NCCL; where there are fewer than two GPUs, a processor core, over Gloo. Each takes as many
images a step as the one alone does, so that perfect scaling is 200 %. Images are random.

    python tests/benchmarks/two_processes.py [batch] [steps] [rounds] [channels] [layers]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from _timing import report
from torch import distributed
from torch.multiprocessing.spawn import spawn
from training import images

from nas.building import build
from nas.training import Epoch, Recipe, seeded, train
from search_spaces import darts

ON_GPUS = torch.cuda.device_count() >= 2


def trained(rank: int, processes: int, sizes: tuple[int, ...], folder: str) -> None:
    """Be one of some processes: train, and write down the median images/s of the rounds and a sum over the weights."""
    batch, steps, rounds, channels, layers = sizes
    device = torch.device("cuda", rank) if ON_GPUS else torch.device("cpu")
    torch.set_num_threads(1)
    if ON_GPUS:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if ON_GPUS else "gloo", f"file://{folder}/meeting{processes}", rank=rank, world_size=processes
    )
    with seeded(0):
        model = build(darts.network(darts.family.published["DARTS_V2"], channels=channels, layers=layers), (3, 32, 32))
    recipe = Recipe(epochs=rounds + 1, batch=batch * processes, drop_path=0)
    split = images(batch * processes * steps, 32, 10)
    epochs = [each for each in train(model, split, recipe, seed=0, device=device) if isinstance(each, Epoch)]
    speed = median(each.images_per_second for each in epochs[1:])  # the first warms up
    weights = sum(float(each.detach().double().abs().sum()) for each in model.parameters())
    Path(folder, f"{processes}-{rank}").write_text(f"{speed} {weights}", encoding="utf-8")
    distributed.destroy_process_group()


def main(batch: int = 96, steps: int = 5, rounds: int = 3, channels: int = 36, layers: int = 20) -> None:
    """Measure and print."""
    speeds = {}
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, 2):
            sizes = (batch, steps, rounds, channels, layers)
            spawn(trained, (processes, sizes, folder), nprocs=processes)  # type: ignore[no-untyped-call]
            said = [
                Path(folder, f"{processes}-{rank}").read_text(encoding="utf-8").split() for rank in range(processes)
            ]
            speeds[processes] = float(said[0][0])
            assert len({weights for _, weights in said}) == 1, f"the processes end with other weights: {said}"
            kind = "GPU" if ON_GPUS else "core"
            report(
                f"DARTS_V2, C={channels} L={layers}, batch {batch} a {kind}: {processes}",
                speeds[processes],
                "images/s",
                "",
            )
    report("two processes beside one", 100 * speeds[2] / speeds[1], "%", ">= 180 %")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
