"""What the engine's bytes are, told by real models, replies and runs; and a real run that memory parks."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace as replaced
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from msgspec.structs import replace  # noqa: E402

from engine import watch as watching  # noqa: E402
from engine.api import Client, Target, commands, connect, events, runs, specs  # noqa: E402
from engine.backend import LoadSpec, ReplySpec, Turn  # noqa: E402
from engine.holdings import Held, own_resident, shared  # noqa: E402
from engine.models.describe import describe  # noqa: E402
from engine.models.discover import demo_path  # noqa: E402
from engine.monitor.sample import Sampler  # noqa: E402
from engine.protocol.runs import AdapterInfo, StepPoint  # noqa: E402
from engine.workers import memory  # noqa: E402
from engine.workers.adapted import AdaptedModels  # noqa: E402
from engine.workers.backend import TorchBackend, create  # noqa: E402
from engine.workers.training import counted  # noqa: E402
from engine.workers.training.base import Base  # noqa: E402
from engine.workers.training.optimiser import adamw  # noqa: E402
from engine.workers.training.student import Student  # noqa: E402
from tests.support.sink import RecordedReply  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns  # noqa: E402

pytestmark = pytest.mark.engine
GREEDY = specs.ChatSettings(sampling=specs.Sampling(temperature=0.0, max_tokens=24))


@pytest.fixture(autouse=True)
def board() -> Iterator[None]:
    shared.clear()
    yield
    shared.clear()


def rows(part: str) -> list[Held]:
    return [row for row in shared.read().rows if row.part == part]


# --- chats ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo() -> TorchBackend:
    backend = create()
    info = describe(demo_path(), "demo", "demo", "demo")
    backend.load(LoadSpec(info, "float32"), lambda *_: None, threading.Event())
    return backend


def ask(backend: TorchBackend, chat: str, sink: RecordedReply | None = None) -> None:
    spec = ReplySpec("demo", chat, (Turn("user", "What is 3 + 4?"),), GREEDY)
    backend.reply(spec, sink or RecordedReply())


def test_the_caches_of_live_chats_are_told_and_let_go(demo: TorchBackend) -> None:
    ask(demo, "a")
    [one] = rows("cache")
    assert (one.label, one.device) == ("demo", "cpu")
    assert one.bytes == demo.allocated() - demo._models["demo"].info.memory
    ask(demo, "b")
    assert rows("cache") == [replace(one, bytes=2 * one.bytes)]
    demo.forget("a")
    demo.forget("b")
    assert rows("cache") == []


def test_a_cache_is_told_while_its_reply_grows(demo: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "EVERY", 0.0)
    seen: list[int] = []

    class Watching(RecordedReply):
        def stats(self, stats: specs.ReplyStats) -> None:
            seen.append(sum(row.bytes for row in rows("cache")))

    ask(demo, "c", Watching())
    demo.forget("c")
    assert seen[0] == 0
    assert seen[-1] > 0


def test_no_reply_fails_because_its_bytes_cannot_be_counted(
    demo: TorchBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "Held", _broken)
    monkeypatch.setattr(memory, "torch_memory", _broken)
    monkeypatch.setattr(memory, "EVERY", 0.0)
    monkeypatch.setattr(shared, "_complained", set())
    sink = RecordedReply()
    ask(demo, "d", sink)
    demo.forget("d")
    assert sink.pieces
    assert [record.getMessage() for record in caplog.records] == [
        "the chats' caches could not be counted",
        "torch's memory could not be counted",
    ]


def _broken(*_: object) -> int:
    raise RuntimeError("device-side assert")


def test_on_a_cpu_torch_tells_nothing() -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    assert memory.torch_memory() == ()
    cpu = torch.device("cpu")
    memory.reset_peak(cpu)
    assert memory.allocated(cpu) == (0, 0)


# --- runs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("held"))


class Looked(RecordedRun):
    """Keeps what the board said at each step and phase."""

    def __init__(self, also: Callable[[], None] = lambda: None) -> None:
        super().__init__(lambda _, point: self._step(point))
        self.rows: dict[int, dict[str, int]] = {}
        self._also = also

    def _step(self, point: StepPoint) -> None:
        held = [row for row in shared.read().rows if row.label == "tiny"]
        assert {row.device for row in held} <= {"cpu"}
        self.rows[point.step] = {row.part: row.bytes for row in held}
        self._also()


def test_a_run_tells_its_adapter_and_its_optimiser_and_lets_go(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "EVERY", 0.0)
    rests: list[int | None] = []
    sink = Looked(lambda: rests.append(shared.read().rest))
    tiny.train(tmp_path, sink, steps=2, accumulate=1, eval_every=2)
    weights = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    start, end = sink.rows[0], sink.rows[2]
    assert start.keys() == {"adapter"}
    assert start["adapter"] == pytest.approx(weights, rel=0.2)  # the file has a header
    assert 2 * start["adapter"] <= end["optimiser"] < 2.1 * start["adapter"]
    assert rests[-1] is not None
    assert abs(rests[-1]) < own_resident()
    assert shared.read().rows == ()
    assert shared.read().rest is None


def test_full_fine_tuning_holds_a_model_of_its_own(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "EVERY", 0.0)
    sink = Looked()
    tiny.train(tmp_path, sink, steps=1, accumulate=1, method="full", rate=1e-3)
    assert sink.rows[1]["model"] == pytest.approx(tiny.info.bytes_on_disk, rel=0.3)
    assert "adapter" not in sink.rows[1]


def test_no_run_fails_because_its_bytes_cannot_be_counted(
    tiny: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain, broken = RecordedRun(), RecordedRun()
    tiny.train(tmp_path / "plain", plain, steps=2, accumulate=1)
    for name in ("bytes_of", "allocated", "own_resident"):
        monkeypatch.setattr(counted, name, _broken)
    monkeypatch.setattr(shared, "_complained", set())
    tiny.train(tmp_path / "broken", broken, steps=2, accumulate=1)
    assert broken.losses == plain.losses
    assert broken.phases == plain.phases
    assert [record.getMessage() for record in caplog.records] == ["the memory of a run could not be counted"]


def test_a_base_that_was_loaded_for_a_run_is_told_once_and_until_nobody_needs_it(
    tiny: TinyRuns, tmp_path: Path
) -> None:
    job = tiny.job(tmp_path)
    loaded = tiny.backend._models["tiny"]
    base = replaced(Base.of(loaded), own=123 << 20)
    student = Student(base, job.spec)
    for name in ("0001-a", "0002-b"):  # two members of a race hold one base together
        counted.Counted(replace(job, id=name), base).begins(student, adamw(student, job.spec))
    assert [row.bytes for row in rows("model")] == [123 << 20]
    shared.drop("0001-a")
    assert [row.bytes for row in rows("model")] == [123 << 20]
    del base, student
    gc.collect()
    assert rows("model") == []


def test_an_adapter_in_the_chat_is_told_and_let_go(tiny: TinyRuns, tmp_path: Path) -> None:
    tiny.train(tmp_path, steps=1, accumulate=1, eval_every=1)
    loaded, models = tiny.backend._models["tiny"], AdaptedModels()
    info = AdapterInfo("a", "pirate", str(tmp_path / "adapter"), version="1")
    models.get(loaded, info)
    [row] = rows("adapter")
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    assert (row.label, row.bytes) == ("pirate", pytest.approx(size, rel=0.2))
    models.get(loaded, info, 0.5)  # another weight holds nothing more
    assert rows("adapter") == [row]
    models.forget(loaded.serial)
    assert rows("adapter") == []


def test_the_cache_of_a_batch_is_told_while_it_runs(demo: TorchBackend) -> None:
    class Sink:
        def __init__(self) -> None:
            self.cancelled = threading.Event()
            self.seen: list[int] = []

        def done(self, place: int, result: object) -> None:
            self.seen.append(sum(row.bytes for row in rows("cache")))

    sink = Sink()
    spec = ReplySpec("demo", "", (Turn("user", "What is 3 + 4?"),), GREEDY)
    demo.batcher.run((spec, spec), sink)
    assert min(sink.seen) > 0
    assert rows("cache") == []


class Pretending:
    """torch.cuda as one GPU would answer, for the arithmetic around it."""

    def __init__(self) -> None:
        self.now, self.most, self.resets = 100, 100, 0

    def memory_allocated(self, device: object) -> int:
        return self.now

    def max_memory_allocated(self, device: object) -> int:
        return self.most

    def reset_peak_memory_stats(self, device: object) -> None:
        self.most = self.now
        self.resets += 1

    def current_device(self) -> int:
        return 0

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def memory_stats(self, number: int) -> dict[str, int]:
        if number:
            return {}  # torch was never there
        return {
            "allocated_bytes.all.current": self.now,
            "allocated_bytes.all.peak": self.most,
            "reserved_bytes.all.current": 2 * self.now,
            "inactive_split_bytes.all.current": 7,
            "num_alloc_retries": 1,
        }


def test_a_gpus_peaks_are_told_by_phase_and_the_highest_of_all_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Pretending()
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(memory, "_highest", {})
    gpu = torch.device("cuda", 0)
    cuda.most = 900
    assert memory.allocated(gpu) == (100, 900)
    memory.reset_peak(gpu)
    assert memory.allocated(gpu) == (100, 100)
    [told] = memory.torch_memory()
    assert (told.device, told.allocated, told.reserved) == ("cuda:0", 100, 200)
    assert (told.peak, told.fragmented, told.retries, told.ooms) == (900, 7, 1, 0)


def test_what_a_step_takes_on_a_gpu_is_its_activations_and_a_phase_has_its_highest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = Pretending()
    monkeypatch.setattr(memory.torch, "cuda", cuda)
    gpu = torch.device("cuda", 0)

    class Base:
        device = gpu
        own = 0

    class Spec:
        name, method = "r", "lora"

    class Job:
        id, spec = "0001-r", Spec

    count = counted.Counted(Job, Base)  # type: ignore[arg-type]
    for most in (500, 700, 600):
        cuda.most = most
        count.stepped()
    assert count._activations == 500
    cuda.most = 650
    count.turns()
    assert shared.take_peak("0001-r") == (100, 700)
    count.turns()
    assert shared.take_peak("0001-r") == (100, 100)


# --- a whole engine -------------------------------------------------------------------------


class Shrinking(Sampler):
    """The real readers of this machine, whose RAM can be made to run short."""

    left: float | None = None

    def sample(self) -> specs.MonitorSample:
        found = super().sample()
        if Shrinking.left is None:
            return found
        return replace(found, ram_available=round(Shrinking.left * found.ram_total))


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    for name in ("PERIOD", "QUICK", "NOTICE", "SOON"):
        monkeypatch.setattr(watching, name, getattr(watching, name) / 10)
    monkeypatch.setattr(watching, "_readers", Shrinking)
    monkeypatch.setattr(Shrinking, "left", None)
    client = await connect(Target(in_process=True))
    yield client
    await client.close()


async def test_a_real_run_of_the_demo_is_parked_when_memory_runs_short(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = runs.TrainSpec("demo", "shipped:pirate", steps=400, eval_every=400, length=128)
    info: runs.RunInfo = await client.request(commands.StartRun(wanted))
    parts: set[str] = set()
    codes: list[str] = []
    deadline = time.monotonic() + 120
    async for event in client.events():
        assert time.monotonic() < deadline
        body = event.body
        if isinstance(body, events.RunStepped) and body.point.step >= 2:
            monkeypatch.setattr(Shrinking, "left", 0.02)
        if isinstance(body, events.Sampled) and any(each.label == info.name for each in body.sample.holdings):
            parts |= {each.part for each in body.sample.holdings}
        if isinstance(body, events.Notice):
            codes.append(body.info.code)
        if isinstance(body, events.RunChanged) and body.run.pause == "park":
            break
    while True:  # the pause is told when it begins, before all of it is on disk
        assert time.monotonic() < deadline
        kept = (await client.request(commands.ListCheckpoints(info.id, verify=True))).checkpoints
        page: commands.RunPage = await client.request(commands.ReadRun(info.id))
        if kept and page.run.state == "paused":
            break
        await asyncio.sleep(0.02)
    assert page.run.pause == "park"
    assert page.run.findings[-1].code == "memory_short"
    assert codes == ["memory_short", "run_parked"]
    assert {"model", "adapter", "optimiser", "other"} <= parts
    assert kept[0].step >= 2
    told: commands.MemoryPage = await client.request(commands.ReadMemory(info.id))
    assert told.points
    assert told.holdings
    assert [mark.phase for mark in told.marks] == [mark.phase for mark in page.marks]
