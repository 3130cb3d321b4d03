"""Graph isomorphism networks that train side by side, in torch.

Shapes: M members, B architectures, N nodes, K links, L labels, H units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from nas.predictors.graph import LABEL, LINK

PREDICTED = 256
"""How many architectures are predicted at once."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: for tensors of this size it is fastest, and sums do not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@final
class Layout:
    """What columns of codes tell of graphs: the labels of nodes, and the links from one node to another.

    A column whose name is not one of a `Graph` is a node of its own, with the name as its label.
    """

    def __init__(self, names: Sequence[str]) -> None:
        nodes, labels = dict[str, int](), dict[str, int]()
        labelled, linked = list[tuple[int, int, int]](), list[tuple[int, int, int]]()
        for column, name in enumerate(names):
            node, colon, label = name.partition(LABEL)
            source, arrow, target = name.partition(LINK)
            if arrow and not colon:
                ends = [nodes.setdefault(end, len(nodes)) for end in (source, target)]
                linked.append((column, ends[0], ends[1]))
            else:
                place, kind = nodes.setdefault(node, len(nodes)), labels.setdefault(label or name, len(labels))
                labelled.append((column, place, kind))
        self.nodes, self.labels = len(nodes), len(labels)
        self.labelled = torch.tensor(labelled, dtype=torch.long).reshape(-1, 3).T
        self.linked = torch.tensor(linked, dtype=torch.long).reshape(-1, 3).T

    def read(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the labels of nodes, (N, B, L), and which links there are, (K, B, 1), of codes (B, columns)."""
        columns, nodes, labels = self.labelled
        found = codes.new_zeros(self.nodes, len(codes), self.labels)
        found[nodes, :, labels] = codes[:, columns].T
        return found, codes[:, self.linked[0]].T[..., None]


@final
class IsomorphismNetworks(nn.Module):
    """Networks of equal size with one output each.

    After an embedding of the labels, each layer applies a perceptron to a node, the sum of the nodes that link to it, and the
    sum of those that it links to. The mean over nodes goes through a perceptron of half the width.
    """

    def __init__(self, members: int, layout: Layout, layers: int, width: int, rng: torch.Generator) -> None:
        super().__init__()
        self.layout, half = layout, max(width // 2, 1)
        sizes = [(layout.labels, width), *[(3 * width, width), (width, width)] * layers, (width, half), (half, 1)]
        # He et al. 2015, as ReLUs follow
        self.weights = nn.ParameterList([torch.randn(members, *s, generator=rng) * (2 / s[0]) ** 0.5 for s in sizes])
        self.biases = nn.ParameterList([torch.zeros(members, 1, s[1]) for s in sizes])

    def forward(self, codes: Tensor) -> Tensor:
        """Return each member's output, (M, B), for codes (B, columns)."""
        labels, links = self.layout.read(codes)
        is_there = (labels.sum(2, keepdim=True) > 0).to(codes)
        x = self._linear(0, labels.expand(len(self.weights[0]), *labels.shape))
        for i in range(1, len(self.weights) - 2, 2):
            x = self._linear(i + 1, self._linear(i, self._with_neighbours(x, links)).relu()).relu()
        mean = (x * is_there).sum(1) / is_there.sum(0).clamp(min=1)
        return self._linear(-1, self._linear(-2, mean).relu()).squeeze(-1)

    @one_thread()
    @torch.no_grad()
    def predict(self, codes: Tensor) -> Tensor:
        """Return each member's output, (M, B), for any number of codes."""
        return torch.cat([self(part) for part in torch.split(codes, PREDICTED)], 1)

    def _with_neighbours(self, x: Tensor, links: Tensor) -> Tensor:
        """Return nodes (M, N, B, H) with the sums of their neighbours, (M, N, B, 3H)."""
        _, sources, targets = self.layout.linked
        into = torch.zeros_like(x).index_add(1, targets, x.index_select(1, sources) * links)
        out_of = torch.zeros_like(x).index_add(1, sources, x.index_select(1, targets) * links)
        return torch.cat([x, into, out_of], -1)

    def _linear(self, i: int, x: Tensor) -> Tensor:
        outputs = torch.baddbmm(self.biases[i], x.reshape(len(x), -1, x.shape[-1]), self.weights[i])
        return outputs.reshape(*x.shape[:-1], -1)


@one_thread()
def train(
    networks: IsomorphismNetworks,
    codes: Tensor,
    targets: Tensor,
    epochs: int,
    batch: int,
    lr: float,
    rng: torch.Generator,
) -> None:
    """Train on codes (B, columns) and targets (B,), all members on the same batches."""
    adam = torch.optim.Adam(networks.parameters(), lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(codes), generator=rng), batch):
            adam.zero_grad()
            (networks(codes[chosen]) - targets[chosen]).square().mean(1).sum().backward()
            adam.step()
        schedule.step()
