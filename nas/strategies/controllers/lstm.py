"""An LSTM that decides choice by choice: Zoph and Le 2017, arXiv:1611.01578, section 3."""

from __future__ import annotations

from typing import Annotated, Any

from nas.records import Positive, Range, record
from nas.space import choices
from nas.strategies.controllers.controller import Controller, Optimizer, Policy


@record
class Lstm(Controller):
    """An LSTM that reads its own decisions: each decision's embedding is the next input, from which a softmax gives the next one.

    Each choice has a softmax and an embedding of its own: Zoph et al. 2018, arXiv:1707.07012, appendix A, count one softmax
    per decision. With `is_shared`, choices with equal options share them, as the operations do in ENAS' released code (Pham
    et al. 2018, arXiv:1802.03268): faster where an option is as good in one place as in another, and worse where it is not.
    A `some_of` is one decision among all its combinations. Zoph and Le choose skip connections, and ENAS inputs, by attention
    over earlier states; here they are choices as any other. ENAS' tanh and temperature, which bound the logits, are left out.

    The weights begin uniform within +- `initial`. The defaults are NASNet's; Zoph and Le have two layers of 35 units and 0.08.
    """

    units: Positive = 100
    layers: Positive = 1
    initial: Annotated[float, Range(1e-6)] = 0.1
    is_shared: bool = False

    def policy(self, space: Any, seed: str, optimizer: Optimizer, lr: float) -> Policy:
        from nas.strategies.networks.lstm_policy import DecisionLstm, LstmPolicy

        network = DecisionLstm(choices(space), self.units, self.layers, self.is_shared)
        return LstmPolicy(network.initialized(seed, self.initial), optimizer, lr)
