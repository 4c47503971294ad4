"""Several models in little memory: who goes, who stays, what is refused, and what a failed load leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from msgspec.structs import replace

from engine.backend import LoadSpec
from engine.bus import Bus
from engine.lanes import Lane
from engine.models import fit_log
from engine.models.machine import MachineFacts
from engine.protocol.errors import EngineError, fault
from engine.protocol.fit import EstimateFit, FitRules, Shape
from engine.protocol.specs import ModelInfo
from engine.settings import EngineSettings, settings_path
from engine.shelf import Shelf
from tests.support.fake_engine import REAL

GIB = 1 << 30
TOTAL = 16 * GIB
FOR_NOTHING = EngineSettings(keep_alive=0.0)
SHAPE = Shape(4, 64, 128, 4, 2, 16, 1000)


class Backend:
    """Holds as many bytes as a model's files have."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.events: list[str] = []
        self.fails = False
        self.go = threading.Event()
        self.go.set()

    def load(
        self, spec: LoadSpec, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> ModelInfo:
        progress(0.5, "placing")
        while not self.go.wait(0.01):
            if cancelled.is_set():
                raise fault("cancelled", "Loading was cancelled")
        if self.fails:
            raise fault("out_of_memory", "Memory ran out while loading")
        self.events.append(f"+{spec.model.name}")
        self.held[spec.model.id] = spec.model.bytes_on_disk
        return replace(
            spec.model,
            state="ready",
            memory=spec.model.bytes_on_disk,
            load_dtype=spec.dtype or "bfloat16",
            quant=spec.quant,
            device="cpu",
        )

    def unload(self, model: str) -> None:
        self.events.append(f"-{model}")
        self.held.pop(model, None)


class Desk:
    """A shelf of four models with 16 GiB of memory, 1 GiB of it kept free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend = Backend()
        self.lanes = [Lane("model"), Lane("disk")]
        self.watched = False
        self.shelf = Shelf(Bus(), self.lanes[0], self.lanes[1], lambda: self.watched)
        self.shelf.backend.set_result(self.backend)
        self.rules: list[FitRules] = []
        self.shelf.learned = self.rules.append
        sizes = {"a": 5, "b": 6, "c": 7, "d": 20}
        self.shelf._models = {
            name: replace(REAL, id=name, name=name, bytes_on_disk=size * GIB) for name, size in sizes.items()
        }
        monkeypatch.setattr(self.shelf._room, "_look", self.look)
        settings_path().write_text("[engine]\nkept_free = 1\n")

    def look(self, devices: object, held: int) -> MachineFacts:
        free = TOTAL - sum(self.backend.held.values())
        return MachineFacts("RAM", free, TOTAL, held=held)

    def loaded(self) -> list[str]:
        return sorted(m.name for m in self.shelf.infos() if m.state == "ready")

    async def refused(self, name: str, **wishes: object) -> EngineError:
        with pytest.raises(EngineError) as caught:
            await self.shelf.ready(name, **wishes)
        assert "\n" not in caught.value.info.sentence()
        return caught.value


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    made = Desk(monkeypatch)
    yield made
    for lane in made.lanes:
        lane.close()


async def test_models_stay_side_by_side_while_they_fit(desk: Desk) -> None:
    await desk.shelf.ready("a")
    await desk.shelf.ready("b")
    assert desk.loaded() == ["a", "b"]
    assert desk.backend.events == ["+a", "+b"]


async def test_the_longest_unused_goes_when_nobody_sits_at_a_workbench(desk: Desk) -> None:
    await desk.shelf.ready("a")
    await desk.shelf.ready("b")
    await desk.shelf.ready("a")
    await desk.shelf.ready("c")
    assert desk.loaded() == ["a", "c"]
    assert desk.backend.events[-2:] == ["-b", "+c"]


async def test_at_a_workbench_nothing_goes_without_being_asked(desk: Desk) -> None:
    desk.watched = True
    await desk.shelf.ready("a")
    await desk.shelf.ready("b")
    error = await desk.refused("c")
    assert error.info.code == "would_evict"
    assert "a" in error.info.title
    assert desk.loaded() == ["a", "b"]
    await desk.shelf.ready("c", evict=True)
    assert desk.loaded() == ["b", "c"]


async def test_what_never_fits_is_refused_and_nothing_is_unloaded_for_it(desk: Desk) -> None:
    await desk.shelf.ready("a")
    error = await desk.refused("d")
    assert error.info.code == "model_too_large"
    assert "20.2 GiB" in error.info.title
    assert "16.0 GiB of RAM are free, 1.0 GiB of them are kept free" in error.info.title
    assert desk.loaded() == ["a"]
    assert next(m for m in desk.shelf.infos() if m.id == "d").state == "available"


async def test_what_is_kept_free_is_not_loaded_into(desk: Desk) -> None:
    await desk.shelf.ready("c")
    settings_path().write_text("[engine]\nkept_free = 4\n")
    await desk.shelf.ready("a")
    assert desk.loaded() == ["a"]


async def test_a_model_that_a_run_trains_on_stays_and_the_sentence_says_so(desk: Desk) -> None:
    await desk.shelf.ready("a")
    await desk.shelf.ready("b")
    desk.shelf.trained = lambda: "a"
    await desk.shelf.ready("c")
    assert desk.loaded() == ["a", "c"]
    desk.shelf._models["e"] = replace(REAL, id="e", name="e", bytes_on_disk=12 * GIB)
    error = await desk.refused("e", evict=True)
    assert error.info.code == "model_too_large"
    assert "a stays loaded, because a run trains on it" in error.info.title
    error = await desk.refused("a", dtype="float32", evict=True)
    assert error.info.code == "model_in_use"
    assert "a run trains on a" in error.info.title.lower()


async def test_two_who_ask_for_one_model_share_one_load(desk: Desk) -> None:
    first, second = await asyncio.gather(desk.shelf.ready("a"), desk.shelf.ready("a"))
    assert first == second
    assert desk.backend.events == ["+a"]


async def test_a_load_under_way_counts_before_its_weights_are_there(desk: Desk) -> None:
    desk.backend.go.clear()
    first = asyncio.create_task(desk.shelf.ready("c"))
    while next(m for m in desk.shelf.infos() if m.id == "c").state != "loading":
        await asyncio.sleep(0)
    settings_path().write_text("[engine]\nkept_free = 9\n")
    error = await desk.refused("b")
    assert error.info.code == "model_too_large"
    desk.backend.go.set()
    await first


async def test_a_load_is_cancelled_and_one_that_fails_leaves_the_model_available(desk: Desk) -> None:
    desk.backend.go.clear()
    load = asyncio.create_task(desk.shelf.ready("a"))
    while next(m for m in desk.shelf.infos() if m.id == "a").state != "loading":
        await asyncio.sleep(0)
    await desk.shelf.unload("a")
    with pytest.raises(EngineError) as caught:
        await load
    assert caught.value.info.code == "cancelled"
    desk.backend.go.set()
    desk.backend.fails = True
    assert (await desk.refused("a")).info.code == "out_of_memory"
    desk.backend.fails = False
    assert (await desk.shelf.ready("a")).state == "ready"


async def test_an_idle_model_is_unloaded_and_its_next_use_loads_it(desk: Desk) -> None:
    settings_path().write_text("[engine]\nkeep_alive = 0\n")
    await desk.shelf.ready("a")
    await desk.shelf.ready("b")
    desk.shelf.trained = lambda: "b"
    work = asyncio.create_task(desk.shelf.expire())
    async with asyncio.timeout(5):
        while "a" in desk.loaded():
            await asyncio.sleep(0.01)
    assert desk.loaded() == ["b"]
    with desk.shelf.alive.use("a"):
        assert (await desk.shelf.ready("a")).state == "ready"
        assert desk.shelf.alive.expired(["a"], FOR_NOTHING) == []
    work.cancel()


async def test_a_model_that_was_packed_is_packed_again_at_its_next_use(desk: Desk) -> None:
    assert (await desk.shelf.ready("a", dtype="float32", quant="int8")).quant == "int8"
    await desk.shelf.unload("a")
    again = await desk.shelf.ready("a")
    assert (again.load_dtype, again.quant) == ("float32", "int8")
    await desk.shelf.unload("a")
    assert (await desk.shelf.ready("a", quant="")).quant == ""


async def test_an_estimate_says_what_a_load_would_say(desk: Desk) -> None:
    await desk.shelf.ready("c")
    fits = await desk.shelf.estimate(EstimateFit("a"))
    assert (fits.verdict, fits.reserve, fits.remedy) == ("fits", GIB, "")
    alone = await desk.shelf.estimate(EstimateFit("d"))
    assert alone.verdict == "no"
    assert alone.remedy
    held = replace(REAL, id="e", name="e", bytes_on_disk=9 * GIB)
    desk.shelf._models["e"] = held
    assert (await desk.shelf.estimate(EstimateFit("e"))).verdict == "alone"


async def test_loads_teach_the_next_estimate(desk: Desk) -> None:
    known = replace(desk.shelf._models["a"], shape=SHAPE, parameters=10**9)
    desk.shelf._models["a"] = known
    plain = await desk.shelf.estimate(EstimateFit("a", dtype="bfloat16"))
    for _ in range(fit_log.ENOUGH):
        await desk.shelf.ready("a")
        await desk.shelf.replied("a", round(1.25 * (plain.parts.weights + (300 << 20))), 1)
        await desk.shelf.replied("a", 1, 1)  # only the first reply after a load counts
        await desk.shelf.unload("a")
    outcomes = list(fit_log.outcomes())
    assert [outcome.what for outcome in outcomes] == ["weights", "load"] * fit_log.ENOUGH
    assert desk.rules[-1].count == fit_log.ENOUGH
    taught = await desk.shelf.estimate(EstimateFit("a", dtype="bfloat16"))
    assert taught.need > 1.1 * plain.need
    assert (taught.measured, taught.foretold) == (outcomes[-1].measured, outcomes[-1].predicted)
    assert taught.correction == desk.rules[-1].factor


async def test_a_reply_beside_another_load_teaches_nothing(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.shelf._models[name] = replace(desk.shelf._models[name], shape=SHAPE, parameters=10**9)
        await desk.shelf.ready(name)
    await desk.shelf.replied("a", 3 * GIB, 100)
    assert [outcome.model for outcome in fit_log.outcomes() if outcome.what == "load"] == []
