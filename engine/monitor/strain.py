"""How short memory is: levels with hysteresis over what a sample says. Pure; the clock is an argument.

Warns long before systemd-oomd would act (60 % of pressure for 30 s): a desktop stalls long before that too.
Pressure is as the kernel's accounting/psi page defines it, what is available as MemAvailable in proc(5), or
what is left below memory.max in a container (cgroup v2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from engine.protocol.memory import Level, Pool, Strain
from engine.protocol.specs import MonitorSample

WARN_SOME, CRITICAL_FULL = 10.0, 5.0
"""Percent of ten seconds that some task waited for memory, and that all did."""
WARN_LEFT, CRITICAL_LEFT = 0.10, 0.05
"""Shares of the memory that are available."""
CEILING_LEFT = 0.04
"""Share of the main pool's ceiling below which it counts as full."""
SWAP_BYTES, SWAP_SECONDS = 256 << 20, 10.0
"""Growth of swap that is critical, and in how long."""
BETTER = 0.5
"""How far below a threshold a pressure must be before it counts as better."""
MORE = 1.3
"""How far above a share the memory must be before it counts as better."""
PATIENCE = 10.0
"""Seconds that it must stay better before the level goes down."""
LEVELS: tuple[Level, ...] = ("calm", "warn", "critical")


class Facts(NamedTuple):
    """What the levels are told from. Bytes."""

    available: int
    total: int
    swap: int = 0
    """Used."""
    some10: float | None = None
    """None: the kernel does not tell."""
    full10: float | None = None
    boxed: bool = False
    """Whether `total` is what a container may use."""
    pool: Pool | None = None
    """The main one, where it is not RAM."""


class Gauge:
    """One machine's strain. Used from one thread."""

    def __init__(self) -> None:
        self._swap: deque[tuple[float, int]] = deque()
        self._better_since: float | None = None
        self.strain = Strain()

    def look(self, facts: Facts, now: float, at: float) -> Strain:
        """The strain now. `now`: seconds of a clock that no one can set; `at`: Unix time."""
        grown = self._grown(facts.swap, now)
        level, stays = LEVELS.index(self.strain.level), _level(facts, grown, eased=True)
        reached = _level(facts, grown, eased=False)
        if reached >= level:
            self._better_since = None
        elif stays >= level:  # between the two thresholds: as it was
            self._better_since = None
            reached = level
        elif self._better_since is None:
            self._better_since = now
            reached = level
        elif now - self._better_since < PATIENCE:
            reached = level
        else:
            self._better_since = None
            reached = max(reached, stays)
        name = LEVELS[reached]
        since = self.strain.since if name == self.strain.level else at
        self.strain = Strain(name, sentence(facts, grown), since) if reached else Strain(since=since)
        return self.strain

    def _grown(self, swap: int, now: float) -> int:
        """Bytes by which swap grew within SWAP_SECONDS."""
        self._swap.append((now, swap))
        while now - self._swap[0][0] > SWAP_SECONDS:
            self._swap.popleft()
        return swap - min(used for _, used in self._swap)


def facts_of(sample: MonitorSample) -> Facts:
    """What a sample says of it. A container's limit counts where it leaves less than the machine does."""
    pressure, available, total, boxed = sample.pressure, sample.ram_available, sample.ram_total, False
    if sample.limit is not None and sample.limit_used is not None and sample.limit < total:
        left = max(0, sample.limit - sample.limit_used)
        if left * total < available * sample.limit:
            available, total, boxed = left, sample.limit, True
    return Facts(
        available,
        total,
        sample.swap_used,
        None if pressure is None else pressure.some10,
        None if pressure is None else pressure.full10,
        boxed,
        _main(sample.pools),
    )


def _main(pools: Sequence[Pool]) -> Pool | None:
    return next((pool for pool in pools if pool.main and pool.kind != "ram"), None)


def _level(facts: Facts, grown: int, *, eased: bool) -> int:
    """0 to 2; `eased`: by the thresholds that a level must fall below before it is left."""
    less, more = (BETTER, MORE) if eased else (1.0, 1.0)
    share = facts.available / facts.total if facts.total else 1.0
    some, full = facts.some10 or 0.0, facts.full10 or 0.0
    if full > CRITICAL_FULL * less or share < CRITICAL_LEFT * more or grown > SWAP_BYTES * less:
        return 2
    return int(some > WARN_SOME * less or share < WARN_LEFT * more or _full(facts.pool, more))


def _full(pool: Pool | None, more: float) -> bool:
    if pool is None or not pool.ceiling or pool.ours is None:
        return False
    return pool.ceiling - pool.ours < CEILING_LEFT * more * pool.ceiling


def sentence(facts: Facts, grown: int) -> str:
    """What is short, in one plain sentence without a full stop."""
    of = f"the container's {_gib(facts.total)}" if facts.boxed else _gib(facts.total)
    free = f"{_gib(facts.available)} GiB of {of} are free"
    waits = max(facts.some10 or 0.0, facts.full10 or 0.0)
    also = ["swap grows"] if grown > SWAP_BYTES // 8 else []
    if waits > WARN_SOME * BETTER:
        also.append(f"programs wait for memory {waits:.0f} % of the time")
    if facts.available < WARN_LEFT * MORE * facts.total or not (also or _full(facts.pool, MORE)):
        return " and ".join([f"Memory runs short: {free}", *also])
    if also:
        told = " and ".join(also)
        return f"{told[0].upper()}{told[1:]}, though {free}"
    pool = facts.pool or Pool("", "vram")
    return (
        f"The GPU's memory runs full: {_gib(pool.ours or 0)} GiB of the {_gib(pool.ceiling or 0)} are taken"
    )


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f}"
