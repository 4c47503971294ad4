"""`qwill bench quality` on the demo: the whole way through a process of its own."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from engine.benching import BenchJob, QualityBench, bench, bench_model  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.workers.bench.quality import measure_quality  # noqa: E402
from tests.support.deep import deep  # noqa: E402

pytestmark = pytest.mark.engine


@deep
def test_perplexity_and_agreement_of_the_packed_demo() -> None:
    told: list[str] = []
    found = bench(BenchJob("quality", bench_model(""), quant="int8"), told.append)
    assert isinstance(found, QualityBench)
    assert found.tokens > 500
    assert found.perplexity == pytest.approx(found.plain_perplexity, rel=0.05)
    assert 0.9 < found.agreement <= 1.0
    assert 0 < found.memory < found.plain_memory
    assert "reading the text" in told


def test_plain_weights_are_not_compared_to_themselves() -> None:
    with pytest.raises(EngineError) as caught:
        measure_quality(BenchJob("quality", bench_model("")), lambda _words: None)
    assert caught.value.info.code == "bench_unsupported"
