"""What the engine's bytes are: workers say what they hold, the monitor reads it. Free of torch."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.protocol.memory import Holding, Part, Pool, TorchMemory
from engine.protocol.specs import ModelInfo

log = logging.getLogger(__name__)
PARTS: tuple[Part, ...] = ("model", "cache", "adapter", "optimiser", "activations", "other")
"""In this order they are shown."""
RAM = "ram"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Held(msgspec.Struct, frozen=True):
    """Bytes that a worker holds."""

    part: Part
    bytes: int
    label: str = ""
    """The model, the adapter or the run that they belong to."""
    device: str = "cpu"
    """`cpu`, `mps`, `cuda:1`, or the name of a GPU."""


class Known(NamedTuple):
    """All that the workers said, at one moment."""

    rows: tuple[Held, ...] = ()
    torch: tuple[TorchMemory, ...] = ()
    rest: int | None = None
    """While a run trains on the CPU: resident bytes of this process that no row explains, as they were when
    the run stood between two steps. Below zero where mapped weights were not read yet."""


class Board:
    """Written by any worker, read by the monitor's thread. Nothing here waits, and nothing raises."""

    def __init__(self) -> None:
        # A collected base of a run calls `drop`, and the collector may run in a thread that holds the lock.
        self._lock = threading.RLock()
        self._rows: dict[str, tuple[Held, ...]] = {}
        self._torch: dict[str, TorchMemory] = {}
        self._rests: dict[str, int] = {}
        self._peaks: dict[str, tuple[int, int]] = {}
        self._complained: set[str] = set()

    # --- workers ----------------------------------------------------------------------------

    @contextmanager
    def unharmed(self, what: str) -> Iterator[None]:
        """Around a worker's counting: what goes wrong inside ends here, logged once for each `what`."""
        try:
            yield
        except Exception:  # the edge of the monitor: no reply and no run fails because its bytes are unknown
            if what not in self._complained:
                self._complained.add(what)
                log.exception("%s could not be counted", what)

    def hold(self, owner: str, rows: Iterable[Held]) -> None:
        """What this owner holds from now on, in place of what it held; nothing where that is empty."""
        kept = tuple(row for row in rows if row.bytes > 0)
        with self._lock:
            if kept:
                self._rows[owner] = kept
            else:
                self._rows.pop(owner, None)

    def drop(self, owner: str) -> None:
        """The owner holds nothing any more."""
        with self._lock:
            for table in (self._rows, self._rests, self._peaks):
                table.pop(owner, None)

    def model(self, info: ModelInfo) -> None:
        """A model was loaded, or let go; one that a server holds is not ours."""
        held = info.memory if info.state == "ready" and info.runs_on != "server" else 0
        device = info.device if info.runs_on == "torch" else "cpu"
        self.hold(f"model {info.id}", (Held("model", held, info.name, device),))

    def rest(self, run: str, resident: int) -> None:
        """A run on the CPU stands between two steps: what this process has resident beyond the rows is no
        activation. Bytes, as `own_resident` has them; the least of them counts."""
        with self._lock:
            left = resident - sum(row.bytes for row in self._all_rows() if on_cpu(row.device))
            self._rests[run] = min(left, self._rests.pop(run, left))

    def torch(self, memory: Iterable[TorchMemory]) -> None:
        """What torch says of its devices."""
        with self._lock:
            self._torch.update({each.device: each for each in memory})

    def peaked(self, run: str, now: int, most: int) -> None:
        """A phase of a run on a GPU ends: bytes that torch has allocated now, and had at most in it."""
        with self._lock:
            self._peaks[run] = (now, most)

    # --- the engine -------------------------------------------------------------------------

    def take_peak(self, run: str) -> tuple[int, int]:
        """What `peaked` said last of a run; zeros on the CPU. Told once."""
        with self._lock:
            return self._peaks.pop(run, (0, 0))

    def read(self) -> Known:
        """Everything, as it is now."""
        with self._lock:
            rows = tuple(self._all_rows())
            rest = next(reversed(self._rests.values()), None)
            return Known(rows, tuple(self._torch.values()), rest)

    def clear(self) -> None:
        """A new engine begins: it holds nothing."""
        with self._lock:
            for table in (self._rows, self._torch, self._rests, self._peaks):
                table.clear()

    def _all_rows(self) -> list[Held]:
        return [row for held in list(self._rows.values()) for row in held]


shared = Board()
"""Of this process."""


def on_cpu(device: str) -> bool:
    """Whether bytes on this device lie in RAM that the process has resident."""
    return device.lower() in ("", "cpu")


def own_resident() -> int:
    """Bytes that this process has resident (/proc/self/statm, proc(5)); 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def holdings(known: Known, engine: int, pools: Sequence[Pool] = (), children: int = 0) -> tuple[Holding, ...]:
    """What the engine's bytes are, each part of each owner and pool in a row of its own.

    `engine`: resident bytes of the engine with its children; `children`: of those alone. What nobody claims
    is `other`; it is never negative, though mapped weights may not be resident yet.
    """
    placed = [(row, place(row.device, pools)) for row in known.rows]
    found = [Holding(row.part, row.bytes, row.label, pool) for row, pool in placed]
    in_ram = sum(row.bytes for row in known.rows if on_cpu(row.device))
    ram = place("cpu", pools)
    moving = 0 if known.rest is None else max(0, engine - children - in_ram - known.rest)
    found += _unless_none(Holding("activations", moving, pool=ram))
    found += _unless_none(Holding("other", max(0, engine - in_ram - moving), pool=ram))
    found += _other_on_gpus(known, [(row, pool) for row, pool in placed if not on_cpu(row.device)], pools)
    return tuple(sorted(found, key=lambda each: PARTS.index(each.part)))


def place(device: str, pools: Sequence[Pool]) -> str:
    """Id of the pool that a device's bytes lie in: the GPU's of that name or number, else the main one."""
    if on_cpu(device):
        return RAM if not pools or any(pool.id == RAM for pool in pools) else pools[0].id
    of_gpus = [pool for pool in pools if pool.id.startswith("gpu")]
    number = device.rpartition(":")[2]
    named = [pool for pool in of_gpus if pool.gpu == device or pool.id.startswith(f"gpu{number}.")]
    choice = named or of_gpus or list(pools)
    return next((pool.id for pool in choice if pool.main), choice[0].id if choice else "")


def _other_on_gpus(
    known: Known, rows: Sequence[tuple[Held, str]], pools: Sequence[Pool]
) -> Iterator[Holding]:
    """What of a GPU's pool is ours and nobody claims: torch's spare blocks, the driver's context."""
    reserved: dict[str, int] = {}
    for each in known.torch:
        pool = place(each.device, pools)
        reserved[pool] = reserved.get(pool, 0) + each.reserved
    ram = place("cpu", pools)  # where CPU and GPU share all of it, the engine's resident bytes are told above
    ours = {
        pool.id: pool.ours for pool in pools if pool.id.startswith("gpu") and pool.ours and pool.id != ram
    }
    for pool in sorted({*ours, *reserved}):
        claimed = sum(row.bytes for row, where in rows if where == pool)
        yield from _unless_none(
            Holding("other", max(0, (ours.get(pool) or reserved[pool]) - claimed), pool=pool)
        )


def _unless_none(holding: Holding) -> tuple[Holding, ...]:
    return (holding,) if holding.bytes > 0 else ()
