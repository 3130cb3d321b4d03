"""The table of evaluations: every proposal of a search, as columns."""

from __future__ import annotations

from collections.abc import Iterable

from nas.report.summary.loaded import LoadedRun
from nas.report.summary.summary import Evaluations


def evaluations_of(run: LoadedRun) -> Evaluations:
    """Return all proposals of a run in order; each distinct architecture is described once."""
    history, clock = run.history, run.clock
    numbers = range(len(history.proposals))
    done = [history.finished.get(number) for number in numbers]
    digests = {name: place for place, name in enumerate(history.known)}
    origins = _places(each.origin for each in history.proposals)
    workers = _places(each.worker for each in done if each)
    failures = _places(each.failure for each in done if each and each.failure is not None)
    names = dict.fromkeys(name for each in (*history.scored, *history.screened) for name in each.scores)
    order = {number: place for place, number in enumerate(history.finished)}
    begun = {work.number: work.begin for work in run.works if work.phase == "search"}
    log = run.logs.get("search")
    ended = log.ended if log else {}
    return Evaluations(
        origins=list(origins),
        workers=list(workers),
        failures=list(failures),
        digests=list(digests),
        texts=[run.experiment.describe(each) for each in history.known.values()],
        origin=[origins[each.origin] for each in history.proposals],
        parents=[each.parents for each in history.proposals],
        architecture=[digests[name] for name in history.digests],
        scores={name: [each.scores.get(name) if each else None for each in done] for name in names},
        worker=[workers[each.worker] if each else -1 for each in done],
        failure=[-1 if each is None or each.failure is None else failures[each.failure] for each in done],
        began=[clock.since(begun[number]) if number in begun else None for number in numbers],
        ended=[clock.since(ended[number]) if number in ended else None for number in numbers],
        order=[order.get(number, -1) for number in numbers],
    )


def _places(words: Iterable[str]) -> dict[str, int]:
    return {word: place for place, word in enumerate(dict.fromkeys(words))}
