"""One trial of one device: a child allocates 256 MiB, and the counter that moves names the pool."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import psutil

from engine.devices import remedy_for
from engine.monitor.computing import Calibration
from engine.monitor.pools import gpu_in_ram
from engine.protocol.memory import PoolKind
from engine.protocol.specs import GpuSample
from engine.trial_child import Child, Ended, Seen, command

log = logging.getLogger(__name__)
SECONDS = 60.0
"""That one trial may take: torch is imported, and a driver makes its context."""
MOVED = 200 << 20
"""Bytes that a counter must move by; the child holds 256 MiB."""
LARGEST = 384 << 20
"""Bytes by which RAM moves at most: what is more is not this child's alone."""
ROUNDS = 6
"""Times that the child holds and frees at most."""
AGREEING = 2
"""Rounds in which a counter must move, so that no other program's movement counts."""
FOLLOWS_SECONDS = 0.1
"""A counter may follow a little late."""
CALM_SECONDS = 0.8
"""The kernel keeps freed pages aside for about so long, in which MemAvailable does not count them."""
BLAMED = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""Signals by which a driver ends a process; the kernel's own SIGKILL says nothing of the GPU."""
Readers = Sequence[Callable[[], list[GpuSample]]]


class Counter(NamedTuple):
    """Names one counter."""

    gpu: int
    """Its place in the sample; -1 for RAM."""
    kind: PoolKind
    own: bool = False
    """Whether it counts the child alone: its resident pages."""


AVAILABLE, RESIDENT = Counter(-1, "ram"), Counter(-1, "ram", own=True)


class Outcome(NamedTuple):
    """Of one trial."""

    found: Calibration
    conclusive: bool
    """Whether another one would show the same, so that it can be remembered."""
    devices: int = 1
    """Of this kind, as the child was told."""


def available_ram() -> int:
    """Bytes, as the kernel tells (MemAvailable)."""
    return int(psutil.virtual_memory().available)


class Trial:
    """Runs one child and reads the counters beside it. `run` once; ends the child whatever happens."""

    def __init__(
        self,
        device: str,
        readers: Readers,
        *,
        argv: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        ram: Callable[[], int] = available_ram,
        seconds: float = SECONDS,
    ) -> None:
        """`argv` and `ram` are given by tests."""
        self._device = device
        self._readers = readers
        self._argv = list(argv) or command(device)
        self._environment = environment
        self._ram = ram
        self._seconds = seconds

    def run(self) -> Outcome:
        """Never raises for what the child does. Raises OSError when none can be started."""
        with Child(self._argv, self._environment, self._seconds) as child:
            moves: dict[Counter, list[int]] = {}
            try:
                child.until("ready")
                self._rounds(child, moves)
            except Ended:
                code, said = child.code(), child.last_words()
                if said:
                    log.info("the trial of %s said: %s", self._device, said)
                return self._broken(child, code, said)
            return self._outcome(child.seen, moves)

    def _rounds(self, child: Child, moves: dict[Counter, list[int]]) -> None:
        """Fill in by how much each counter moved, until one is named. Raises Ended."""
        for number in range(ROUNDS):
            if number >= AGREEING:
                time.sleep(CALM_SECONDS)
            for counter, size in self._round(child).items():
                moves.setdefault(counter, []).append(size)
            if number + 1 >= AGREEING and _named(moves) is not None:
                return

    def _round(self, child: Child) -> dict[Counter, int]:
        """Hold and free once; by how much each counter rose and fell with it, where that is enough.

        The looks stand close together: RAM is noisy, and what others do in between counts too.
        """
        before = self._counters(child)
        child.step("held")
        during = self._followed(child, before, 1)
        child.step("freed")
        after = self._followed(child, during, -1)
        moves: dict[Counter, int] = {}
        for counter in before.keys() & during.keys() & after.keys():
            rise, fall = during[counter] - before[counter], during[counter] - after[counter]
            if counter == AVAILABLE:  # it rises late, after the kernel has put the freed pages back
                if MOVED <= rise <= LARGEST:
                    moves[counter] = rise
            elif min(rise, fall) >= MOVED:
                moves[counter] = min(rise, fall)
        return moves

    def _followed(self, child: Child, earlier: dict[Counter, int], sign: int) -> dict[Counter, int]:
        """The counters once one has moved up (1) or down (-1), or a little later."""
        until = time.monotonic() + FOLLOWS_SECONDS
        while True:
            now = self._counters(child)
            moved = any(sign * (now[each] - earlier[each]) >= MOVED for each in now.keys() & earlier.keys())
            if moved or time.monotonic() >= until:
                return now
            time.sleep(0.02)

    def _counters(self, child: Child) -> dict[Counter, int]:
        """Bytes in use by everybody; RAM counts down from what is available."""
        found = {AVAILABLE: -self._ram()}
        with contextlib.suppress(psutil.Error):
            found[RESIDENT] = int(psutil.Process(child.pid).memory_info().rss)
        for number, gpu in enumerate(self._gpus()):
            if gpu.vram_used is not None:
                found[Counter(number, "vram")] = gpu.vram_used
            if gpu.gtt_used is not None:
                found[Counter(number, "gtt")] = gpu.gtt_used
        return found

    def _gpus(self) -> list[GpuSample]:
        return [gpu for reader in self._readers for gpu in reader()]

    # --- what it means ----------------------------------------------------------------------

    def _outcome(self, seen: Seen, moves: Mapping[Counter, Sequence[int]]) -> Outcome:
        counter = _named(moves)
        if counter is None or (counter.gpu < 0 and not self._may_lie_in_ram(seen)):
            why = "256 MiB were allocated, and no counter moved: where they lie is assumed"
            return self._told(seen, conclusive=True, why=why)
        kind: PoolKind = counter.kind
        gpu = self._gpu(counter.gpu, seen)
        if kind == "ram" and gpu is not None and gpu.kind != "amd" and gpu_in_ram(gpu):
            kind = "unified"
        return self._told(seen, conclusive=True, kind=kind, moved=max(moves[counter]), gpu=counter.gpu)

    def _broken(self, child: Child, code: int | None, said: str) -> Outcome:
        words = said.splitlines()[-1][:200] if said else ""
        if child.failed is not None and child.failed.memory:
            return self._told(child.seen, conclusive=False, why="There was no room for 256 MiB on it")
        if child.failed is not None:
            first = (child.failed.error.splitlines() or [""])[0][:200]
            if not child.seen.stage:  # no driver, no permission: whoever judges devices knows better why
                return self._told(child.seen, conclusive=False, why=f"torch does not reach it: {first}")
            return self._unusable(child.seen, f"It refused to compute: {first}")
        if code is None and not child.started:
            return self._told(child.seen, conclusive=False, why="torch took too long to start for a trial")
        if code is None:
            return self._unusable(child.seen, f"It did not answer for {self._seconds:.0f} seconds")
        if -code in BLAMED:
            name = signal.Signals(-code).name
            return self._unusable(
                child.seen, f"It ended a trial process ({name}){': ' if words else ''}{words}"
            )
        what = f"by signal {-code}" if code < 0 else f"with status {code}"
        why = f"Its trial ended {what}, so where its memory lies is assumed"
        return self._told(child.seen, conclusive=False, why=why)

    def _unusable(self, seen: Seen, why: str) -> Outcome:
        return self._told(seen, conclusive=True, usable=False, why=why, remedy=remedy_for(seen.arch))

    def _told(
        self,
        seen: Seen,
        *,
        conclusive: bool,
        kind: PoolKind | None = None,
        moved: int = 0,
        usable: bool = True,
        why: str = "",
        remedy: str = "",
        gpu: int = -1,
    ) -> Outcome:
        which = self._gpu(gpu, seen)
        name = "" if self._device == "cpu" else seen.name
        found = Calibration(
            self._device,
            which.name if which is not None else name,
            (which.address if which is not None else "") or seen.address,
            kind,
            moved,
            usable,
            why,
            remedy,
            time.time(),
        )
        return Outcome(found, conclusive, max(1, min(64, seen.count)))

    def _may_lie_in_ram(self, seen: Seen) -> bool:
        """Whether what RAM shows can be this device's: not of a card with memory of its own."""
        gpu = self._gpu(-1, seen)
        return self._device in ("cpu", "mps") or (gpu is not None and gpu_in_ram(gpu))

    def _gpu(self, number: int, seen: Seen) -> GpuSample | None:
        """By the counter that moved, else by address, else the only one there is."""
        gpus = self._gpus()
        if 0 <= number < len(gpus):
            return gpus[number]
        if self._device == "cpu":
            return None
        for gpu in gpus:
            if gpu.address and gpu.address == seen.address:
                return gpu
        return gpus[0] if len(gpus) == 1 else None


def _named(moves: Mapping[Counter, Sequence[int]]) -> Counter | None:
    """The counter that says where the bytes were, if one does.

    What a GPU maps is RAM too: its own counter names the pool, the RAM's only where no other moved.
    """
    agreed = [counter for counter, sizes in moves.items() if len(sizes) >= AGREEING]
    own = [counter for counter in agreed if counter.gpu >= 0]
    if own:
        return max(own, key=lambda counter: max(moves[counter]))
    if any(counter.gpu >= 0 for counter in moves):
        return None  # one more round tells
    return next((counter for counter in (RESIDENT, AVAILABLE) if counter in agreed), None)
