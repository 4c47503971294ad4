"""A sample with its pools, as the trials that are remembered here show them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from engine.monitor.calibration import computing
from engine.monitor.pools import pools
from engine.protocol.memory import TorchMemory
from engine.protocol.specs import MonitorSample


def pooled(sample: MonitorSample, torch: Sequence[TorchMemory] = ()) -> MonitorSample:
    """The same sample with its pools. `torch`: what workers said, which some GPUs need. Never raises."""
    told = replace(sample, torch=tuple(torch)) if torch else sample
    return replace(told, pools=pools(told, computing(told.gpus)))
