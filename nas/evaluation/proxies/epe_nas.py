"""EPE-NAS: how the gradients of images of one class correlate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.evaluation.proxies.jacobian import K, input_gradients
from nas.evaluation.proxies.proxy import Proxy
from nas.records import RecordError, record

MANY = 100
"""The number of classes above which classes are compared with each other."""


@record
class EpeNas(Proxy):
    """The sum over classes of |s|, s the sum of log(|correlation| + 1e-5) between the gradients of a class's images.

    The gradients are those of JacobCov. With more than 100 classes s is divided by the number of the class's images, and the
    score is the sum of |s - s'| over all pairs of classes, divided by the number of classes. Classes with one image are left
    out. The score needs some ten images of each class, and is noisy even then.

    Source: Lopes et al. 2021, arXiv:2102.08099, section 3, and the released code.
    """

    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        rows, classes = input_gradients(model, images)
        members = [rows[labels == label] for label in sorted(set(labels.tolist()))]
        several = [each for each in members if len(each) > 1]
        if not several:
            raise RecordError("epe_nas compares images of one class, and the batch has no two: give a larger batch")
        sums = torch.stack([(torch.corrcoef(each).abs() + K).log().sum() for each in several])
        if classes <= MANY:
            return float(sums.abs().sum())
        means = sums / sums.new_tensor([len(each) for each in several])
        return float((means[:, None] - means).abs().sum() / len(means))
