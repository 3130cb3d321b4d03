"""Modules as a user has them, which know nothing of Cellstack: a ResNet as in torchvision, and a network of concatenations."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1), BasicBlock(width, width, 1))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2), BasicBlock(2 * width, 2 * width, 1))
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        y: Tensor = self.fc(self.layer2(self.layer1(x)).mean((2, 3)))
        return y


class Concatenated(nn.Module):
    """Two paths side by side, and a dense layer that adds to them."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(1, 6, 3, 1, 1), nn.Conv2d(1, 5, 1)
        self.norm = nn.BatchNorm2d(11)
        self.dense = nn.Conv2d(11, 4, 3, 1, 1)
        self.fc = nn.Linear(15, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm(torch.cat([self.wide(x), self.narrow(x)], 1)))
        y = torch.cat([y, torch.relu(self.dense(y))], 1)
        z: Tensor = self.fc(y.mean((2, 3)))
        return z


class Gated(nn.Module):
    """An inverted residual block with a depthwise convolution and squeeze-and-excitation, and one with a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand = nn.Conv2d(1, 6, 3, 1, 1), nn.Conv2d(6, 12, 1)
        self.depthwise, self.norm = nn.Conv2d(12, 12, 3, 1, 1, groups=12), nn.BatchNorm2d(12)
        self.squeeze, self.excite = nn.Linear(12, 4), nn.Linear(4, 12)
        self.project = nn.Conv2d(12, 6, 1)
        self.before, self.grouped, self.after = (
            nn.Conv2d(6, 8, 1),
            nn.Conv2d(8, 8, 3, 1, 1, groups=2),
            nn.Conv2d(8, 6, 1),
        )
        self.head = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = nn.functional.silu(self.norm(self.depthwise(self.expand(x))))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        x = x + self.project(y * gate[:, :, None, None])
        x = x + self.after(torch.relu(self.grouped(torch.relu(self.before(x)))))
        z: Tensor = self.head(x.mean((2, 3)))
        return z


class Shuffled(nn.Module):
    """A channel shuffle, by which a channel is no longer where it was."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 8, 3, 1, 1), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        batch, channels, height, width = y.shape
        y = y.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
        z: Tensor = self.last(y).mean((2, 3))
        return z


def resnet(width: int = 8, classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return _with_statistics(ResNet(width, classes))


def concatenated() -> nn.Module:
    torch.manual_seed(0)
    return _with_statistics(Concatenated())


def broken() -> nn.Module:
    raise ValueError("no such width")


def _with_statistics(module: nn.Module) -> nn.Module:
    """Return a module whose norms have the statistics and scales of a trained one."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                tensor.uniform_(0.5, 1.5)
    return module
