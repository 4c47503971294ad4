"""Where a run learns: the device that it names, else the GPU with most free memory."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.data.methods import check_method  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.training import TrainSpec  # noqa: E402
from engine.workers.training.base import SharedBases  # noqa: E402
from engine.workers.training.whereabouts import Place, chosen, places, same  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns  # noqa: E402

pytestmark = pytest.mark.engine
LENGTH = 38
"""Tokens; some of the rows are longer."""
CPU = Place("cpu", 90)
TWO = [Place("cuda:0", 20), Place("cuda:1", 24), CPU]


@pytest.mark.parametrize(
    ("wanted", "found", "chat", "where"),
    [
        ("", [CPU], "cpu", "cpu"),
        ("auto", TWO, "cuda:0", "cuda:1"),
        ("", [Place("cuda:0", 24), Place("cuda:1", 24), CPU], "cuda:0", "cuda:1"),
        ("", [Place("cuda:0", 24), Place("cuda:1", 4), CPU], "cuda:0", "cuda:0"),
        ("cuda", TWO, "cuda:0", "cuda:1"),
        ("cuda:0", TWO, "cuda:1", "cuda:0"),
        ("cpu", TWO, "cuda:0", "cpu"),
    ],
)
def test_the_place_of_a_run(wanted: str, found: list[Place], chat: str, where: str) -> None:
    assert chosen(wanted, found, chat) == where


def test_a_device_that_is_not_here_is_refused_with_those_that_are() -> None:
    with pytest.raises(EngineError) as caught:
        chosen("cuda:2", [Place("cuda:0", 8 << 30), Place("cpu", 2 << 30)])
    info = caught.value.info
    assert info.code == "device_unknown"
    assert "cuda:0 (8.0 G" in info.detail
    assert "cpu (2.0 G" in info.detail


def test_what_names_no_device_is_wrong_in_the_spec() -> None:
    with pytest.raises(EngineError, match="names no device"):
        check_method(TrainSpec("m", "d", device="gpu one"))
    check_method(TrainSpec("m", "d", device="cuda:1"))


def test_one_gpu_has_two_names() -> None:
    assert same(torch.device("cuda"), torch.device("cuda:0"))
    assert not same(torch.device("cuda:1"), torch.device("cuda"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("where"))


def test_a_run_on_the_cpu_says_so_and_what_it_takes(runs: TinyRuns, tmp_path: Path) -> None:
    """Its rows, the device, the bytes foretold and measured, and the time left, all before the first step."""
    sink = RecordedRun(lambda run, point: assert_foretold(run))
    outcome = runs.train(tmp_path, sink, device="cpu", steps=1)
    known, rehearsed = sink.foretold
    assert (known.rows, known.left_out, known.device) == (18, 0, "cpu")
    assert rehearsed.predicted
    assert rehearsed.left_s is not None
    assert rehearsed.left_s > 0
    assert outcome.measured == rehearsed.measured


def test_rows_that_are_too_long_are_counted_and_told_packed_or_not(runs: TinyRuns, tmp_path: Path) -> None:
    """None is cut or dropped in silence: the estimate says how many, and so does the run."""
    told = []
    for packing in (False, True):
        sink = RecordedRun()
        spec = runs.job(tmp_path, packing=packing, length=LENGTH).spec
        estimate = runs.backend.trainer.estimate(spec, runs.info, str(runs.data))
        runs.train(tmp_path / str(packing), sink, packing=packing, length=LENGTH, steps=1)
        assert estimate.left_out == sink.foretold[0].left_out
        told.append(sink.foretold[0].left_out)
    assert told[0] == told[1]
    assert 0 < told[0] < 18


def assert_foretold(run: RecordedRun) -> None:
    assert len(run.foretold) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without a GPU")
def test_a_run_on_a_gpu_that_is_not_here_never_begins(runs: TinyRuns, tmp_path: Path) -> None:
    assert [place.name for place in places()][-1] == "cpu"
    for ask in (
        lambda: runs.train(tmp_path, device="cuda:1"),
        lambda: runs.backend.trainer.estimate(
            runs.job(tmp_path, device="cuda").spec, runs.info, str(runs.data)
        ),
    ):
        with pytest.raises(EngineError) as caught:
            ask()
        assert caught.value.info.code == "device_unknown"


def test_runs_apart_from_the_chat_hold_one_base_together(runs: TinyRuns) -> None:
    bases, loaded = SharedBases(), runs.backend._models["tiny"]
    made: list[object] = []

    def make():  # type: ignore[no-untyped-def]
        from engine.workers.training.base import Base

        made.append(Base.of(loaded))
        return made[-1]

    spec = TrainSpec("tiny", "", device="cuda:1")
    first = bases.get(loaded.info, spec, make, apart=True)
    assert bases.get(loaded.info, spec, make, apart=True) is first
    assert bases.get(loaded.info, spec, make) is not first
