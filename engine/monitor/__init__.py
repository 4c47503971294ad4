"""What the machine holds: RAM, CPU and GPUs, one reader a platform. Never imports torch."""

from __future__ import annotations

from engine.monitor.sample import Sampler

__all__ = ["Sampler"]
