"""Speed of the walks: sampling, mutating, naming and enumerating architectures, in CPU time of one core."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any

from _timing import microseconds, report

import nas
from search_spaces.darts import darts, network
from search_spaces.nasbench201 import nasbench201


def digest_next(architectures: Iterator[Any]) -> str:
    return nas.digest(next(architectures))


def main() -> None:
    rng = Random(0)
    for name, space in (
        ("DARTS cells", darts()),
        ("DARTS network", network(darts())),
        ("NAS-Bench-201 cell", nasbench201()),
    ):
        architecture = nas.sample(space, rng)
        sampled = iter([nas.sample(space, rng) for _ in range(3001)])
        report(f"sample a {name}", microseconds(partial(nas.sample, space, rng), 500), "us", "< 150 us")
        report(
            f"mutate a {name}",
            microseconds(partial(nas.mutate, space, architecture, rng), 500),
            "us",
            "< 150 us",
        )
        report(f"digest of a new {name}", microseconds(partial(digest_next, sampled), 500), "us", "< 60 us")
    stored = pickle.dumps(nas.sample(darts(), rng))  # nothing is remembered on what comes from a file
    copies, space = iter([pickle.loads(stored) for _ in range(3001)]), darts()
    report(
        "decisions of DARTS cells from a file", microseconds(lambda: nas.decisions(space, next(copies)), 500), "us", ""
    )
    every = microseconds(lambda: sum(1 for _ in nas.enumerate_architectures(nasbench201())), 1, rounds=3)
    report("enumerate all 15,625 NAS-Bench-201 cells", every / 1e6, "s", "< 0.5 s")


if __name__ == "__main__":
    main()
