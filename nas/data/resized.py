"""Images of another data set, scaled to a network's input."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from nas.data.base import Data, Images, Loaded, channel_statistics
from nas.records import Positive, RecordError, record

AT_ONCE = 4096


@record
class Resized(Data):
    """The in-memory images of `data`, scaled to (channels, size, size); grey is repeated in each channel.

    Scaling is bilinear, with antialiasing where images become smaller. Raises RecordError where colours would be lost.
    """

    data: Data
    size: Positive
    channels: Positive = 3

    def load(self) -> Loaded:
        loaded = self.data.load()
        train, test = (self._resized(images) for images in (loaded.train, loaded.test))
        statistics = channel_statistics((train if len(train) else test).x)
        return Loaded(train, test, loaded.classes, *statistics, loaded.identity().digest, loaded.test_source)

    def as_test(self) -> Resized:
        return replace(self, data=self.data.as_test())

    def _resized(self, images: object) -> Images:
        if not isinstance(images, Images):
            raise RecordError("Resized.data decodes its images on the fly: set its own size instead, as size: 32")
        channels = images.shape[0]
        if channels not in (1, self.channels):
            raise RecordError(
                f"the images have {channels} channels and the network takes {self.channels}: give images of "
                f"{self.channels}, or a network that takes {channels}"
            )
        size = (self.size, self.size)
        scaled = [
            functional.interpolate(part.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).byte()
            for part in torch.split(images.x, AT_ONCE)
        ]
        return Images(torch.cat(scaled).expand(-1, self.channels, -1, -1).contiguous(), images.y)
