"""Allocates and touches memory on one device while a parent reads the machine's counters.

A process of its own, because a GPU may end whoever computes on it: `-m engine.workers.calibrate cuda:0`.
Lines of JSON on stdout, each with a `stage`: `started`, `seen` (name, arch, address, count), `ready`, `held`,
`freed`, `failed` (error, memory). Each line on stdin is one step: hold, free, hold ..; its end is the end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from typing import TextIO

import torch

from engine.workers.device import is_out_of_memory

SIZE = 256 << 20
"""Bytes that are held."""
LIFE = 90
"""Seconds after which the process ends whatever happens: for a parent that died."""
SIDE = 32
"""Of the matrices that are multiplied to see whether the device computes at all."""


def main() -> int:
    """Answer until stdin ends. 3: the device refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    wanted = parser.parse_args().device
    signal.alarm(LIFE)
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    _say(wire, "started")  # torch is imported; what comes now is the device's doing
    try:
        _work(wanted, wire)
    except Exception as error:  # the process's edge: a driver raises what it likes
        _say(wire, "failed", error=f"{type(error).__name__}: {error}"[:2000], memory=is_out_of_memory(error))
        return 3
    return 0


def _work(wanted: str, wire: TextIO) -> None:
    device = torch.device(wanted)
    _say(wire, "seen", **_seen(device))
    ones = torch.ones(SIDE, SIDE, device=device)
    told = float((ones @ ones).sum())
    if told != SIDE**3:
        raise RuntimeError(f"it multiplied wrongly: {told:g} instead of {SIDE**3}")
    _say(wire, "ready")
    while sys.stdin.readline():
        held = torch.empty(SIZE, dtype=torch.uint8, device=device).fill_(1)
        _settle(device)
        _say(wire, "held")
        if not sys.stdin.readline():
            return
        del held
        _give_back(device)
        _say(wire, "freed")


def _seen(device: torch.device) -> dict[str, object]:
    """What the device is; the architecture comes before anything is computed on it."""
    if device.type != "cuda":
        return {"name": device.type, "arch": "", "address": "", "count": 1}
    told = torch.cuda.get_device_properties(device)
    arch = getattr(told, "gcnArchName", "") if torch.version.hip else f"sm_{told.major}{told.minor}"
    place = [getattr(told, f"pci_{part}_id", -1) for part in ("domain", "bus", "device")]
    address = "" if -1 in place else f"{place[0]:04x}:{place[1]:02x}:{place[2]:02x}.0"
    return {
        "name": told.name,
        "arch": str(arch).partition(":")[0],
        "address": address,
        "count": torch.cuda.device_count(),
    }


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _give_back(device: torch.device) -> None:
    _settle(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _say(wire: TextIO, stage: str, **facts: object) -> None:
    wire.write(json.dumps({"stage": stage} | facts) + "\n")
    wire.flush()


if __name__ == "__main__":
    sys.exit(main())
