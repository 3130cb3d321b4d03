"""Digits: real scans of handwritten digits, included in scikit-learn, for tests and first steps."""

from __future__ import annotations

import torch

from nas.data.base import Data, Images, Loaded, channel_statistics, stratified_order
from nas.data.libraries import optional
from nas.records import record

TEST_SEED = 0
TEST_IMAGES = 359


@record
class Digits(Data):
    """1,797 scans of the digits, (1, 8, 8), their 16 grey levels scaled to 0..255; no download.

    359 images, 20 %, are the test set: the first in the stratified order of seed 0. Alpaydin and Kaynak 1998, UCI. The
    published test set, by other writers, is not used, because scikit-learn has the rest of the data only.
    """

    def load(self) -> Loaded:
        raw = optional("sklearn.datasets", "scikit-learn").load_digits()
        x = (torch.from_numpy(raw.images) * 255 / 16).round().to(torch.uint8)[:, None]
        images = Images(x, torch.from_numpy(raw.target).long())
        order = stratified_order(images.y, TEST_SEED)
        train, test = images.at(order[TEST_IMAGES:]), images.at(order[:TEST_IMAGES])
        source = f"{TEST_IMAGES} of {len(images):,} scans, always the same"
        statistics = channel_statistics(train.x)
        return Loaded(train, test, tuple("0123456789"), *statistics, test_source=source)
