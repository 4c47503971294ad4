"""What the readers of all makers have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from engine.monitor.cards import Card, Finder
from engine.monitor.files import BOUND, Files, Unreadable
from engine.monitor.patience import Answer, Patient, ask_all
from engine.protocol.specs import GpuSample


class Used(NamedTuple):
    """What moves fast on a GPU. Bytes; None is unknown."""

    vram: int | None = None
    gtt: int | None = None


class Gpus(Protocol):
    """The GPUs of one maker. `patients` are asked first, by whoever asks those of several makers at once."""

    def patients(self) -> Sequence[Patient[Any]]:
        """What `samples` is made of."""
        ...

    def samples(self) -> list[GpuSample]:
        """One a GPU, always in the same order; waits for nothing."""
        ...

    def quick_patients(self) -> Sequence[Patient[Any]]:
        """What `quick` is made of; none of a GPU that does not answer."""
        ...

    def quick(self) -> list[Used]:
        """One a GPU, in the order of `samples`."""
        ...


class Reader(Protocol):
    """One card: all of its numbers, and those that move fast."""

    whole: Patient[GpuSample]
    fast: Patient[Used]

    @property
    def unknown(self) -> GpuSample:
        """What is known of it without reading."""
        ...


class CardReader:
    """The cards of one maker, as DRM lists them. Never raises: what cannot be read is None, with `why`."""

    def __init__(
        self,
        files: Files | None,
        finder: Finder | None,
        *,
        wanted: Callable[[Card], bool],
        make: Callable[[Files, Card], Reader],
    ) -> None:
        self._files = files or Files()
        self._finder = finder or Finder(self._files)
        self._wanted = wanted
        self._make = make
        self._readers: dict[Card, Reader] = {}

    def read(self) -> list[GpuSample]:
        """One sample a card, by card number; waits for a stuck driver as long as patience lasts."""
        ask_all(self._finder.patients())
        ask_all(self.patients())
        return self.samples()

    def patients(self) -> Sequence[Patient[Any]]:
        found = [card for card in self._finder.cards if self._wanted(card)]
        self._readers = {card: self._readers.get(card) or self._make(self._files, card) for card in found}
        return [reader.whole for reader in self._readers.values()]

    def samples(self) -> list[GpuSample]:
        return [told(reader.whole.answer(), reader.unknown) for reader in self._readers.values()]

    def quick_patients(self) -> Sequence[Patient[Any]]:
        return [reader.fast for reader in self._readers.values() if not reader.whole.stuck]

    def quick(self) -> list[Used]:
        return [reader.fast.answer().value or Used() for reader in self._readers.values()]


class Field(NamedTuple):
    """One number of a GPU and the files that may tell it."""

    name: str
    """As GpuSample has it."""
    label: str
    paths: tuple[str, ...]
    """Below a place: `device/` of the card, `card/` itself, `hwmon/` of its sensors. The first that tells
    counts."""
    times: int = 1
    """Our units in one of the file's."""
    parts: int = 0
    """The file's units in one of ours, where those are the smaller ones; 0 keeps a whole number."""
    bound: int = BOUND
    """In the file's unit; more is nonsense."""
    wakes: bool = False
    """Whether reading it wakes a GPU that sleeps."""


Missing = list[tuple[Field, str]]
"""What cannot be read, and why."""


class Numbers:
    """The numbers of one card by a table of fields, and when each was last read."""

    def __init__(self, files: Files, card: Card, fields: Sequence[Field]) -> None:
        self._files = files
        self._card = card
        self._fields = fields
        self._good: dict[str, float] = {}
        """Monotonic time of the last good reading, by field."""

    def sensors(self) -> str:
        """The folder of the card's sensors; empty where there is none."""
        folder = f"{self._card.device}/hwmon"
        try:
            names = self._files.names(folder)
        except OSError:
            return ""
        return f"{folder}/{names[0]}" if names else ""

    def asleep(self) -> bool:
        """Whether the GPU is powered down: older kernels wake it for each look at a sensor."""
        return self._files.word(f"{self._card.device}/power/runtime_status") == "suspended"

    def read(self) -> tuple[dict[str, Any], Missing]:
        """(values by name, what is missing and why)."""
        places = {"device": self._card.device, "card": self._card.folder, "hwmon": self.sensors()}
        asleep = self.asleep()
        values: dict[str, Any] = {}
        missing: Missing = []
        for field in self._fields:
            try:
                if asleep and field.wakes:
                    raise Unreadable("it sleeps")
                values[field.name] = _read(self._files, places, field)
            except Unreadable as error:
                missing.append((field, str(error)))
        self._good |= dict.fromkeys(values, time.monotonic())
        return values, missing

    def age(self, missing: Missing) -> float:
        """Seconds since what is missing was last read; 0 where it never was."""
        last = [self._good[field.name] for field, _ in missing if field.name in self._good]
        return time.monotonic() - max(last) if last else 0.0


def _read(files: Files, places: dict[str, str], field: Field) -> int | float:
    """In GpuSample's unit. Raises Unreadable with the reason of the first path that is not simply absent."""
    why = "missing"
    for path in field.paths:
        place, _, rest = path.partition("/")
        if not places[place]:
            continue
        try:
            value = files.number(f"{places[place]}/{rest}", field.bound)
        except Unreadable as error:
            why = str(error) if why == "missing" else why
            continue
        return value / field.parts if field.parts else value * field.times
    raise Unreadable(why)


def told(answer: Answer[GpuSample], unknown: GpuSample) -> GpuSample:
    """The newest sample, with its age and the reason where it is an old one."""
    gpu = answer.value
    if gpu is None:
        return replace(unknown, why=f"The driver does not tell anything: {answer.why}")
    return aged(gpu, answer, "The driver") if answer.why else gpu


def aged(gpu: GpuSample, answer: Answer[Any], who: str) -> GpuSample:
    """An old sample that says so."""
    why = f"{who} does not answer, these numbers are old: {answer.why}"
    return replace(gpu, age=max(gpu.age, answer.age), why=why)
