"""AMD GPUs, read from the amdgpu driver's files in sysfs. No package, no device node is opened."""

from __future__ import annotations

from engine.monitor.cards import NAME_LENGTH, Card, Finder, pci_id, pci_name
from engine.monitor.files import Files, Unreadable, reasons
from engine.monitor.gpus import CardReader, Field, Missing, Numbers, Used
from engine.monitor.patience import Patient
from engine.protocol.specs import GpuSample

NAMES = "/usr/share/libdrm/amdgpu.ids"
"""Lines `device id, revision, name`; comes with libdrm."""
VENDOR = "0x1002"
_POWER = ("hwmon/power1_average", "hwmon/power1_input")
"""An APU has one of the two, depending on its firmware."""
FIELDS = (
    Field("vram_total", "VRAM size", ("device/mem_info_vram_total",)),
    Field("vram_used", "VRAM used", ("device/mem_info_vram_used",)),
    Field("gtt_total", "GTT size", ("device/mem_info_gtt_total",)),
    Field("gtt_used", "GTT used", ("device/mem_info_gtt_used",)),
    Field("visible_total", "visible VRAM size", ("device/mem_info_vis_vram_total",)),
    Field("visible_used", "visible VRAM used", ("device/mem_info_vis_vram_used",)),
    Field("busy", "load", ("device/gpu_busy_percent",), parts=100, bound=100, wakes=True),
    Field("memory_busy", "memory load", ("device/mem_busy_percent",), parts=100, bound=100, wakes=True),
    Field("power", "power", _POWER, parts=1_000_000, bound=5_000_000_000, wakes=True),
    Field("clock", "clock", ("hwmon/freq1_input",), bound=20_000_000_000, wakes=True),
    Field("temperature", "temperature", ("hwmon/temp1_input",), parts=1000, bound=200_000, wakes=True),
)
"""Bytes, percent, µW, Hz and m°C in the files (kernel docs, gpu/amdgpu/thermal)."""


class AmdReader(CardReader):
    """Reads every amdgpu card."""

    def __init__(self, files: Files | None = None, finder: Finder | None = None) -> None:
        super().__init__(files, finder, wanted=_ours, make=AmdCard)


def _ours(card: Card) -> bool:
    """The old driver `radeon` has none of the files; a card given to a guest has `vfio-pci`."""
    return card.driver == "amdgpu" or (card.vendor == VENDOR and not card.driver)


class AmdCard:
    """One card."""

    def __init__(self, files: Files, card: Card) -> None:
        self._files = files
        self._card = card
        self._numbers = Numbers(files, card, FIELDS)
        self._name = ""
        self._integrated: bool | None = None
        self.whole = Patient(self._read, f"card{card.number}")
        self.fast = Patient(self._read_fast, f"card{card.number}")

    @property
    def unknown(self) -> GpuSample:
        return GpuSample(self._name or "AMD GPU", "amd", address=self._card.address)

    def _read(self) -> GpuSample:
        self._name = self._name or self._find_name()
        if self._integrated is None:
            self._integrated = _integrated(self._files, self._card.device, self._numbers.sensors())
        values, missing = self._numbers.read()
        return GpuSample(
            name=self._name,
            kind="amd",
            address=self._card.address,
            integrated=self._integrated,
            why=self._why(missing),
            age=self._numbers.age(missing),
            **values,
        )

    def _read_fast(self) -> Used:
        values: list[int | None] = []
        for file in ("mem_info_vram_used", "mem_info_gtt_used"):
            try:
                values.append(self._files.number(f"{self._card.device}/{file}"))
            except Unreadable:
                values.append(None)
        return Used(*values)

    def _why(self, missing: Missing) -> str:
        """APUs have no counter of their memory's load: its absence there is nothing to tell."""
        absent = ("missing", "not supported")
        telling = [
            (field.label, why)
            for field, why in missing
            if not (field.name == "memory_busy" and self._integrated and why in absent)
        ]
        return f"The amdgpu driver does not tell: {reasons(telling)}" if telling else ""

    def _find_name(self) -> str:
        device = self._card.device
        number, revision = pci_id(self._files, f"{device}/device"), pci_id(self._files, f"{device}/revision")
        name = (
            self._files.word(f"{device}/product_name")
            or _marketing_name(self._files, number, revision)
            or pci_name(self._files, VENDOR.removeprefix("0x"), number)
        )
        return name[:NAME_LENGTH] or f"AMD GPU {number}".rstrip()


def _integrated(files: Files, device: str, sensors: str) -> bool | None:
    """Only APUs measure the voltage of a north bridge; only other cards have memory chips with a maker."""
    if sensors and files.word(f"{sensors}/in1_label") == "vddnb":
        return True
    if files.word(f"{device}/mem_info_vram_vendor") not in ("", "unknown"):
        return False
    if sensors and files.word(f"{sensors}/in0_label") == "vddgfx":
        return False
    return None


def _marketing_name(files: Files, number: str, revision: str) -> str:
    try:
        lines = files.read(NAMES, 1 << 20).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        id_, _, rest = line.partition(",")
        release, _, name = rest.partition(",")
        # sysfs writes a revision with two digits, the table may leave out the leading zero.
        if id_.strip().lower() == number and release.strip().lower().zfill(2) == revision:
            return name.strip()
    return ""
