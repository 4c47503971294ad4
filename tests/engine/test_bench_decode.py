"""`qwill bench` on tiny models: what it finds, what it refuses to say, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.benching import BenchJob, BenchMachine, DecodeBench, TtftBench, bench
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo
from engine.workers.bench import decode
from engine.workers.bench.decode import measure_decode
from engine.workers.bench.sides import Ours, Theirs, Timed, prompt_of
from engine.workers.bench.ttft import measure_ttft
from tests.support.command import qwill
from tests.support.deep import deep
from tests.support.tiny import CONTEXT, tiny_model
from tui.cli.bench import show_decode, show_ttft
from tui.cli.main import main

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bandwidth is measured over one megabyte."""
    monkeypatch.setattr("engine.workers.bench.machine.BUFFER", 1 << 20)


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    return tiny_model(tmp_path_factory.mktemp("models") / "qwen3")


def told(_words: str) -> None: ...


@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_text", "gemma3_text"])
def test_both_sides_compute_the_same_and_are_timed(family: str, tmp_path: Path) -> None:
    """Attention, a hybrid, sliding windows: with `generate`'s cache filled before the clock starts."""
    model = tiny_model(tmp_path, family)
    found = measure_decode(BenchJob("decode", model, "float32", context=40, tokens=8, rounds=2), told)
    assert (found.same, found.checked, found.agreement) == (True, "float32", 1.0)
    assert found.tokens_per_s > 0
    assert found.ratio == pytest.approx(found.tokens_per_s / found.generate_tokens_per_s)
    assert found.best_tokens_per_s >= found.tokens_per_s
    assert found.machine.bandwidth_gb_s > 0
    assert 0 < found.share < 1


def test_sides_go_on_from_exactly_the_prompt(tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "mistral")
    loaded = decode._loaded(BenchJob("decode", model), "float32")
    prompt = prompt_of(loaded.vocabulary, 50)
    assert len(prompt) == 50
    ours, theirs = Ours(loaded, prompt), Theirs(loaded, prompt)
    plain = theirs.plain(9)
    assert len(plain) == 9
    assert plain == theirs.reply(9).ids == theirs.reply(9).ids == ours.reply(9).ids == ours.reply(9).ids
    assert ours.agreement(plain) == 1.0
    assert ours.agreement([*plain[:-1], (plain[-1] + 1) % 100]) == pytest.approx(8 / 9)


def test_no_ratio_where_the_ids_differ(qwen3: ModelInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Theirs, "plain", lambda self, tokens: [0] * tokens)
    job = BenchJob("decode", qwen3, "float32", context=20, tokens=4, rounds=1)
    found = measure_decode(job, told)
    assert (found.same, found.ratio) == (False, None)
    monkeypatch.undo()
    monkeypatch.setattr(Theirs, "reply", lambda self, tokens: Timed([0] * tokens, 1.0))
    found = measure_decode(job, told)
    assert (found.same, found.ratio, found.checked) == (False, None, "float32")


def test_a_third_turn_finds_what_the_chat_computed(qwen3: ModelInfo) -> None:
    found = measure_ttft(BenchJob("ttft", qwen3, "float32", context=300, tokens=30, rounds=1), told)
    assert found.same
    assert 15 < found.answer <= 31
    assert found.cached > 200
    assert found.ratio == pytest.approx(found.warm_ms / found.cold_ms)
    assert 0 < found.prompt_ms < found.warm_ms


@pytest.mark.parametrize("kind", ["decode", "ttft"])
def test_more_than_the_model_holds_is_refused_at_once(kind: str, qwen3: ModelInfo) -> None:
    job = BenchJob(kind, qwen3, "float32", context=CONTEXT)
    with pytest.raises(EngineError, match="no room for 1,024 tokens"):
        bench(job, told)


def test_a_child_that_dies_is_one_sentence(
    qwen3: ModelInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with pytest.raises(EngineError) as caught:
        bench(BenchJob("decode", qwen3), told)
    assert caught.value.info.code == "bench_failed"


def test_llama_cpp_is_measured_or_missed_in_words(qwen3: ModelInfo, tmp_path: Path) -> None:
    job = BenchJob("decode", qwen3, gguf=str(tmp_path / "none.gguf"))
    speed, words = decode.llama_tokens_per_s(job, "river", 1)
    assert speed is None
    assert "none.gguf" in words or "not installed" in words


@deep
async def test_the_command_prints_one_object(home: Path, qwen3: ModelInfo) -> None:
    size = ("--context", "20", "--tokens", "4", "--rounds", "1")
    found = (await qwill("bench", "decode", "-m", qwen3.path, *size, "--json")).json
    names = {"tokens_per_s", "generate_tokens_per_s", "ratio", "same", "bandwidth_gb_s", "share"}
    assert names <= set(DecodeBench.__struct_fields__) == set(found)
    assert found["same"]


def test_the_command_says_what_there_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    assert "qwill bench ttft" in capsys.readouterr().out
    assert main(["bench", "decode", "--against", "llama.cpp", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_figures_are_printed_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    here = BenchMachine("A processor", ("avx2",), 2, "3.11", "2.13", "5.23", 40.0, "int8")
    found = DecodeBench(
        machine=here,
        model="some",
        dtype="bfloat16",
        quant="int8",
        context=64,
        tokens=32,
        rounds=3,
        same=True,
        checked="float32",
        agreement=0.97,
        read_mb=200.0,
        bandwidth_gb_s=40.0,
        share=0.25,
        tokens_per_s=50.0,
        best_tokens_per_s=51.0,
        generate_dtype="bfloat16",
        generate_tokens_per_s=20.0,
        generate_best_tokens_per_s=21.0,
        ratio=2.5,
    )
    show_decode(found)
    said = capsys.readouterr().out
    assert "at most 200 tokens/s" in said
    assert "2.50 times generate" in said
    assert "97%" in said
    show_decode(replace(found, same=False, ratio=None))
    assert "No ratio" in capsys.readouterr().out
    first = TtftBench(here, "some", "float32", "", 4000, 100, 3950, 3, True, 4000.0, 400.0, 0.1, 12.0)
    show_ttft(first)
    assert "10.0 times sooner, and the same reply" in capsys.readouterr().out
