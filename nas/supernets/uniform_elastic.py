"""Uniform elastic training: single path one-shot on a store of elastic weights. Guo et al. 2020, arXiv:1904.00420."""

from __future__ import annotations

from typing import final

import torch

from nas.records import record
from nas.space import sample
from nas.supernets.bilevel import BatchOutcome
from nas.supernets.elastic_method import Elastic, ElasticStep


@final
@record
class UniformElastic(Elastic):
    """Train one random architecture in each step, on the labels: the plainest way, as a baseline for the others."""

    def add_gradients(self, step: ElasticStep) -> BatchOutcome:
        outcome = step.outcome(step.run(sample(step.net.space, step.rng)))
        torch.autograd.backward(outcome.loss)
        return outcome.detach()
