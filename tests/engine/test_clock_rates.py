"""The speed of replies and steps while somebody sets the clock: positive, and no faster than it was."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engine.chat.thinking import ThinkParser  # noqa: E402
from engine.runs.pace import Pace  # noqa: E402
from engine.workers.decode import Decoding, Limits  # noqa: E402
from engine.workers.prompt import Prompt  # noqa: E402
from engine.workers.tokens import TokenDecoder  # noqa: E402
from engine.workers.writer import ReplyWriter  # noqa: E402
from tests.support.deep import deep  # noqa: E402
from tests.support.tiny import RecordingSink, tiny_tokenizer  # noqa: E402
from tests.support.tiny_run import RecordedRun, TinyRuns  # noqa: E402

pytestmark = pytest.mark.engine
HOUR = 3600.0


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock is an hour ahead, right, an hour behind, and so on."""
    real, offsets = time.time, itertools.cycle((HOUR, 0.0, -HOUR, 8 * HOUR))
    monkeypatch.setattr(time, "time", lambda: real() + next(offsets))


class Slow:
    """Steps of a millisecond each; the next token is always the same."""

    cached = 0

    def __init__(self) -> None:
        self.fed = 0

    def prefill(self, prompt: Sequence[int], go_on: Callable[[], bool]) -> torch.Tensor:
        self.fed += len(prompt)
        return torch.zeros(8)

    def feed(self, ids: Sequence[int]) -> torch.Tensor:
        time.sleep(0.001)
        self.fed += len(ids)
        return torch.zeros(8)

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        raise NotImplementedError


def test_tokens_per_second_of_a_reply(tmp_path: Path, jumping: None) -> None:
    sink = RecordingSink()
    writer = ReplyWriter(TokenDecoder(tiny_tokenizer(tmp_path)), ThinkParser((), (), False), sink)
    limits = Limits(1000, 40, None)
    decoding = Decoding(Slow(), lambda _: 70, writer, sink, limits, stops=frozenset(), early_stop=[])
    began = time.perf_counter()
    decoding.run(Prompt([1, 2, 3], None))
    elapsed = time.perf_counter() - began
    stats = sink.reports[-1]
    assert 39 / elapsed <= stats.tokens_per_s <= 1000.0
    assert 0.0 <= stats.ttft_ms <= elapsed * 1e3
    assert all(0.0 <= each.tokens_per_s <= 1000.0 for each in sink.reports)


@deep
def test_pace_and_rest_of_a_run(tmp_path: Path, jumping: None) -> None:
    sink, began = RecordedRun(), time.monotonic()
    TinyRuns.fresh(tmp_path).train(tmp_path / "run", sink, steps=4)
    elapsed = time.monotonic() - began
    pace, steps = Pace(), [point for point in sink.points if point.loss is not None]
    for point in steps:
        assert 0.0 < point.seconds <= elapsed
        pace.add(point)
    assert len(steps) == 4
    assert 0.0 < pace.tokens_per_s <= max(point.tokens / point.seconds for point in steps)
    assert 0.0 <= (pace.eta_s(4, 8) or -1.0) <= 4 * elapsed
