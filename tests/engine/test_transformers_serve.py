"""The chat behind two real servers: `transformers serve`, and llama.cpp's."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from engine.backend import Turn
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, Sampling
from engine.servers import saved
from engine.servers.endpoint import Endpoint
from tests.support.real_servers import llama_serve, transformers_serve
from tests.support.server_chat import ServerChat, server_chat
from tests.support.sink import RecordedReply
from tests.support.tiny_gguf import demo_gguf

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("servers")]
KEY = "a-key-of-this-test"
GREEDY = Sampling(temperature=0.0, max_tokens=100)
QUESTION = "What is 482 + 359?"


@pytest.fixture(scope="module")
def transformers_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_serve(tmp_path_factory.mktemp("cache")) as url:
        yield url


@pytest.fixture(scope="module")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("xllamacpp")
    gguf = demo_gguf(tmp_path_factory.mktemp("gguf") / "demo.gguf")
    with llama_serve(gguf, KEY) as url:
        yield url


@pytest.fixture(params=["transformers", "llama.cpp"])
def chat(request: pytest.FixtureRequest) -> Iterator[ServerChat]:
    if request.param == "transformers":
        with server_chat(request.getfixturevalue("transformers_url")) as opened:
            yield opened
    else:
        with server_chat(request.getfixturevalue("llama_url"), key=KEY) as opened:
            yield opened


def kind_of(chat: ServerChat) -> str:
    return chat.known.named("box").kind


def test_the_kind_and_the_models_are_found_out(chat: ServerChat) -> None:
    info = chat.known.infos()[0]
    assert info.reachable
    assert info.kind in ("transformers", "llama.cpp")
    assert len(info.models) == 1
    assert chat.model.state == "ready"
    if info.kind == "llama.cpp":
        assert (chat.model.context, chat.model.thinking) == (512, "switchable")
        assert chat.model.parameters > 1_000_000


def test_thinking_is_switched_off_and_on(chat: ServerChat) -> None:
    plain = chat.ask(QUESTION, ChatSettings(think=False, sampling=GREEDY))
    assert (plain.thinking, plain.finish, plain.stats.note) == ("", "stop", "")
    assert plain.text.strip().startswith("482 + 359 =")
    sink = RecordedReply()
    thought = chat.ask(QUESTION, ChatSettings(sampling=GREEDY), sink)
    assert thought.thinking.strip()
    assert "841" in thought.text
    assert "thinking" in sink.states
    assert 0 < thought.stats.thinking_tokens < thought.stats.tokens
    assert thought.stats.tokens_per_s > 0
    assert not thought.stats.estimated


def test_a_chat_goes_on_and_the_length_is_kept_to(chat: ServerChat) -> None:
    turns = (Turn("user", "My name is Ada."), Turn("assistant", "Hello Ada."), Turn("user", QUESTION))
    settings = ChatSettings(think=False, system="Be brief.", sampling=Sampling(temperature=0.0, max_tokens=2))
    result = chat.ask(turns, settings)
    assert result.finish == "length"
    assert result.stats.tokens == 2
    assert result.stats.prompt_tokens > 20


def test_what_a_server_does_not_take_is_said_and_left_out(chat: ServerChat) -> None:
    sampling = Sampling(temperature=0.0, top_k=5, min_p=0.1, repetition_penalty=1.1, seed=3, max_tokens=4)
    note = chat.ask(QUESTION, ChatSettings(think=False, sampling=sampling)).stats.note
    if kind_of(chat) == "llama.cpp":
        assert note == ""
    else:
        assert note == "transformers serve takes no top k, min p, repetition penalty, so that had no effect"


def test_the_wrong_key_is_said_without_telling_it(llama_url: str) -> None:
    with server_chat(llama_url, key=KEY) as chat:
        saved.save(Endpoint("box", llama_url, key="wrong-key", saved=True))
        chat.known.reread()
        with pytest.raises(EngineError) as caught:
            chat.ask()
    assert caught.value.info.code == "server_key"
    assert "wrong-key" not in caught.value.info.sentence()


def test_a_stop_is_noticed_by_the_server(llama_url: str) -> None:
    wild = Sampling(temperature=20.0, top_k=0, top_p=1.0, min_p=0.0, seed=1)
    with server_chat(llama_url, key=KEY) as chat:
        sink = RecordedReply()
        stopper = threading.Thread(target=_stop_after, args=(sink, 3))
        stopper.start()
        result = chat.ask(QUESTION, ChatSettings(think=False, sampling=wild), sink)
        stopper.join()
    assert result.finish == "cancelled"
    assert result.text
    deadline = time.monotonic() + 10
    while _busy(llama_url):
        assert time.monotonic() < deadline, "llama.cpp goes on"


def test_a_stopped_server_answers_the_next_question(chat: ServerChat) -> None:
    sink = RecordedReply()
    sink.cancelled.set()
    assert chat.ask(QUESTION, ChatSettings(sampling=GREEDY), sink).finish == "cancelled"
    assert "482" in chat.ask(QUESTION, ChatSettings(think=False, sampling=GREEDY)).text


def test_a_text_is_counted_by_the_servers_own_tokenizer(llama_url: str) -> None:
    with server_chat(llama_url, key=KEY) as chat:
        assert 0 < chat.backend.counter.count(chat.model, "one two three") < 13
        assert chat.backend.counter.count(chat.model, "") == 0


def test_a_full_context_ends_the_reply_and_a_long_chat_loses_its_oldest_turns(llama_url: str) -> None:
    wild = Sampling(temperature=20.0, top_k=0, top_p=1.0, min_p=0.0, seed=1)
    turns = tuple(Turn("user" if n % 2 == 0 else "assistant", f"{n} is a number") for n in range(81))
    with server_chat(llama_url, key=KEY) as chat:
        long = chat.ask((*turns, Turn("user", QUESTION)), ChatSettings(think=False, sampling=GREEDY))
        full = chat.ask(QUESTION, ChatSettings(think=False, sampling=wild))
    assert "left out" in long.stats.note
    assert long.stats.prompt_tokens < 512
    assert full.finish in ("context", "stop")


def _stop_after(sink: RecordedReply, pieces: int) -> None:
    deadline = time.monotonic() + 30
    while len(sink.pieces) < pieces and time.monotonic() < deadline:
        time.sleep(0.002)
    sink.cancelled.set()


def _busy(url: str) -> bool:
    request = urllib.request.Request(url.removesuffix("/v1") + "/slots")
    request.add_header("Authorization", f"Bearer {KEY}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return any(slot["is_processing"] for slot in json.load(answer))
