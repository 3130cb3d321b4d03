"""Processes that run the seeds of a reproduction: each loads the experiment once, and runs one seed after another."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from nas.records import RecordError
from nas.runs.experiment import load
from nas.runs.run import plan
from nas.runs.seeds import SeedResult, run_seed
from nas.runtime.queue import SearchFailed
from nas.runtime.stopping import interrupts_ignored


def in_processes(file: Path, seeds: Sequence[int], processes: int) -> Iterator[tuple[int, SeedResult]]:
    """Run seeds of the experiment in `file`, an absolute path, in some processes; yield each with its result as it ends.

    Where the generator is closed, the processes end at once. Raises what a seed raises, and RuntimeError where a process was
    killed.
    """
    waiting = iter(seeds)
    with _started(file, min(processes, len(seeds))) as connections:
        busy = [each for each in connections if _hand_out(each, waiting)]
        while busy:
            for connection in wait(busy):
                assert isinstance(connection, Connection)
                seed, result = _received(connection)
                if not _hand_out(connection, waiting):
                    busy.remove(connection)
                yield seed, result


def _hand_out(connection: Connection, waiting: Iterator[int]) -> bool:
    """Send the next seed; return whether there was one."""
    seed = next(waiting, None)
    if seed is not None:
        connection.send(seed)
    return seed is not None


def _received(connection: Connection) -> tuple[int, SeedResult]:
    try:
        seed, answer = connection.recv()
    except (EOFError, ConnectionResetError):
        raise RuntimeError("a process of the seeds was killed: give the same command again") from None
    if isinstance(answer, Exception):
        raise answer
    return seed, answer


@contextmanager
def _started(file: Path, processes: int) -> Iterator[list[Connection]]:
    """Start the processes, and end them at the end of the block."""
    context = _context()
    connections: list[Connection] = []
    with ExitStack() as stack:
        with interrupts_ignored():  # a terminal sends Ctrl-C to all processes: this one ends the others
            for _ in range(processes):
                here, there = context.Pipe()
                process = context.Process(target=_work, args=(there, file), daemon=True)
                process.start()
                there.close()
                stack.callback(_end, process, here)
                connections.append(here)
        yield connections


def _context() -> ForkServerContext | SpawnContext:
    """Return how processes are started: not by a fork of this one, which would copy the threads and the locks of torch."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # so that torch is imported once
    return context


def _end(process: BaseProcess, connection: Connection) -> None:
    connection.close()
    process.terminate()
    process.join()


def _work(connection: Connection, file: Path) -> None:
    """Run the seeds that come, until the process that sends them ends or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    planned = plan(load(file))
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            seed: int = connection.recv()
            answer: SeedResult | Exception
            try:
                answer = run_seed(planned, seed)
            except (RecordError, SearchFailed) as error:
                answer = error
            connection.send((seed, answer))
