"""AMD GPUs, read from the amdgpu driver's files in sysfs. No package, no device node is opened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from engine.protocol.specs import GpuSample

SYSFS = Path("/sys/class/drm")
NAMES = Path("/usr/share/libdrm/amdgpu.ids")
"""Lines `device id, revision, name`; comes with libdrm."""
_AMD = "0x1002"
_CARD = re.compile(r"card(\d+)")


class AmdReader:
    """Reads every amdgpu card. `sysfs` and `names` are given by tests."""

    def __init__(self, sysfs: Path = SYSFS, names: Path = NAMES) -> None:
        self._sysfs = sysfs
        self._names_path = names
        self._names: dict[tuple[str, str], str] | None = None

    def read(self) -> list[GpuSample]:
        """One sample a card, by card number. Never raises: what cannot be read is None, with `why`."""
        return [self._card(folder) for folder in self._cards()]

    def _cards(self) -> list[Path]:
        found: list[tuple[int, Path]] = []
        try:
            entries = list(self._sysfs.iterdir())
        except OSError:
            return []
        for entry in entries:
            match = _CARD.fullmatch(entry.name)
            device = entry / "device"
            if match and _read(device / "vendor") == _AMD:
                found.append((int(match[1]), device))
        return [device for _, device in sorted(found)]

    def _card(self, device: Path) -> GpuSample:
        values: dict[str, Any] = {}
        missing: list[str] = []
        for key in ("vram_total", "vram_used", "gtt_total", "gtt_used"):
            values[key] = _number(device / f"mem_info_{key}")
            if values[key] is None:
                missing.append(key.replace("_", " "))
        busy = _number(device / "gpu_busy_percent")
        if busy is None or busy > 100:
            busy = None
            missing.append("load")
        return GpuSample(
            name=self._name(device),
            kind="amd",
            busy=None if busy is None else busy / 100,
            why=f"The amdgpu driver does not tell its {', '.join(missing)} now" if missing else "",
            **values,
        )

    def _name(self, device: Path) -> str:
        number = _read(device / "device").removeprefix("0x").upper()
        revision = _read(device / "revision").removeprefix("0x").upper()
        name = _read(device / "product_name") or self._table().get((number, revision), "")
        return name or f"AMD GPU {number.lower()}".rstrip()

    def _table(self) -> dict[tuple[str, str], str]:
        if self._names is None:
            self._names = {}
            try:
                lines = self._names_path.read_text("utf-8", "replace").splitlines()
            except OSError:
                lines = []
            for line in lines:
                number, _, rest = line.partition(",")
                revision, _, name = rest.partition(",")
                if name and not line.startswith("#"):
                    # sysfs writes a revision with two digits, the table may leave out the leading zero.
                    self._names[number.strip().upper(), revision.strip().upper().zfill(2)] = name.strip()
        return self._names


def _read(path: Path) -> str:
    """First line of a small file; empty when it cannot be read (a suspended GPU answers EBUSY)."""
    try:
        with path.open("rb") as file:
            line = file.read(256).split(b"\n", 1)[0]
    except OSError:
        return ""
    return line.decode("utf-8", "replace").strip()


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text.isascii() and text.isdecimal() else None
