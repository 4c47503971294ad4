"""The GPUs of this machine, and whether this torch can compute on them."""

from __future__ import annotations

from engine.api import likely_devices, specs
from tui.cli.doctor.finding import Finding

AREA = "Devices"


def check_devices(engine: specs.EngineInfo | None) -> list[Finding]:
    """By the running engine's torch; judged from torch's package where none runs."""
    if engine is not None and engine.torch == "ready":
        found, guessed = engine.devices, False
    else:
        found, guessed = likely_devices(), True
    if not found:
        return [Finding(AREA, "ok", "No GPU; models run on the CPU")]
    return [judged(device, guessed=guessed) for device in found]


def judged(device: specs.DeviceFinding, *, guessed: bool) -> Finding:
    """One GPU. An unused one is a note: the CPU computes instead."""
    if device.usable and guessed:
        what = f"{device.name} should be usable by the installed torch"
        return Finding(AREA, "ok", what, "Run `qwill engine start`, then this again, to hear it from torch")
    if device.usable:
        return Finding(AREA, "ok", f"{device.name} is used")
    # Without a remedy another GPU is in use, and this one cannot be.
    return Finding(AREA, "note", f"{device.name} is not used. {device.why}", device.remedy)
