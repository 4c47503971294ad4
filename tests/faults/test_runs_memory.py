"""Memory runs out at any step: the run says what to change, gives its memory back, and goes on smaller."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import psutil
import pytest

torch = pytest.importorskip("torch")

from engine.data.smaller import smaller  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.runs import checkpoints  # noqa: E402
from engine.workers.training import run as loop  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns  # noqa: E402

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
SPEC = {"steps": 4, "accumulate": 1, "eval_every": 2, "dropout": 0.0}
ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.00 GiB"),
    (MemoryError, ""),
    (
        RuntimeError,
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried",
    ),
)
MARGIN = 64 << 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns.fresh(tmp_path_factory.mktemp("memory"))


def test_memory_that_runs_out_at_a_step_is_given_back_and_the_run_goes_on(
    runs: TinyRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """F6"""
    reference = RecordedRun()
    spec = SPEC | ({"steps": 20} if full else {})
    runs.train(tmp_path / "reference", reference, **spec)
    baseline = psutil.Process().memory_info().rss
    for step in range(1, 21) if full else (1, 3):
        run, error = tmp_path / str(step), ERRORS[step % 3]
        held: list[Any] = []
        with monkeypatch.context() as patch:
            _fail_at(patch, step, error, held)
            sink = RecordedRun()
            with pytest.raises(EngineError) as caught:
                runs.train(run, sink, **spec)
        info = caught.value.info
        assert (info.code, info.retryable) == ("out_of_memory", True)
        assert "batch 1 and accumulate 2" in info.remedy
        assert max(sink.losses, default=0) == step - 1
        gc.collect()
        assert [ref for ref in held if ref() is not None] == []
        assert psutil.Process().memory_info().rss < baseline + MARGIN
        less = smaller(runs.job(run, **spec).spec)
        assert less is not None
        again = RecordedRun()
        newest, skipped = checkpoints.newest(run)
        assert skipped == []
        assert checkpoints.step_of(newest) if newest else (step - 1) // 2 * 2 == 0
        halved = {**spec, "batch": less.batch, "accumulate": less.accumulate}
        assert runs.train(run, again, newest, **halved).step == spec["steps"]
        assert max(again.losses) == spec["steps"]


def _fail_at(
    patch: pytest.MonkeyPatch, step: int, error: tuple[type[Exception], str], held: list[Any]
) -> None:
    """The error from inside a backward pass of this step, with a large tensor alive on the stack."""
    learn = loop.Run._learn

    def failing(self: Any, at: int, group: Any) -> Any:
        large = torch.zeros(8 << 20)
        held[:] = [weakref.ref(self), weakref.ref(large), weakref.ref(self._student)]
        if at == step:
            raise error[0](error[1])
        return learn(self, at, group)

    patch.setattr(loop.Run, "_learn", failing)
