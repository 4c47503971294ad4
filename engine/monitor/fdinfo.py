"""What the engine's own processes hold on GPUs and do there: DRM fdinfo (kernel docs, gpu/drm-usage-stats).

Only the engine's processes are looked at, never all of /proc.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from engine.monitor.files import BOUND, Files, Unreadable, number, word_of
from engine.protocol.specs import GpuSample

NODES = ("/dev/dri/", "/dev/accel/")
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_MEMORY = ("drm-resident-", "drm-memory-", "drm-total-")
"""The best first. `drm-shared-` are buffers that several clients hold: a part of these, never added."""
_VRAM = ("vram", "local")
_RAM = ("gtt", "system", "memory")
"""Regions that are system RAM: of amdgpu and xe; of i915 and xe; of amdxdna. Others are neither: `cpu` of
amdgpu, which the GPU does not reach, `stolen`, `doorbell`."""
MOST = 4096
"""Open files of a process that are looked at."""
SHORTEST = 0.2
"""Seconds over which a share of time is taken at least."""
_LARGEST = 1 << 64
Key = tuple[str, str]
"""A client of a driver: device and number. Files that share one repeat its sums, in forked children too."""


class Client(NamedTuple):
    """What one open device file tells."""

    key: Key
    driver: str
    memory: dict[str, int]
    """Bytes by region."""
    busy: dict[str, int]
    """Nanoseconds that an engine worked."""
    cycles: dict[str, int]
    """Of an engine that it worked, where the driver counts these."""
    of_cycles: dict[str, int]
    """All cycles that went by meanwhile."""
    capacity: dict[str, int]
    """Equal engines of one name, where there are several."""


class Share(NamedTuple):
    """The engine's part of one device. None is unknown."""

    vram: int | None = None
    gtt: int | None = None
    busy: float | None = None
    """0 to 1, of the engine of the GPU that works most for us."""


class Shares(NamedTuple):
    """By address on the PCI bus; a device that is not named is not used."""

    by_device: dict[str, Share] = {}
    why: str = ""
    """Why it cannot be told at all."""


class ClientReader:
    """Reads the files that `pids` have open on GPUs."""

    def __init__(self, files: Files, pids: Callable[[], Sequence[int]]) -> None:
        self._files = files
        self._pids = pids
        self._before: dict[Key, Client] | None = None
        self._at = 0.0
        self._busy: dict[str, float] = {}

    def read(self) -> Shares:
        """Never raises."""
        pids = self._pids()
        found: dict[Key, Client] = {}
        for pid in pids:
            try:
                for client in self._clients(pid):
                    found[client.key] = _larger(client, found.get(client.key))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended
            except OSError as error:
                return Shares(why=f"/proc/PID/fdinfo: {word_of(error)}")
        self._measure(found)
        devices = {device for device, _ in found}
        return Shares({device: self._share(device, found) for device in devices})

    def _clients(self, pid: int) -> list[Client]:
        """Raises OSError."""
        found = []
        for name in self._files.names(f"/proc/{pid}/fd")[:MOST]:
            try:
                if not self._files.link(f"/proc/{pid}/fd/{name}").startswith(NODES):
                    continue
                text = self._files.read(f"/proc/{pid}/fdinfo/{name}").decode("utf-8", "replace")
            except FileNotFoundError:
                continue  # it was closed
            client = parse(text, pid)
            if client is not None:
                found.append(client)
        return found

    def _share(self, device: str, clients: dict[Key, Client]) -> Share:
        regions = [client.memory for (where, _), client in clients.items() if where == device]
        if not any(regions):  # a kernel before 5.19 tells times alone
            return Share(busy=self._busy.get(device))
        return Share(
            vram=sum(size for each in regions for name, size in each.items() if name.startswith(_VRAM)),
            gtt=sum(size for each in regions for name, size in each.items() if name.startswith(_RAM)),
            busy=self._busy.get(device),
        )

    def _measure(self, clients: dict[Key, Client]) -> None:
        """Shares of time since the look before; the first look has none."""
        now = time.monotonic()
        before, elapsed = self._before, now - self._at
        if before is not None and elapsed < SHORTEST:
            return
        if before is not None:
            # A counter may fall back a little, and catches up (drm-usage-stats): the largest seen counts.
            clients = {key: _larger(client, before.get(key)) for key, client in clients.items()}
            self._busy = _shares(before, clients, elapsed)
        self._before, self._at = dict(clients), now


def parse(text: str, pid: int = 0) -> Client | None:
    """One file; None where it is not a GPU's. Lines that make no sense are passed over."""
    facts = {key: rest.strip() for key, _, rest in (line.partition(":") for line in text.splitlines())}
    device = facts.get("drm-pdev", "").lower()
    if not device or not facts.get("drm-driver"):
        return None
    # Without a number, all files of a process are taken for one client: better too little than twice.
    key = device, facts.get("drm-client-id") or f"process {pid}"
    memory: dict[str, int] = {}
    for prefix in reversed(_MEMORY):
        memory |= _numbers(facts, prefix, UNITS, BOUND)
    engines = _numbers(facts, "drm-engine-", {"ns": 1})
    capacity = _numbers(facts, "drm-engine-capacity-", {"": 1})
    cycles, of_cycles = (_numbers(facts, prefix, {"": 1}) for prefix in ("drm-cycles-", "drm-total-cycles-"))
    return Client(key, facts["drm-driver"], memory, engines, cycles, of_cycles, capacity)


def with_shares(gpu: GpuSample, shares: Shares | None) -> GpuSample:
    """With what the engine holds there. Intel's drivers tell no other load than that of one's own."""
    if gpu.kind not in ("amd", "intel") or not gpu.address or shares is None:
        return gpu
    if shares.why:
        words = f"The engine's own share is unknown: {shares.why}"
        return replace(gpu, why=f"{gpu.why}. {words}" if gpu.why else words)
    share = shares.by_device.get(gpu.address, Share(0, 0, 0.0))
    busy = share.busy if gpu.kind == "intel" else gpu.busy
    return replace(gpu, ours_vram=share.vram, ours_gtt=share.gtt, busy=busy)


def _numbers(
    facts: dict[str, str], prefix: str, units: dict[str, int], bound: int = _LARGEST
) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, rest in facts.items():
        if not key.startswith(prefix):
            continue
        digits, _, unit = rest.partition(" ")
        try:
            value = number(digits, _LARGEST) * units[unit.strip()]
            if value <= bound:
                found[key.removeprefix(prefix)] = value
        except (Unreadable, KeyError):
            continue
    return found


def _larger(client: Client, other: Client | None) -> Client:
    """With the larger times of the two."""
    if other is None:
        return client
    return client._replace(
        busy=_most(client.busy, other.busy),
        cycles=_most(client.cycles, other.cycles),
        of_cycles=_most(client.of_cycles, other.of_cycles),
    )


def _most(new: dict[str, int], old: dict[str, int]) -> dict[str, int]:
    return {name: max(value, old.get(name, 0)) for name, value in new.items()}


def _shares(before: dict[Key, Client], now: dict[Key, Client], elapsed: float) -> dict[str, float]:
    """By device, the busiest engine's share of time that it worked for us."""
    busy: dict[tuple[str, str], float] = {}
    for key, client in now.items():
        for name, part in _parts(before.get(key), client, elapsed):
            whole = part / max(1, client.capacity.get(name, 1))
            busy[key[0], name] = busy.get((key[0], name), 0.0) + whole
    found: dict[str, float] = {}
    for (device, _), share in busy.items():
        found[device] = max(found.get(device, 0.0), min(1.0, share))
    return found


def _parts(old: Client | None, client: Client, elapsed: float) -> Iterator[tuple[str, float]]:
    """Each engine's share of time that it worked for one client."""
    for name, spent in client.busy.items():
        since = old.busy.get(name, 0) if old else 0
        yield name, (spent - since) / (elapsed * 1e9)
    for name, spent in client.cycles.items():
        # All cycles since the driver was loaded went by until the first look, which says nothing.
        if old is not None and name in old.cycles:
            gone = client.of_cycles.get(name, 0) - old.of_cycles.get(name, 0)
            yield name, (spent - old.cycles[name]) / gone if gone > 0 else 0.0
