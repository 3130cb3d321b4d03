"""Class images: the image that excites the logit of a class most."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nas.inspection.findings import Findings, Picture, Pictures
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject, device_of
from nas.records import NonNegative, Positive, record


@record
class ClassImages(Inspection):
    """The image with the largest logit of a class, less a penalty for its squared norm, found by gradient ascent.

    The ascent begins from the mean image. It takes `steps` steps, the first of `size` standard deviations a pixel on average, the
    last of none: the gradient is scaled to that, as the paper names no learning rate. The penalty is `decay` times the squared
    norm of the normalised image. At most `most` classes are shown. Source: Simonyan et al. 2013, arXiv:1312.6034, section 2,
    equation 1.
    """

    name: ClassVar[str] = "class_images"
    title: ClassVar[str] = "Images that a class is most of"
    chapter: ClassVar[Chapter] = "What units respond to"
    steps: Positive = 48
    size: NonNegative = 0.1
    decay: NonNegative = 3e-3
    most: Positive = 10

    def inspect(self, subject: Subject) -> Findings:
        classes = len(subject.classes)
        labels = [i * classes // min(classes, self.most) for i in range(min(classes, self.most))]
        x, logits = self.ascend(subject, torch.tensor(labels))
        sure = logits.softmax(1)
        pictures, numbers = [], []
        for i, label in enumerate(labels):
            name = subject.classes[label]
            pictures.append(Picture(subject.denormalised(x[i]), f"{name}, {100 * float(sure[i, label]):.0f} %"))
            numbers.append({"class": name, "logit": float(logits[i, label]), "probability": float(sure[i, label])})
        reached = sum(int(logits[i].argmax()) == label for i, label in enumerate(labels))
        reading = (
            f"Made by gradient ascent from the mean image, one for each class. The network takes {reached} of {len(labels)} "
            "for their class: what they lack shows how little it needs for that."
        )
        return Findings(reading, {"classes": numbers}, (Pictures(tuple(pictures)),))

    def ascend(self, subject: Subject, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return an image (C, H, W), normalised, for each class of `labels`, (B,), and the logits (B, K) of each."""
        device = device_of(subject.model)
        labels = labels.to(device)[:, None]
        x = torch.zeros(len(labels), *subject.images.shape, device=device)
        for step in range(self.steps):
            x.requires_grad_()
            score = subject.model(x).gather(1, labels).sum() - self.decay * x.square().sum()
            (gradient,) = torch.autograd.grad(score, x)
            scale = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
            x = (x + self.size * (1 - step / self.steps) * gradient / scale).detach()
        with torch.no_grad():
            return x, subject.model(x).float().cpu()
