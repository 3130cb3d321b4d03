"""The model of BOHB: kernel densities of good and of bad architectures. Falkner et al. 2018, arXiv:1807.01774, section 3.2."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.records import Fraction, Positive, Range, digest, record
from nas.space import choices, decisions, resolve, sample
from nas.strategies.strategy import Strategy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vector = tuple[int, ...]
"""The decision of each choice of the space, CLOSED where the architecture does not have that choice."""

CLOSED = -1


@record
class Kde(Strategy):
    """Draw `samples` architectures around good ones; evaluate the one with the highest ratio of the good to the bad density.

    Of the trainings that were given equally many epochs, the best `good` part is good. The model is that of the most epochs that
    has more good and more bad ones than the space has choices. A share `random` of the proposals is random. Each density has an
    Aitchison-Aitken kernel for each choice, whose bandwidth is that of the normal reference rule on the decisions as numbers,
    at least `min_bandwidth`. Such bandwidths are near or above 1, where a kernel prefers other options: as published the model
    is worse than random search on NAS-Bench-201. Where it `is_bounded`, a bandwidth is at most 1 - 1 / options, which is
    the uniform kernel. hpbandster counts the options that occur, and draws a value for a choice that is not open; here all
    options count, and not to be open is one more.
    """

    good: Fraction = 0.15
    samples: Positive = 64
    random: Fraction = 1 / 3
    min_bandwidth: Annotated[float, Range(1e-6)] = 1e-3
    is_bounded: bool = True

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        known = history.fold(digest(self), partial(self._add, space, history), _Known())
        is_random = rng.random() < self.random
        model = None if is_random else self._model(space, known)
        if model is None:
            return Proposal(sample(space, rng))
        around = [self._around(space, model, rng) for _ in range(self.samples)]
        good, bad = (each.density([vector for _, vector in around]) for each in (model.good, model.bad))
        ratios = bad.clip(1e-32) / good.clip(1e-32)
        return Proposal(around[int(ratios.argmin())][0], "density")

    def _add(self, space: Any, history: History, known: _Known, done: Evaluated) -> _Known:
        if done.is_screened:
            return known
        # the best first, by History.rank; failures last
        key = (inf,) if done.failure is not None else tuple(-each for each in history.rank(done))
        insort(
            known.rungs.setdefault(done.proposal.epochs or inf, []),
            (key, done.number, _vector(choices(space), decisions(space, done.architecture))),
        )
        return known

    def _model(self, space: Any, known: _Known) -> _Model | None:
        arities = {name: choice.arity for name, choice in choices(space).items()}
        least = len(arities) + 1
        for epochs in sorted(known.rungs, reverse=True):
            rung = known.rungs[epochs]
            good = max(least, int(self.good * len(rung)))
            if len(rung) - good < least:
                continue
            if known.fitted != (epochs, len(rung)):
                vectors = [vector for _, _, vector in rung]
                bad = vectors[good:][: max(least, int((1 - self.good) * len(vectors)))]
                densities = (self._density(part, arities) for part in (vectors[:good], bad))
                known.model, known.fitted = _Model(*densities), (epochs, len(rung))
            return known.model
        return None

    def _density(self, vectors: list[Vector], arities: Mapping[str, int]) -> Density:
        import numpy as np

        columns = np.array(vectors, dtype=float).T
        options = [arity + (CLOSED in column) for arity, column in zip(arities.values(), columns, strict=True)]
        scale = 1.06 * len(vectors) ** (-1 / (4 + len(arities)))
        bandwidths = [max(scale * float(column.std()), self.min_bandwidth) for column in columns]
        if self.is_bounded:
            bandwidths = [min(each, 1 - 1 / max(2, ways)) for each, ways in zip(bandwidths, options, strict=True)]
        return Density(tuple(vectors), tuple(arities), tuple(map(int, options)), tuple(bandwidths))

    def _around(self, space: Any, model: _Model, rng: Random) -> tuple[Any, Vector]:
        """Draw an architecture around one of the good ones."""
        around = zip(rng.choice(model.good.vectors), model.good.bandwidths, strict=True)
        centre = dict(zip(model.good.names, around, strict=True))

        def decide(choice: Choice) -> int:
            decision, bandwidth = centre[choice.name]
            is_kept = rng.random() < 1 - bandwidth and decision != CLOSED
            return decision if is_kept else rng.randrange(choice.arity)

        architecture = resolve(space, decide)
        return architecture, _vector(model.good.names, decisions(space, architecture))


def _vector(names: Iterable[str], taken: Mapping[str, int]) -> Vector:
    return tuple([taken.get(name, CLOSED) for name in names])


@dataclass(frozen=True, slots=True)
class Density:
    """The density of vectors: for each choice its name, the number of its options, and the bandwidth of its kernel."""

    vectors: tuple[Vector, ...]
    names: tuple[str, ...]
    options: tuple[int, ...]
    bandwidths: tuple[float, ...]

    def density(self, at: list[Vector]) -> NDArray[np.float64]:
        """Return the density at vectors, (N,); a bandwidth above 1 can make it negative, as in statsmodels."""
        import numpy as np

        products = np.ones((len(at), len(self.vectors)))
        columns = zip(
            zip(*at, strict=True), zip(*self.vectors, strict=True), self.options, self.bandwidths, strict=True
        )
        for here, there, ways, bandwidth in columns:
            is_equal = np.array(here)[:, None] == np.array(there)[None]
            products *= np.where(is_equal, 1 - bandwidth, bandwidth / max(1, ways - 1))
        densities: NDArray[np.float64] = products.mean(1)
        return densities


@dataclass(frozen=True, slots=True)
class _Model:
    good: Density
    bad: Density


@dataclass(slots=True)
class _Known:
    """Every evaluation by its epochs, the best first, and the last model with the epochs and the number that it is of."""

    rungs: dict[float, list[tuple[tuple[float, ...], int, Vector]]] = field(default_factory=dict)
    model: _Model | None = None
    fitted: tuple[float, int] = (0, 0)
