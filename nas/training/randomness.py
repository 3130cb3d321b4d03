"""Randomness as an argument: generators and torch's global state from a seed; the caller's state is restored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


def mixed_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose of a run, such as (7, "order", 3); the same in every process.

    Generators with equal seeds give equal numbers, so each purpose needs a separate seed.
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def stream(seed: int, *purpose: str | int, device: torch.device = CPU) -> torch.Generator:
    """Return a new generator on `device` for one purpose of a run."""
    return torch.Generator(device).manual_seed(mixed_seed(seed, *purpose))


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed the state that layers draw from (initial weights, dropout, drop path) in the block, and restore it afterwards."""
    # the index of the device; for "cuda" without one, that of the current GPU
    indices = [torch.empty(0, device=device).get_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(indices):
        torch.default_generator.manual_seed(seed)
        for index in indices:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield
