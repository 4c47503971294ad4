"""Loads and chats at the end of the memory: one sentence, the memory back, and what was there still works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.backend import LoadSpec, ReplySpec, Turn
from engine.models.describe import describe
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, ModelInfo, Sampling
from engine.workers import convert, growth, load
from engine.workers.backend import TorchBackend, create
from tests.support.tiny import CONTEXT, RecordingSink, tiny_model

pytestmark = pytest.mark.engine
PHASES = ("checking the files", "checking the shapes", "placing", "converting", "reading")
CHILD = """
import json, resource, sys, threading
from pathlib import Path
from engine.backend import LoadSpec
from engine.models.describe import describe
from engine.protocol.errors import EngineError
from engine.workers.backend import create
from engine.workers.growth import _status

def load(folder, dtype=""):
    spec = LoadSpec(describe(Path(folder), "it", "It", "folder"), dtype)
    return backend.load(spec, lambda *_: None, threading.Event())

backend = create()
load(sys.argv[1])
backend.unload("it")
before = _status("VmRSS")
limit = _status("VmSize") + (40 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
try:
    load(sys.argv[2], "float32")
    told = None
except EngineError as error:
    told = [error.info.code, error.info.sentence()]
grown = _status("VmRSS") - before
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([told, grown, load(sys.argv[2], "float32").state]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def loaded(model: ModelInfo, **wishes: Any) -> TorchBackend:
    backend = create()
    assert isinstance(backend, TorchBackend)
    backend.load(LoadSpec(model, "float32", **wishes), lambda *_: None, threading.Event())
    return backend


def ask(text: str, **settings: Any) -> ReplySpec:
    greedy = Sampling(temperature=0.0, max_tokens=4)
    return ReplySpec("tiny", "chat", (Turn("user", text),), ChatSettings(sampling=greedy, **settings))


def test_memory_that_runs_out_at_a_load_is_told_in_one_sentence(tmp_path: Path) -> None:
    tiny_model(tmp_path / "tiny")
    tiny_model(tmp_path / "large", hidden_size=512, intermediate_size=8192, num_hidden_layers=2, spread=0.02)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "tiny"), str(tmp_path / "large")],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told, grown, state = json.loads(done.stdout.splitlines()[-1])
    assert told is not None
    assert told[0] == "out_of_memory"
    assert "\n" not in told[1]
    assert grown < 30 << 20
    assert state == "ready"


def test_an_allocation_that_fails_midway_leaves_what_was_loaded(
    model: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(model)
    held = backend.allocated()

    def fails(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nA long report")

    monkeypatch.setattr(load, "convert", fails)
    with pytest.raises(EngineError) as caught:
        backend.load(LoadSpec(model, "bfloat16"), lambda *_: None, threading.Event())
    assert caught.value.info.code == "out_of_memory"
    assert "\n" not in caught.value.info.sentence()
    assert backend.allocated() == held
    assert backend.reply(ask("still there?"), RecordingSink()).stats.tokens == 4


@pytest.mark.parametrize("phase", PHASES)
def test_a_load_is_cancelled_in_each_phase(model: ModelInfo, phase: str) -> None:
    backend, cancelled = create(), threading.Event()
    seen: list[str] = []

    def progress(_: float, words: str) -> None:
        seen.append(words)
        if words.startswith(phase):
            cancelled.set()

    with pytest.raises(EngineError) as caught:
        backend.load(LoadSpec(model, "bfloat16"), progress, cancelled)
    assert caught.value.info.code == "cancelled"
    assert seen[-1].startswith(phase)
    assert backend.allocated() == 0


def test_a_prompt_that_would_not_fit_is_refused_before_it_is_computed(
    model: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(model, kept=1 << 30)
    first = backend.reply(ask("hello"), RecordingSink())
    monkeypatch.setattr(growth, "SMALL", 0)
    monkeypatch.setattr(growth, "free_memory", lambda *_: (1 << 30) + 1000)
    sink = RecordingSink()
    with pytest.raises(EngineError) as caught:
        backend.reply(ask("hello again"), sink)
    info = caught.value.info
    assert info.code == "no_room_to_grow"
    assert "tokens need about" in info.title
    assert "\n" not in info.sentence()
    assert sink.pieces == []
    monkeypatch.undo()
    assert backend.reply(ask("hello"), RecordingSink()).text == first.text


def test_other_chats_caches_go_before_a_prompt_is_refused(
    model: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(model)
    spec = ask("hello")
    for chat in ("one", "two"):
        backend.reply(ReplySpec(spec.model, chat, spec.turns, spec.settings), RecordingSink())
    monkeypatch.setattr(growth, "SMALL", 0)
    monkeypatch.setattr(growth, "free_memory", lambda *_: 0 if "one" in backend._caches else 1 << 30)
    assert backend.reply(ask("hello"), RecordingSink()).stats.tokens == 4
    assert list(backend._caches) == ["two", "chat"]


def test_the_first_reply_tells_what_the_load_took_and_later_ones_do_not(model: ModelInfo) -> None:
    backend = loaded(model)
    peaks = [backend.reply(ask(text), RecordingSink()).peak for text in ("one", "two")]
    assert peaks[1] == 0
    assert peaks[0] < 1 << 30


def test_a_context_longer_than_the_models_is_the_models(model: ModelInfo) -> None:
    backend = loaded(model)
    result = backend.reply(ask("hello", context=10 * CONTEXT), RecordingSink())
    assert result.stats.context_size == CONTEXT
    with pytest.raises(EngineError) as caught:
        backend.reply(ask("word " * 4 * CONTEXT, context=10 * CONTEXT), RecordingSink())
    assert caught.value.info.code == "prompt_too_long"


def test_a_token_beyond_the_weights_is_refused_and_the_chat_goes_on(model: ModelInfo) -> None:
    backend = loaded(model)
    tokenizer = backend._models["tiny"].vocabulary.tokenizer
    tokenizer.add_tokens(["<beyond>"])
    with pytest.raises(EngineError) as caught:
        backend.reply(ask("what is <beyond> ?"), RecordingSink())
    assert caught.value.info.code == "vocabulary_mismatch"
    assert backend.reply(ask("hello"), RecordingSink()).stats.tokens == 4


def test_a_conversion_in_pieces_is_the_whole_one(model: ModelInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "PIECE", 256)
    backend = create()
    assert isinstance(backend, TorchBackend)
    backend.load(LoadSpec(model, "bfloat16"), lambda *_: None, threading.Event())
    whole = loaded(model)
    pairs = zip(
        backend._models["tiny"].model.parameters(), whole._models["tiny"].model.parameters(), strict=True
    )
    assert all(torch.equal(half, full.bfloat16()) for half, full in pairs)


def test_a_described_model_knows_its_shape(model: ModelInfo) -> None:
    found = describe(Path(model.path), "tiny", "Tiny", "folder").shape
    assert found is not None
    assert found.layers > 0
