"""What the workers hold, in torch's own numbers, told to the engine's board. Nothing here fails a worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.backend import ReplySink
from engine.holdings import Held, shared
from engine.monitor import apple
from engine.protocol.memory import TorchMemory
from engine.protocol.specs import MessageState, Part, ReplyStats
from engine.workers.loaded import LoadedModel
from engine.workers.prefix import PrefixCache

EVERY = 0.5
"""Seconds between two countings while something grows: the monitor samples once a second."""
_highest: dict[str, int] = {}
"""By device: the most that was ever allocated; a phase's end starts torch's own count anew."""


class Tick:
    """Says yes every EVERY seconds at most, the first time at once."""

    def __init__(self) -> None:
        self._last = -EVERY

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._last < EVERY:
            return False
        self._last = now
        return True


# --- torch --------------------------------------------------------------------------------------


def torch_memory() -> tuple[TorchMemory, ...]:
    """Of each GPU that torch has used (`torch.cuda.memory_stats`, `torch.mps`); none on the CPU.

    Never starts torch on a GPU that it does not use yet.
    """
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found = (_of_cuda(number) for number in range(torch.cuda.device_count()))
        return tuple(each for each in found if each.reserved or each.peak)
    if torch.backends.mps.is_available():
        allocated = int(torch.mps.current_allocated_memory())
        peak = _most("mps", allocated)
        driver = int(torch.mps.driver_allocated_memory())
        apple.shared.put(apple.MpsNumbers(allocated, driver, int(torch.mps.recommended_max_memory())))
        return (TorchMemory("mps", allocated, driver, peak),)
    return ()


def allocated(device: torch.device) -> tuple[int, int]:
    """(bytes in tensors now, most of them since `reset_peak`) on a CUDA or ROCm device; zeros elsewhere."""
    if device.type != "cuda":
        return 0, 0
    return int(torch.cuda.memory_allocated(device)), int(torch.cuda.max_memory_allocated(device))


def reset_peak(device: torch.device) -> None:
    """Let torch count the most that is allocated there anew; nothing on the CPU."""
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index
        _most(f"cuda:{number}", int(torch.cuda.max_memory_allocated(device)))
        torch.cuda.reset_peak_memory_stats(device)


def tell_torch() -> None:
    """Put torch's numbers on the board."""
    with shared.unharmed("torch's memory"):
        shared.torch(torch_memory())


def _of_cuda(number: int) -> TorchMemory:
    stats: dict[str, Any] = torch.cuda.memory_stats(number)
    device = f"cuda:{number}"
    return TorchMemory(
        device,
        allocated=int(stats.get("allocated_bytes.all.current", 0)),
        reserved=int(stats.get("reserved_bytes.all.current", 0)),
        peak=_most(device, int(stats.get("allocated_bytes.all.peak", 0))),
        fragmented=int(stats.get("inactive_split_bytes.all.current", 0)),
        retries=int(stats.get("num_alloc_retries", 0)),
        ooms=int(stats.get("num_ooms", 0)),
    )


def _most(device: str, bytes_now: int) -> int:
    _highest[device] = max(bytes_now, _highest.get(device, 0))
    return _highest[device]


# --- tensors ------------------------------------------------------------------------------------


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Of tensors that may be named twice, each counted once."""
    return sum(tensor.nbytes for tensor in {id(tensor): tensor for tensor in tensors}.values())


def own_bytes(model: nn.Module, base: nn.Module) -> int:
    """Bytes of the tensors that a model does not share with the one it stands on."""
    theirs = {id(tensor) for tensor in (*base.parameters(), *base.buffers())}
    return bytes_of(
        each for each in (*model.parameters(), *model.buffers()) if id(each) not in theirs and each.dim() > 0
    )


# --- chats --------------------------------------------------------------------------------------


def tell_caches(caches: Mapping[str, PrefixCache], models: Iterable[LoadedModel]) -> None:
    """Put the chats' caches on the board, one row a model. Call in the model thread."""
    with shared.unharmed("the chats' caches"):
        held: dict[object, int] = {}
        for cache in caches.values():
            serial = cache.key[0] if isinstance(cache.key, tuple) else None
            held[serial] = held.get(serial, 0) + cache.nbytes()
        known = [(loaded.info, held.get(loaded.serial, 0)) for loaded in models]
        shared.hold("caches", [Held("cache", total, info.name, info.device) for info, total in known])
    tell_torch()


class CountedSink:
    """A ReplySink that has the memory counted now and then while its reply grows."""

    def __init__(self, sink: ReplySink, count: Callable[[], None]) -> None:
        self.cancelled: threading.Event = sink.cancelled
        self.answer_now: threading.Event = sink.answer_now
        self._sink = sink
        self._count = count
        self._tick = Tick()

    def moved(self, state: MessageState) -> None:
        self._sink.moved(state)

    def text(self, part: Part, text: str) -> None:
        self._sink.text(part, text)

    def stats(self, stats: ReplyStats) -> None:
        if self._tick():
            self._count()
        self._sink.stats(stats)
