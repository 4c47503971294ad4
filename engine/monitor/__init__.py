"""What the machine holds: RAM, CPU and GPUs, one reader a platform. Never imports torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.monitor.sample import Sampler

__all__ = ["Sampler"]


def __getattr__(name: str) -> Any:
    if name != "Sampler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # psutil waits until somebody samples: pools and their words need it not.
    return importlib.import_module("engine.monitor.sample").Sampler
