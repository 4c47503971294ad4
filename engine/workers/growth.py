"""Memory while a chat grows: refuses a prompt whose KV cache would not fit, and measures what a load took."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from engine.backend import LoadSpec
from engine.models import footprint
from engine.models.fit import gib
from engine.monitor.available import available_ram
from engine.protocol.errors import fault
from engine.protocol.specs import ModelInfo
from engine.workers.device import DTYPES, pick_device
from engine.workers.gpu_room import gpu_room

SMALL = 32 << 20
"""Bytes that no prompt is refused for."""


def needed(info: ModelInfo, tokens: int, held: int) -> int:
    """Bytes that a prompt of so many tokens takes beside weights and the `held` bytes of its cache."""
    if info.shape is None:
        return 0
    width = DTYPES[info.load_dtype].itemsize if info.load_dtype in DTYPES else 2
    cache = footprint.cache(info.shape, tokens, width)
    return max(0, cache - held) + footprint.working(info.shape, tokens, width)


def free_memory(device: torch.device, weights: int) -> int:
    """Bytes that can be had now; `weights` of loaded models are not free, though their pages may be files."""
    if device.type == "cuda":
        return gpu_room(device).free
    mapped = int(getattr(psutil.Process().memory_info(), "shared", 0))
    return max(0, available_ram() - min(weights, mapped))


def refuse(info: ModelInfo, tokens: int, need: int, free: int, kept: int) -> None:
    """Raise EngineError `no_room_to_grow` when the prompt does not fit what is free, less what is kept."""
    if need > SMALL and need > free - kept:
        raise fault(
            "no_room_to_grow",
            f"The chat does not fit the memory: its {tokens:,} tokens need about {gib(need)} more, "
            f"{gib(max(0, free - kept))} can be had",
            "Nothing was computed, and the chat is as it was",
            "Shorten the chat, limit its context (F10), unload another model, or close other programs",
            retryable=True,
        )


class Peak:
    """The most memory that this process, or the GPU, held since a load began. Linux and CUDA."""

    def __init__(self, device: torch.device) -> None:
        """Call before the load; starts the count anew."""
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._base = torch.cuda.memory_allocated(device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak begins at what is held now
        except OSError:
            self._base = 0
            return
        self._base = _status("VmHWM")

    def bytes(self) -> int:
        """Since then; 0 where the system does not tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device)) - self._base
        return max(0, _status("VmHWM") - self._base) if self._base else 0


class Growth:
    """What is kept free while a model's caches grow, and its memory until the first reply. Model thread."""

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}
        self._peaks: dict[str, Peak] = {}

    def begin(self, spec: LoadSpec) -> None:
        """A load begins; what other loads took is not told from it any more."""
        self._peaks = {spec.model.id: Peak(pick_device())}
        self._kept[spec.model.id] = spec.kept

    def forget(self, model: str) -> None:
        """It is unloaded, which gives memory back in the middle of whatever was measured."""
        self._peaks.clear()
        self._kept.pop(model, None)

    def taken(self, model: str) -> int:
        """Bytes that the model took at most since before its load; told once, 0 afterwards."""
        peak = self._peaks.pop(model, None)
        return peak.bytes() if peak is not None else 0

    def make_room(
        self,
        info: ModelInfo,
        device: torch.device,
        tokens: int,
        held: int,
        weights: int,
        drop: Callable[[], bool],
    ) -> None:
        """Let go of other chats' caches until the prompt fits. Raises EngineError `no_room_to_grow`.

        `held`: bytes of the chat's own cache; `weights`: of all loaded models; `drop` forgets the oldest
        other cache and says whether there was one.
        """
        need, kept = needed(info, tokens, held), self._kept.get(info.id, 0)
        free = free_memory(device, weights)
        while need > SMALL and need > free - kept and drop():
            free = free_memory(device, weights)
        refuse(info, tokens, need, free, kept)


def _status(key: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:")), 0)
