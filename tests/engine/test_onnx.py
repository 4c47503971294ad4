"""ONNX models: the replies of transformers, over a cache that rewinds and grows; no code from a folder."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import Target, commands, connect, specs
from engine.backend import Begun, InspectSpec, LoadSpec, ReplyResult, ReplySpec, Turn
from engine.models import onnx
from engine.models.discover import find
from engine.protocol.errors import EngineError
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ChatSettings, ModelInfo, Sampling
from engine.workers.backend import create
from tests.support.sink import RecordedReply
from tests.support.tiny_onnx import tiny_onnx

pytestmark = pytest.mark.engine
SETTINGS = ChatSettings(think=False, sampling=Sampling(temperature=0, max_tokens=24))
ASKED = (Turn("user", "hello there, how are you today?"),)


@pytest.fixture(params=["llama", "qwen3"])
def pair(request: pytest.FixtureRequest) -> tuple[ModelInfo, ModelInfo]:
    return tiny_onnx(request.param)


@pytest.fixture
def made() -> ModelInfo:
    return tiny_onnx("llama")[1]


@pytest.fixture
def backend(pair: tuple[ModelInfo, ModelInfo]) -> Iterator[Any]:
    backend = loaded(pair[1])
    yield backend
    backend.unload(pair[1].id)


def loaded(model: ModelInfo) -> Any:
    from engine.workers.onnx.backend import OnnxBackend

    backend = OnnxBackend()
    backend.load(LoadSpec(model), lambda *_: None, threading.Event())
    return backend


def ask(backend: Any, model: ModelInfo, turns: tuple[Turn, ...] = ASKED, **changes: Any) -> ReplyResult:
    spec = ReplySpec(model.id, "c", turns, SETTINGS, **changes)
    result: ReplyResult = backend.reply(spec, RecordedReply())
    return result


def by_torch(model: ModelInfo) -> Any:
    backend = create()
    backend.load(LoadSpec(model, "float32"), lambda *_: None, threading.Event())
    return backend


def test_greedy_replies_are_those_of_transformers_and_go_on_from_the_cache(
    pair: tuple[ModelInfo, ModelInfo], backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, model = pair
    assert (model.runs_on, model.support, model.family) == ("onnx", "tested", whole.family)
    torch = by_torch(whole)
    first = ask(backend, model)
    assert first.ids == ask(torch, whole).ids
    assert first.stats.cached_tokens == 0
    more = (*ASKED, Turn("assistant", first.text), Turn("user", "and the dog?"))
    second = ask(backend, model, more)
    assert second.ids == ask(torch, whole, more).ids
    assert second.stats.cached_tokens > 10
    other = (Turn("user", "hello there, and what is the sum of one and two?"),)
    assert ask(backend, model, other).ids == ask(torch, whole, other).ids
    monkeypatch.setattr("engine.workers.onnx.steps.ROOM", 8)
    small = loaded(model)
    monkeypatch.setattr(small._held[model.id].steps, "_context", 40)
    assert ask(small, model).ids == first.ids


def test_a_reply_is_looked_into_and_continued(pair: tuple[ModelInfo, ModelInfo], backend: Any) -> None:
    whole, model = pair
    torch, done = by_torch(whole), ask(backend, model)
    begun = Begun(done.ids, text=done.text, ends=True)
    spec = ReplySpec(model.id, "c", ASKED, SETTINGS, begun=begun)
    ours = backend.inspect(InspectSpec(spec), threading.Event())
    theirs = torch.inspect(
        InspectSpec(ReplySpec(whole.id, "c", ASKED, SETTINGS, begun=begun)), threading.Event()
    )
    assert [fact.probability for fact in ours.tokens] == pytest.approx(
        [fact.probability for fact in theirs.tokens], abs=1e-4
    )
    half = Begun(done.ids[:10], ends=True)
    assert ask(backend, model, begun=half).ids[:24] == done.ids


def test_what_it_cannot_do_is_one_sentence(made: ModelInfo, tmp_path: Path) -> None:
    backend = loaded(made)
    with pytest.raises(EngineError, match="is held as its ONNX file has it"):
        backend.load(LoadSpec(made, quant="int8"), lambda *_: None, threading.Event())
    with pytest.raises(EngineError, match="Adapters cannot be put on an ONNX model"):
        ask(backend, made, adapter=AdapterInfo("a", "a", "/a"))
    broken = Path(shutil.copytree(made.path, tmp_path / "broken"))
    (broken / "model.onnx").write_bytes(b"\x08\x07nonsense" * 50)
    with pytest.raises(EngineError) as caught:
        backend.load(LoadSpec(find(str(broken), ())), lambda *_: None, threading.Event())
    assert caught.value.info.code == "load_failed"
    assert ask(backend, made).ids


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("session_options", "custom_ops_library"), "evil.so", "may name code"),
        (("session_options", "config_entries"), {"ep.library": "x"}, "may name code"),
        (("filename",), "../../model.onnx", "not in its folder"),
        (("filename",), "/etc/passwd", "not in its folder"),
        (("pipeline",), [{}], "more than one text decoder"),
    ],
)
def test_a_folder_that_names_code_or_foreign_files_is_listed_as_refused(
    tmp_path: Path, place: tuple[str, ...], value: Any, words: str
) -> None:
    decoder: dict[str, Any] = {"filename": "model.onnx", "session_options": {"provider_options": []}}
    table = decoder
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    (tmp_path / "model.onnx").write_bytes(b"")
    config = {"model": {"type": "llama", "context_length": 64, "decoder": decoder}, "search": {}}
    (tmp_path / "genai_config.json").write_text(json.dumps(config))
    model = find(str(tmp_path), ())
    assert (model.support, model.runs_on) == ("unsupported", "onnx")
    assert words in model.why


def test_without_the_package_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "installed", lambda: False)
    (tmp_path / "model.onnx").write_bytes(b"")
    config = {"model": {"type": "llama", "context_length": 64, "decoder": {"filename": "model.onnx"}}}
    (tmp_path / "genai_config.json").write_text(json.dumps(config))
    model = find(str(tmp_path), ())
    assert model.support == "unsupported"
    assert "pip install 'qwill[onnx]'" in model.why


async def test_the_engine_chats_with_an_added_folder(made: ModelInfo) -> None:
    client = await connect(Target(in_process=True))
    try:
        listed: commands.ModelList = await client.request(commands.AddFolder(str(Path(made.path).parent)))
        model = next(each for each in listed.models if each.runs_on == "onnx")
        chat: specs.ChatInfo = await client.request(commands.NewChat(model.id, SETTINGS))
        sent: commands.Sent = await client.request(commands.Send(chat.id, "hello"))
        done = sent.reply
        async with asyncio.timeout(60):
            while done.live:
                await asyncio.sleep(0.02)
                page: commands.ChatPage = await client.request(commands.ReadChat(chat.id))
                done = next(each for each in page.messages if each.id == sent.reply.id)
        assert (done.error, done.model) == (None, model.id)
        assert done.text
    finally:
        await client.close()
