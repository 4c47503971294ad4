"""On which device a run learns: the one that its spec names, else the one with most free memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import torch

from engine.models.fit import gib
from engine.monitor.available import available_ram
from engine.protocol.errors import fault
from engine.workers.device import pick_device
from engine.workers.gpu_room import gpu_room

AUTO = ("", "auto")


class Place(msgspec.Struct, frozen=True):
    """A device that a run could learn on."""

    name: str
    """`cpu`, `mps`, `cuda:1`."""
    free: int
    """Bytes."""


def chosen(wanted: str, places: Sequence[Place], chat: str = "") -> str:
    """The name of the place for a run; `chat`: of the one where the chat's model lies.

    Left open, it is the GPU with most free memory, of equal ones not the chat's; the CPU where there is no
    other. `cuda` is any GPU of that kind. Raises EngineError `device_unknown` with those that exist.
    """
    if wanted in AUTO:
        able = [place for place in places if place.name != "cpu"] or list(places)
    else:
        able = [place for place in places if wanted in (place.name, place.name.partition(":")[0])]
    if not able:
        known = ", ".join(f"{place.name} ({gib(place.free)} free)" for place in places)
        raise fault(
            "device_unknown",
            f"There is no device {wanted} here",
            f"This machine has {known}",
            f"Leave `device` out, or set it to {places[0].name}",
        )
    return max(able, key=lambda place: (place.free, place.name != chat)).name


def places() -> list[Place]:
    """Of this machine, the CPU last."""
    found = []
    if torch.cuda.is_available():
        for place in range(torch.cuda.device_count()):
            name = f"cuda:{place}"
            found.append(Place(name, gpu_room(torch.device(name)).free))
    free = available_ram()
    if torch.backends.mps.is_available():
        found.append(Place("mps", free))
    return [*found, Place("cpu", free)]


def run_device(wanted: str, chat: torch.device | None = None) -> torch.device:
    """The same for this machine; `chat`: where the run's base is loaded, None where it is not."""
    if wanted in AUTO and torch.cuda.device_count() < 2:  # looking at a GPU's memory takes some of it
        return chat or pick_device()
    return torch.device(chosen(wanted, places(), str(chat) if chat is not None else ""))


def same(one: torch.device, other: torch.device) -> bool:
    """Whether both are one device; `cuda` alone is the first GPU."""
    return (one.type, one.index or 0) == (other.type, other.index or 0)
