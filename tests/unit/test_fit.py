"""Whether a model fits, its rows and its facts: pure functions over the state."""

from __future__ import annotations

from msgspec.structs import replace

from engine.api import FitRules, specs
from engine.models.fit import OVERHEAD
from tests.support.fake_engine import DEMO, REAL, SAMPLE, snapshot
from tui.fit import fit, memory, pool, unused_gpu
from tui.format import parameters
from tui.reduce import from_snapshot
from tui.state import EngineState

BILLION = replace(REAL, parameters=1_000_000_000, dtype="bfloat16")
CARD = specs.GpuSample("RTX", "nvidia", vram_total=8 << 30, vram_used=1 << 30)
APU = specs.GpuSample("780M", "amd", vram_total=1 << 30, vram_used=0, gtt_total=12 << 30, gtt_used=2 << 30)


def state(**changes: object) -> EngineState:
    made = EngineState()
    from_snapshot(made, snapshot(**changes))
    return made


def with_gpu(gpu: specs.GpuSample, *, usable: bool, **sample: int) -> EngineState:
    engine = replace(
        snapshot().engine, devices=(specs.DeviceFinding(gpu.name, gpu.kind, usable, remedy="make it so"),)
    )
    return state(engine=engine, monitor=replace(SAMPLE, gpus=(gpu,), **sample))


def test_a_load_needs_its_weights_and_the_overhead_and_what_the_machine_has_taught() -> None:
    found = fit(BILLION, state())
    assert (found.weights, found.need) == (2_000_000_000, 2_000_000_000 + OVERHEAD["RAM"])
    assert found.verdict == "yes"
    taught = replace(snapshot().engine, fit=FitRules(factor=1.5))
    assert fit(BILLION, state(engine=taught)).need == round(1.5 * found.need)


def test_what_is_kept_free_goes_by_the_settings() -> None:
    assert fit(BILLION, state(engine=replace(snapshot().engine, fit=FitRules(0)))).estimate.reserve == 0
    most = replace(snapshot().engine, fit=FitRules(SAMPLE.ram_available - (1 << 30)))
    assert fit(BILLION, state(engine=most)).verdict == "tight"


def test_pages_of_loaded_weights_are_not_free_though_the_kernel_could_drop_them() -> None:
    held = replace(DEMO, memory=4 << 30)
    mapped = replace(SAMPLE, engine_mapped=6 << 30)
    assert pool(state(monitor=SAMPLE, models=(held,))).free == SAMPLE.ram_available
    assert memory(state(monitor=mapped, models=(held,))).free == SAMPLE.ram_available - (4 << 30)


def test_a_machine_that_loads_in_float32_needs_twice_as_much() -> None:
    engine = replace(snapshot().engine, load_dtype="float32")
    assert fit(BILLION, state(engine=engine)).weights == 4_000_000_000


def test_the_verdict_by_what_is_free_and_what_others_hold() -> None:
    tight = replace(SAMPLE, ram_available=1 << 30)
    assert fit(BILLION, state(monitor=tight)).verdict == "no"
    held = replace(DEMO, memory=4 << 30)
    assert fit(BILLION, state(monitor=tight, models=(held, BILLION))).verdict == "alone"
    assert fit(held, state(models=(held,))).verdict == "held"
    assert fit(BILLION, state(monitor=None)).verdict == "unknown"
    assert fit(replace(BILLION, support="unsupported"), state()).verdict == "never"


def test_the_pool_is_the_memory_of_the_gpu_that_torch_uses() -> None:
    assert pool(with_gpu(CARD, usable=True)).name == "VRAM"
    assert pool(with_gpu(CARD, usable=True)).free == 7 << 30
    assert pool(with_gpu(CARD, usable=False)).name == "RAM"


def test_an_integrated_gpu_takes_what_the_driver_lends_but_no_more_than_is_there() -> None:
    lent = pool(with_gpu(APU, usable=True))
    assert (lent.name, lent.free) == ("GTT", 10 << 30)
    assert pool(with_gpu(APU, usable=True, ram_available=3 << 30)).free == 3 << 30


def test_only_a_gpu_with_a_remedy_is_worth_a_warning() -> None:
    assert unused_gpu(with_gpu(CARD, usable=False)).name == "RTX"
    assert unused_gpu(with_gpu(CARD, usable=True)) is None
    assert unused_gpu(EngineState()) is None


def test_parameters_as_people_say_them() -> None:
    counts = (0, 950, 128_000, 4_180_000, 596_049_920, 1_720_574_976, 235_000_000_000)
    assert [parameters(count) for count in counts] == ["–", "950", "128k", "4.2M", "596M", "1.7B", "235B"]
