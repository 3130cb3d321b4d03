"""BigNAS: one store of elastic weights, trained such that its members need no retraining. Yu et al. 2020, arXiv:2003.11142."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, final

from torch import Tensor
from torch.nn import functional

from nas.records import Natural, record
from nas.space import sample
from nas.supernets.bilevel import Batch, BatchOutcome
from nas.supernets.elastic_method import Elastic, ElasticNet


@final
@record
class BigNas(Elastic):
    """Train the largest architecture, the smallest and `samples` random ones in each step (the sandwich rule; section 3.1).

    The largest learns the labels; the others learn its soft predictions on the same images, which are not differentiated
    (in-place distillation). The gradients are added. The paper also decays weights and drops out in the largest alone and starts
    residual branches at zero; here all have the recipe's, and the initial weights are those of the networks.
    """

    samples: Natural = 2

    def add_gradients(self, net: ElasticNet, batch: Batch, run: Callable[[Any], Tensor], rng: Random) -> BatchOutcome:
        logits = run(net.model.largest)
        outcome = BatchOutcome.of(logits, batch[1])
        outcome.loss.backward()  # type: ignore[no-untyped-call]
        taught = logits.detach().softmax(1)
        for architecture in (net.model.smallest, *(sample(net.space, rng) for _ in range(self.samples))):
            functional.cross_entropy(run(architecture), taught).backward()  # type: ignore[no-untyped-call]
        return outcome.detach()
