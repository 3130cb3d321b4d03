"""What a benchmark and a test share: how often torch's operations are called."""

from __future__ import annotations

from collections import Counter
from typing import Any, final

from torch.utils._python_dispatch import TorchDispatchMode


@final
class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the calls of torch's own operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))
