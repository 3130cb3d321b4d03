"""Network: a stem, stages of cells or other nodes, and a classifier; an auxiliary classifier on the way, if wanted."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from nas.build import BuildError, Node, Shape, Site, inputs_of, lifted
from nas.operations.conv import relu_conv_norm
from nas.record import Fraction, Natural, Positive, record
from nas.space import Choice
from nas.topology.chain import Stage


@record
class Classifier(Node):
    """Average each channel over the map and classify; `norm` and `relu` come before, dropout after the average."""

    classes: Positive
    norm: bool = False
    relu: bool = False
    dropout: Fraction = 0.0

    def build(self, site: Site) -> nn.Module:
        channels = site.shape[0]
        parts: list[nn.Module] = [nn.BatchNorm2d(channels)] if self.norm else []
        parts += [nn.ReLU()] if self.relu else []
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        parts += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*parts, nn.Linear(channels, self.classes))

    def shape(self, site: Site) -> Shape:
        return self.classes, 1, 1


@record
class Auxiliary(Node):
    """Classify an inner map, so that training reaches the lower layers: pooling 5x5, 1x1 to 128, full size to 768.

    `after` is the layer that it reads, 0 the first after the stem. In ImageNet form the released DARTS code has no last
    batch norm (`last_norm` False) and pools with stride 2; its CIFAR form pools with stride 3. We follow the code.
    """

    after: Natural
    classes: Positive
    stride: Positive = 3
    last_norm: bool = True

    def build(self, site: Site) -> nn.Module:
        channels, *size = site.shape
        if min(size) < 5:
            raise BuildError(
                f"the auxiliary head pools 5x5 and stands on a map of {size}: leave it out, or enlarge the images"
            )
        height, width = ((each - 5) // self.stride + 1 for each in size)
        parts = [nn.ReLU(), nn.AvgPool2d(5, self.stride, count_include_pad=False)]
        parts += [*relu_conv_norm((channels, 128))[1:], nn.ReLU(), nn.Conv2d(128, 768, (height, width), bias=False)]
        parts += [nn.BatchNorm2d(768)] if self.last_norm else []
        return nn.Sequential(*parts, nn.ReLU(), nn.Flatten(), nn.Linear(768, self.classes))


@record
class Network(Node):
    """A whole classifier of images: takes (B, C, H, W), returns logits (B, classes).

    With an auxiliary head it returns (logits, auxiliary logits) in training mode. A node that reads two inputs is given
    the last two outputs; the first after the stem is given the stem's twice. A stage without channels keeps the width that
    comes in.
    """

    stem: Node
    stages: tuple[Stage, ...]
    head: Node
    auxiliary: Auxiliary | None = None

    def build(self, site: Site) -> nn.Module:
        shapes, layers = [site.output(self.stem)], []
        for i, (node, channels, stride, before) in enumerate(self._layers()):
            inner = site.put(shapes[i], channels or shapes[i][0], stride, shapes[before] if i else None)
            layers.append((inner.build(node), before if inputs_of(node) == 2 else None))
            shapes.append(inner.output(node))
        head = site.put(shapes[-1]).build(self.head)
        return _NetworkModule(site.build(self.stem), layers, head, self._build_auxiliary(site, shapes[1:]))

    def shape(self, site: Site) -> Shape:
        return self.head.shape(site)

    def _layers(self) -> Iterator[tuple[Node, int | None, int, int]]:
        """Yield each layer's node, width, stride and the output it reads beside the last: 0 the stem's, 1 the first layer's.

        In a supernet a stage whose depth or width is open is one layer.
        """
        i = 0
        for stage in self.stages:
            if isinstance(stage, Choice) or isinstance(stage.repeat, Choice) or isinstance(lifted(stage), Choice):
                yield stage, None, 1, max(i - 1, 0)
                i += 1
                continue
            for repetition, (node, stride) in enumerate(stage.members()):
                skips = 2 if stage.skip_reduction and repetition == 0 else 1
                yield node, stage.channels, stride, max(i - skips, 0)
                i += 1

    def _build_auxiliary(self, site: Site, outputs: list[Shape]) -> tuple[int, nn.Module] | None:
        if self.auxiliary is None:
            return None
        after = self.auxiliary.after
        if after >= len(outputs):
            raise BuildError(
                f"the auxiliary head reads layer {after}, and the last is {len(outputs) - 1}: give a lower one"
            )
        return after, site.put(outputs[after]).build(self.auxiliary)


class _NetworkModule(nn.Module):
    """The network at work; `befores` holds, for a layer that reads two outputs, which one beside the last."""

    def __init__(
        self,
        stem: nn.Module,
        layers: list[tuple[nn.Module, int | None]],
        head: nn.Module,
        auxiliary: tuple[int, nn.Module] | None,
    ) -> None:
        super().__init__()
        self.stem, self.head = stem, head
        self.layers = nn.ModuleList(layer for layer, _ in layers)
        self.befores = [before for _, before in layers]
        self.auxiliary_after = auxiliary[0] if auxiliary else -1
        self.auxiliary = auxiliary[1] if auxiliary else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        outputs: list[Tensor] = [self.stem(x)]
        auxiliary_logits = None
        for i, (layer, before) in enumerate(zip(self.layers, self.befores, strict=True)):
            outputs.append(layer(outputs[-1]) if before is None else layer(outputs[before], outputs[-1]))
            if i == self.auxiliary_after and self.auxiliary is not None and self.training:
                auxiliary_logits = self.auxiliary(outputs[-1])
        logits: Tensor = self.head(outputs[-1])
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)
