"""How short memory is: when a level begins, when it is left again, and what is said of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.monitor.strain import PATIENCE, SWAP_BYTES, Facts, Gauge, facts_of
from engine.protocol.memory import Pool, Pressure, Strain
from engine.protocol.specs import MonitorSample

GIB = 1 << 30
MIB = 1 << 20
CALM = Facts(8 * GIB, 16 * GIB)


def left(share: float, **more: object) -> Facts:
    return Facts(round(share * 16 * GIB), 16 * GIB, **more)  # type: ignore[arg-type]


class Machine:
    """A gauge that is looked at every second."""

    def __init__(self) -> None:
        self.gauge = Gauge()
        self.now = 100.0

    def look(self, facts: Facts, seconds: int = 1) -> str:
        for _ in range(seconds):
            self.now += 1
            strain = self.gauge.look(facts, self.now, 1e9 + self.now)
        return strain.level


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (CALM, "calm"),
        (left(0.11), "calm"),
        (left(0.09), "warn"),
        (left(0.04), "critical"),
        (left(0.5, some10=10.0, full10=0.0), "calm"),
        (left(0.5, some10=10.1, full10=0.0), "warn"),
        (left(0.5, some10=40.0, full10=5.0), "warn"),
        (left(0.5, some10=40.0, full10=5.1), "critical"),
        (left(0.5, some10=None, full10=None), "calm"),
        (Facts(0, 0), "calm"),
        (left(0.5, pool=Pool("gpu0.gtt", "gtt", ours=960, ceiling=1000, main=True)), "calm"),
        (left(0.5, pool=Pool("gpu0.gtt", "gtt", ours=970, ceiling=1000, main=True)), "warn"),
        (left(0.5, pool=Pool("gpu0.gtt", "gtt", ours=None, ceiling=1000, main=True)), "calm"),
        (left(0.5, pool=Pool("gpu0.gtt", "gtt", ours=5, ceiling=None, main=True)), "calm"),
    ],
)
def test_a_level_begins_at_its_threshold(facts: Facts, level: str) -> None:
    assert Machine().look(facts) == level


def test_swap_that_grows_within_ten_seconds_is_critical_and_swap_that_is_merely_full_is_not() -> None:
    machine = Machine()
    assert machine.look(left(0.5, swap=8 * GIB), 30) == "calm"
    for step in range(1, 31):  # 20 MiB a second is 200 within ten
        assert machine.look(left(0.5, swap=8 * GIB + step * 20 * MIB)) == "calm"
    before = 8 * GIB + 600 * MIB
    assert machine.look(left(0.5, swap=before + SWAP_BYTES)) == "critical"


def test_swap_that_shrinks_is_no_growth() -> None:
    machine = Machine()
    machine.look(left(0.5, swap=2 * GIB))
    assert machine.look(left(0.5, swap=0)) == "calm"


def test_a_level_is_left_only_after_it_stayed_better() -> None:
    machine = Machine()
    assert machine.look(left(0.04)) == "critical"
    assert machine.look(left(0.2), int(PATIENCE)) == "critical"
    assert machine.look(left(0.2), 2) == "calm"


def test_what_swings_about_a_threshold_gives_one_level_and_not_many() -> None:
    machine = Machine()
    levels = [machine.look(left(0.09 if step % 2 else 0.11)) for step in range(60)]
    assert set(levels[1:]) == {"warn"}


def test_a_short_relief_begins_the_wait_anew() -> None:
    machine = Machine()
    machine.look(left(0.09))
    assert machine.look(left(0.5), 8) == "warn"
    assert machine.look(left(0.09)) == "warn"
    assert machine.look(left(0.5), 8) == "warn"
    assert machine.look(left(0.5), 4) == "calm"


def test_critical_goes_down_to_warn_where_it_is_still_short() -> None:
    machine = Machine()
    machine.look(left(0.04))
    assert machine.look(left(0.08), int(PATIENCE) + 2) == "warn"


def test_a_worsening_is_told_at_once() -> None:
    machine = Machine()
    assert [machine.look(left(share)) for share in (0.5, 0.09, 0.04)] == ["calm", "warn", "critical"]


def test_since_is_when_the_level_began() -> None:
    gauge = Gauge()
    gauge.look(CALM, 1.0, 1001.0)
    assert gauge.look(left(0.09), 2.0, 1002.0).since == 1002.0
    assert gauge.look(left(0.08), 3.0, 1003.0).since == 1002.0
    assert gauge.look(left(0.01), 4.0, 1004.0).since == 1004.0


def test_it_says_what_is_short_in_one_sentence() -> None:
    gauge = Gauge()
    assert gauge.look(CALM, 0.0, 0.0) == Strain()
    assert gauge.look(left(0.06), 1.0, 1.0).why == "Memory runs short: 1.0 GiB of 16.0 are free"
    swapping = left(0.04, swap=300 * MIB, some10=30.0, full10=12.0)
    assert gauge.look(swapping, 2.0, 2.0).why == (
        "Memory runs short: 0.6 GiB of 16.0 are free and swap grows "
        "and programs wait for memory 30 % of the time"
    )
    waiting = Gauge().look(left(0.5, some10=12.0, full10=0.0), 1.0, 1.0).why
    assert waiting == "Programs wait for memory 12 % of the time, though 8.0 GiB of 16.0 are free"
    pool = Pool("gpu0.gtt", "gtt", ours=97 * GIB, ceiling=100 * GIB, main=True)
    full = Gauge().look(left(0.5, pool=pool), 1.0, 1.0).why
    assert full == "The GPU's memory runs full: 97.0 GiB of the 100.0 are taken"


def test_in_a_container_its_own_limit_counts() -> None:
    sample = MonitorSample(ram_total=64 * GIB, ram_available=48 * GIB, limit=8 * GIB, limit_used=7800 * MIB)
    strain = Gauge().look(facts_of(sample), 1.0, 1.0)
    assert strain.level == "critical"
    assert strain.why == "Memory runs short: 0.4 GiB of the container's 8.0 are free"
    assert facts_of(replace(sample, limit_used=GIB)).total == 64 * GIB  # the machine has less to give
    assert facts_of(replace(sample, limit=128 * GIB)).total == 64 * GIB


def test_a_sample_says_what_it_knows() -> None:
    main = Pool("gpu0.gtt", "gtt", main=True)
    sample = MonitorSample(
        ram_total=16, ram_available=4, swap_used=3, pressure=Pressure(1.0, 2.0, 3.0, 4.0), pools=(main,)
    )
    assert facts_of(sample) == Facts(4, 16, 3, 1.0, 3.0, False, main)
    assert facts_of(replace(sample, pressure=None, pools=())) == Facts(4, 16, 3)
    assert facts_of(replace(sample, pools=(Pool("ram", "ram", main=True),))).pool is None
