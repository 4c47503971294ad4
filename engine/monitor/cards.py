"""GPUs as the kernel's DRM lists them: which card of which maker sits where."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

from engine.monitor.files import Files
from engine.monitor.patience import Patient

DRM = "/sys/class/drm"
_CARD = re.compile(r"card(\d+)")
"""Not `card0-DP-1`, which is a connector."""
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
PCI_IDS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")
"""Lines `vendor  name`, below each `<tab>device  name`; comes with pciutils or hwdata."""
NAME_LENGTH = 64
"""Characters of a name at most."""
LOOK_EVERY = 10.0
"""Seconds between two looks for cards."""


class Card(NamedTuple):
    """One card."""

    number: int
    """Not always from 0: a firmware's display may have had it."""
    folder: str
    """`/sys/class/drm/card1`"""
    vendor: str
    """PCI, as `0x1002`; empty when it cannot be read."""
    driver: str
    """`amdgpu`; empty when it cannot be read."""
    address: str
    """On the PCI bus, as `0000:04:00.0`; empty for one that sits elsewhere."""

    @property
    def device(self) -> str:
        return f"{self.folder}/device"


def cards(files: Files) -> list[Card]:
    """All of them, by number."""
    try:
        names = files.names(DRM)
    except OSError:
        return []
    numbers = sorted(int(match[1]) for name in names if (match := _CARD.fullmatch(name)))
    return [_card(files, number) for number in numbers]


def _card(files: Files, number: int) -> Card:
    folder = f"{DRM}/card{number}"
    device = f"{folder}/device"
    event = _event(files, device)
    try:
        driver = files.link(f"{device}/driver").rpartition("/")[2]
    except OSError:
        driver = event.get("DRIVER", "")
    address = files.real(device).rpartition("/")[2].lower()
    if not _ADDRESS.fullmatch(address):
        address = event.get("PCI_SLOT_NAME", "").lower()
    return Card(number, folder, files.word(f"{device}/vendor"), driver, address)


def _event(files: Files, device: str) -> dict[str, str]:
    try:
        text = files.read(f"{device}/uevent").decode("utf-8", "replace")
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def pci_id(files: Files, path: str) -> str:
    """What a file such as `device` names, as `15bf`; empty where it holds anything else."""
    text = files.word(path).removeprefix("0x").lower()
    return text if re.fullmatch(r"[0-9a-f]{1,4}", text) else ""


def pci_name(files: Files, vendor: str, device: str) -> str:
    """Name of a device by its ids, as `15bf`; empty where no table knows it."""
    if not vendor or not device:
        return ""
    for path in PCI_IDS:
        try:
            text = files.read(path, 4 << 20)
        except OSError:
            continue
        begin = text.find(f"\n{vendor}  ".encode())
        end = text.find(b"\n\t" + device.encode() + b"  ", begin)
        between = text[begin + 1 : end] if 0 <= begin < end else b""
        # Another vendor's line in between: the device stood below that one.
        if not between or any(line[:1] not in (b"\t", b"#", b"") for line in between.split(b"\n")[1:]):
            continue
        return text[end + 2 :].split(b"\n", 1)[0][len(device) :].decode("utf-8", "replace").strip()
    return ""


class Finder:
    """Looks for cards now and then: an external GPU may come and go."""

    def __init__(self, files: Files) -> None:
        self._patient = Patient(lambda: cards(files), "the list of GPUs")
        self._next = 0.0

    def patients(self) -> list[Patient[Any]]:
        """What is to be asked before `cards` is looked at."""
        now = time.monotonic()
        if now < self._next:
            return []
        self._next = now + LOOK_EVERY
        return [self._patient]

    @property
    def cards(self) -> list[Card]:
        """As of the last look."""
        return self._patient.answer().value or []
