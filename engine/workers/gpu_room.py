"""How much memory a GPU can still give: the driver's word for a card, the monitor's main pool for an APU."""

from __future__ import annotations

from functools import cache

import torch

from engine.models.machine import MachineFacts, machine_facts
from engine.monitor.sample import Sampler
from engine.protocol.specs import DeviceFinding


def gpu_room(device: torch.device, held: int = 0) -> MachineFacts:
    """The memory of a `cuda` device now, with what torch caches of it. `held`: bytes of loaded weights.

    Where a GPU shares the RAM, `mem_get_info` may tell more than there is, or only the firmware's carve-out.
    """
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    told = torch.cuda.get_device_properties(device)
    if told.is_integrated:
        shared = _pool(told.name, held)
        if shared is not None:
            return MachineFacts(
                shared.pool, shared.free + cached, shared.total, shared.shared, held, name=shared.name
            )
    free, total = torch.cuda.mem_get_info(device)
    return MachineFacts("VRAM", free + cached, total, shared=False, held=held, name=told.name)


def _pool(name: str, held: int) -> MachineFacts | None:
    """None where the monitor sees no GPU of torch's maker."""
    maker = DeviceFinding(name, "amd" if torch.version.hip else "nvidia", usable=True)
    facts = machine_facts(_sampler().sample(), (maker,), held=held)
    return facts if facts is not None and facts.name else None


@cache
def _sampler() -> Sampler:
    return Sampler()
