"""BigNAS: one store of elastic weights, trained such that its members need no retraining. Yu et al. 2020, arXiv:2003.11142."""

from __future__ import annotations

from typing import final

import torch
from torch.nn import functional

from nas.records import Natural, record
from nas.space import sample
from nas.supernets.bilevel import BatchOutcome
from nas.supernets.elastic_method import Elastic, ElasticStep


@final
@record
class BigNas(Elastic):
    """Train the largest architecture, the smallest and `samples` random ones in each step (the sandwich rule; section 3.1).

    The largest learns the labels; the others learn its soft predictions on the same images, which are not differentiated
    (in-place distillation). The gradients are added. The paper also decays weights and drops out in the largest alone and starts
    residual branches at zero; here all have the recipe's, and the initial weights are those of the networks.
    """

    samples: Natural = 2

    def add_gradients(self, step: ElasticStep) -> BatchOutcome:
        store = step.net.model
        logits = step.run(store.largest)
        outcome = step.outcome(logits)
        torch.autograd.backward(outcome.loss)
        taught = logits.detach().softmax(1)
        for architecture in (store.smallest, *(sample(step.net.space, step.rng) for _ in range(self.samples))):
            torch.autograd.backward(functional.cross_entropy(step.run(architecture), taught))
        return outcome.detach()
