"""The model of BOHB: kernel densities of good and of bad architectures. Falkner et al. 2018, arXiv:1807.01774, section 3.2."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.records import Fraction, Positive, Range, record
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
    at least `min_bandwidth`. As hpbandster's: such bandwidths are large, 0.7 on average at the end of a search of NAS-Bench-201,
    so that most decisions of a draw are uniform. There the kernel counts the options that occur, here all of the choice; a
    choice that is not open counts as one more decision, where hpbandster draws a value for it.
    """

    good: Fraction = 0.15
    samples: Positive = 64
    random: Fraction = 1 / 3
    min_bandwidth: Annotated[float, Range(1e-6)] = 1e-3

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        known = history.fold(("kde", self), partial(self._add, space, history), _Known())
        is_random = rng.random() < self.random
        model = None if is_random else self._model(space, known)
        if model is None:
            return Proposal(sample(space, rng))
        around = [self._around(space, model, rng) for _ in range(self.samples)]
        good, bad = (each.density([vector for _, vector in around]) for each in (model.good, model.bad))
        ratios = bad.clip(1e-32) / good.clip(1e-32)
        return Proposal(around[int(ratios.argmin())][0], "density")

    def _add(self, space: Any, history: History, known: _Known, done: Evaluated) -> _Known:
        value = -inf if done.failure is not None else history.value(done)
        rung = known.rungs.setdefault(done.proposal.epochs or inf, [])
        insort(rung, (-value, done.number, _vector(space, done.architecture)))
        return known

    def _model(self, space: Any, known: _Known) -> _Model | None:
        arities = {name: choice.arity for name, choice in choices(space).items()}
        least = len(arities) + 1
        for epochs in sorted(known.rungs, reverse=True):
            vectors = [vector for _, _, vector in known.rungs[epochs]]
            if len(vectors) < 2 * least:
                continue
            if known.fitted != (epochs, len(vectors)):
                good = max(least, int(self.good * len(vectors)))
                bad = vectors[good:][: max(least, int((1 - self.good) * len(vectors)))]
                densities = (Density.of(part, arities, self.min_bandwidth) for part in (vectors[:good], bad))
                known.model, known.fitted = _Model(*densities), (epochs, len(vectors))
            return known.model
        return None

    def _around(self, space: Any, model: _Model, rng: Random) -> tuple[Any, Vector]:
        """Draw an architecture around one of the good ones."""
        centre = dict(zip(model.good.arities, rng.choice(model.good.vectors), strict=True))
        bandwidths = dict(zip(model.good.arities, model.good.bandwidths, strict=True))

        def decide(choice: Choice) -> int:
            decision = centre[choice.name]
            is_kept = rng.random() < 1 - bandwidths[choice.name] and decision != CLOSED
            return decision if is_kept else rng.randrange(choice.arity)

        architecture = resolve(space, decide)
        return architecture, _vector(space, architecture)


def _vector(space: Any, architecture: Any) -> Vector:
    taken = decisions(space, architecture)
    return tuple(taken.get(name, CLOSED) for name in choices(space))


@dataclass(frozen=True, slots=True)
class Density:
    """The density of vectors, with a bandwidth for each choice."""

    vectors: tuple[Vector, ...]
    arities: Mapping[str, int]
    bandwidths: tuple[float, ...]

    @classmethod
    def of(cls, vectors: list[Vector], arities: Mapping[str, int], least: float) -> Density:
        """Return the density with the bandwidths of the normal reference rule."""
        import numpy as np

        scale = 1.06 * len(vectors) ** (-1 / (4 + len(arities)))
        bandwidths = np.maximum(scale * np.array(vectors).std(0), least)
        return cls(tuple(vectors), arities, tuple(bandwidths.tolist()))

    def density(self, at: list[Vector]) -> NDArray[np.float64]:
        """Return the density at vectors, (N,); a bandwidth above 1 can make it negative, as in statsmodels."""
        import numpy as np

        levels = np.maximum(np.array(list(self.arities.values())), 2)
        bandwidths = np.array(self.bandwidths)
        is_equal = np.array(at)[:, None] == np.array(self.vectors)[None]
        densities: NDArray[np.float64] = np.where(is_equal, 1 - bandwidths, bandwidths / (levels - 1)).prod(2).mean(1)
        return densities


@dataclass(frozen=True, slots=True)
class _Model:
    good: Density
    bad: Density


@dataclass(slots=True)
class _Known:
    """Every evaluation by its epochs, the best first, and the last model with the epochs and the number that it is of."""

    rungs: dict[float, list[tuple[float, int, Vector]]] = field(default_factory=dict)
    model: _Model | None = None
    fitted: tuple[float, int] = (0, 0)
