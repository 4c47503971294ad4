"""Intel GPUs under the drivers i915 and xe, integrated ones and Arc, read from sysfs.

Neither driver tells what others use (that takes root): what the engine uses comes from fdinfo.
"""

from __future__ import annotations

import time

from engine.monitor.cards import NAME_LENGTH, Card, Finder, pci_id, pci_name
from engine.monitor.files import Files, Unreadable, reasons
from engine.monitor.gpus import CardReader, Field, Numbers, Used
from engine.monitor.patience import Patient
from engine.protocol.specs import GpuSample

VENDOR = "0x8086"
DRIVERS = ("i915", "xe")
_CLOCK = (
    "device/tile0/gt0/freq0/act_freq",  # xe
    "card/gt/gt0/rps_act_freq_mhz",
    "card/gt_act_freq_mhz",
)
_TEMPERATURE = ("hwmon/temp2_input", "hwmon/temp1_input")
"""xe has the package's as the second (kernel ABI, sysfs-driver-intel-xe-hwmon), i915 as the first."""
FIELDS = (
    Field("clock", "clock", _CLOCK, times=1_000_000, bound=20_000, wakes=True),
    Field("temperature", "temperature", _TEMPERATURE, parts=1000, bound=200_000, wakes=True),
)
ENERGY = ("energy1_input", "energy2_input")
"""Of the card and of the package, in µJ since the driver was loaded."""
SHORTEST = 0.2
"""Seconds over which power is measured at least."""
MOST_WATTS = 5000.0


class IntelReader(CardReader):
    """Reads every card of i915 and xe."""

    def __init__(self, files: Files | None = None, finder: Finder | None = None) -> None:
        super().__init__(files, finder, wanted=_ours, make=IntelCard)


def _ours(card: Card) -> bool:
    return card.driver in DRIVERS or (card.vendor == VENDOR and not card.driver)


class IntelCard:
    """One card."""

    def __init__(self, files: Files, card: Card) -> None:
        self._files = files
        self._card = card
        self._numbers = Numbers(files, card, FIELDS)
        self._name = ""
        self._energy: tuple[int, float] | None = None
        """µJ, and the monotonic time at which they were read."""
        self._power: float | None = None
        self.whole = Patient(self._read, f"card{card.number}")
        self.fast = Patient(self._read_fast, f"card{card.number}")

    @property
    def unknown(self) -> GpuSample:
        return GpuSample(self._name or "Intel GPU", "intel", address=self._card.address)

    @property
    def _integrated(self) -> bool | None:
        """It sits on the first bus, beside the CPU."""
        return self._card.address.startswith("0000:00:") if self._card.address else None

    def _read(self) -> GpuSample:
        self._name = self._name or self._find_name()
        values, missing = self._numbers.read()
        telling = [(field.label, why) for field, why in missing]
        try:
            values["power"] = self._find_power()
        except Unreadable as why:
            telling.append(("power", str(why)))
        total, used = None, None
        if not self._integrated:
            total, used, lacking = self._memory()
            telling = lacking + telling
        driver = self._card.driver or "Intel"
        words = [f"The {driver} driver tells only of the engine's own memory" if used is None else ""]
        words.append(f"It does not tell: {reasons(telling)}" if telling else "")
        return GpuSample(
            name=self._name,
            kind="intel",
            vram_total=total,
            vram_used=used,
            address=self._card.address,
            integrated=self._integrated,
            why=". ".join(filter(None, words)),
            age=self._numbers.age(missing),
            **values,
        )

    def _read_fast(self) -> Used:
        return Used() if self._integrated else Used(self._memory()[1])

    def _memory(self) -> tuple[int | None, int | None, list[tuple[str, str]]]:
        """(total, used, what is missing). `lmem_*` comes with Intel's own build of i915 alone."""
        files, folder = self._files, self._card.folder
        try:
            total = self._tiles() or files.number(f"{folder}/lmem_total_bytes")
        except Unreadable as why:
            return None, None, [("VRAM size", str(why))]
        try:
            free = files.number(f"{folder}/lmem_avail_bytes")
        except Unreadable as why:
            return total, None, [] if str(why) == "missing" else [("VRAM used", str(why))]
        return total, max(0, total - free), []

    def _tiles(self) -> int:
        """Bytes of memory of all tiles, as xe tells them; 0 under i915. Raises Unreadable."""
        try:
            names = self._files.names(self._card.device)
        except OSError:
            return 0
        tiles = [name for name in names if name.startswith("tile") and name[4:].isdecimal()]
        sizes = [f"{self._card.device}/{name}/physical_vram_size_bytes" for name in tiles]
        return sum(self._files.number(path) for path in sizes)

    def _find_power(self) -> float:
        """Watts since the look before. Raises Unreadable."""
        sensors = self._numbers.sensors()
        if not sensors:
            raise Unreadable("missing")
        if self._numbers.asleep():
            raise Unreadable("it sleeps")
        energy, now = self._read_energy(sensors), time.monotonic()
        before = self._energy
        if before is None or energy < before[0]:  # the counter began anew
            self._energy = energy, now
            raise Unreadable("known from the next look on")
        elapsed = now - before[1]
        if elapsed >= SHORTEST:
            self._energy = energy, now
            watts = (energy - before[0]) / 1e6 / elapsed
            self._power = watts if watts <= MOST_WATTS else None
        if self._power is None:
            raise Unreadable("known from the next look on")
        return self._power

    def _read_energy(self, sensors: str) -> int:
        try:
            return self._files.number(f"{sensors}/{ENERGY[0]}", 1 << 62)
        except Unreadable:
            return self._files.number(f"{sensors}/{ENERGY[1]}", 1 << 62)

    def _find_name(self) -> str:
        number = pci_id(self._files, f"{self._card.device}/device")
        name = pci_name(self._files, VENDOR.removeprefix("0x"), number)
        return f"Intel {name}"[:NAME_LENGTH] if name else f"Intel GPU {number}".rstrip()
