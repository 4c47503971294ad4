"""Trials of this machine's GPUs: at the engine's start where none is remembered, and by `qwill doctor`.

A GPU that ends its trial's process is hidden from torch before torch is imported: models run on the CPU then.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.devices import Machine
from engine.monitor import calibration
from engine.monitor.computing import Calibration
from engine.monitor.sample import gpu_readers
from engine.protocol.errors import EngineError
from engine.protocol.specs import GpuSample
from engine.settings import current_settings
from engine.trial import SECONDS, Outcome, Readers, Trial

log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parent.parent
MOST = 8
"""GPUs that are tried."""
AGAIN_SECONDS = 86_400.0
"""After which an engine's start tries a GPU again that was refused."""
HIDDEN = "-1"
"""No GPU has this number: both CUDA and HIP then see none."""


def at_start() -> tuple[Calibration, ...]:
    """What is known of the GPUs that torch is built for, tried now where nothing is remembered.

    Call before torch is imported: a GPU that cannot be used is hidden from it. Returns at once where torch
    is built for the CPU alone, or where there is no GPU for it. Never raises.
    """
    if not calibration.makers():
        return ()
    try:
        readers = gpu_readers()
        gpus = read(readers)
        if not wanted(gpus):
            return ()
        found = calibration.remembered(calibration.key(gpus))
        if found is None or _stale(found):
            found = calibrate(gpus, readers)
    except OSError as error:  # no process, no memory for one: the rule has to do
        log.warning("the GPUs were not tried: %s", error)
        return ()
    hide(found)
    return found


def calibrate(
    gpus: Sequence[GpuSample] | None = None,
    readers: Readers | None = None,
    *,
    devices: Sequence[str] = (),
    tell: Callable[[str], None] = lambda _: None,
    seconds: float = SECONDS,
) -> tuple[Calibration, ...]:
    """Try every device that torch is built for, or these, and remember what it showed.

    `tell` hears the device that is tried now. All together take at most `seconds`. Raises OSError.
    """
    readers = gpu_readers() if readers is None else readers
    gpus = read(readers) if gpus is None else gpus
    outcomes: list[Outcome] = []
    until = time.monotonic() + seconds
    asked = list(devices) or devices_for(gpus)
    while asked and (left := until - time.monotonic()) > 0:
        device = asked.pop(0)
        tell(device)
        outcome = Trial(device, readers, seconds=left, environment=environment()).run()
        log.info("trial of %s: %s", device, outcome.found)
        outcomes.append(outcome)
        if device == "cuda:0" and not devices:
            asked += [f"cuda:{number}" for number in range(1, min(outcome.devices, MOST))]
    found = tuple(outcome.found for outcome in outcomes)
    if found and not asked and all(outcome.conclusive for outcome in outcomes):
        _remember(calibration.key(gpus), found)
    return found


def devices_for(gpus: Sequence[GpuSample]) -> list[str]:
    """What is tried first: the GPU that torch is built for, else the CPU."""
    if not wanted(gpus):
        return ["cpu"]
    return ["mps"] if calibration.makers() == ("apple",) else ["cuda:0"]


def wanted(gpus: Sequence[GpuSample]) -> bool:
    """Whether there is a GPU of a maker that the installed torch is built for, with a driver to be asked."""
    makers = calibration.makers()
    machine = Machine()
    if machine.apple:
        return "apple" in makers
    return any(maker in makers and machine.reachable(maker) for maker, _ in machine.gpus(gpus))


def read(readers: Readers) -> list[GpuSample]:
    """The GPUs now."""
    return [gpu for reader in readers for gpu in reader()]


def environment() -> dict[str, str]:
    """Of a trial: as the engine's own, with what `[engine.env]` of the settings says."""
    return current_settings().env | os.environ | {"PYTHONPATH": str(_ROOT)}


def hide(found: Sequence[Calibration]) -> None:
    """Keep torch, and whatever the engine starts, from the GPUs that cannot be used."""
    tried = [each for each in found if each.device.startswith("cuda:")]
    if all(each.usable for each in tried):
        return
    calibration.keep_variables()
    name = "HIP_VISIBLE_DEVICES" if "amd" in calibration.makers() else "CUDA_VISIBLE_DEVICES"
    seen = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
    places = seen or [str(number) for number in range(len(tried))]
    kept = [place for number, place in enumerate(places) if number >= len(tried) or tried[number].usable]
    os.environ[name] = ",".join(kept) or HIDDEN
    log.warning("%s is %s: a trial showed that the other GPUs cannot be used", name, os.environ[name])


def _stale(found: Sequence[Calibration]) -> bool:
    """Whether a GPU was refused long enough ago to be tried again: what was wrong may have been put right."""
    return any(not each.usable and abs(time.time() - each.at) > AGAIN_SECONDS for each in found)


def _remember(key: str, found: Sequence[Calibration]) -> None:
    try:
        calibration.remember(key, found)
    except (OSError, EngineError) as error:
        log.warning("the trial of the GPUs is not remembered: %s", error)
