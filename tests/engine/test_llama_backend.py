"""GGUF models through the real llama.cpp: the same words as transformers, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from engine.backend import Begun, InspectSpec, LoadSpec, ReplyResult, ReplySpec, Turn  # noqa: E402
from engine.chat.template import ChatTemplate  # noqa: E402
from engine.chat.thinking import EARLY_STOP  # noqa: E402
from engine.connect import Target, connect  # noqa: E402
from engine.demo import MODEL_FOLDER  # noqa: E402
from engine.llama.backend import LlamaBackend  # noqa: E402
from engine.models.gguf import describe_gguf  # noqa: E402
from engine.protocol import commands as c  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.specs import ChatSettings, ModelInfo, Sampling  # noqa: E402
from tests.support.tiny import RecordingSink, tiny_model  # noqa: E402
from tests.support.tiny_gguf import demo_gguf, write_gguf  # noqa: E402

SUM = (Turn("user", "What is 17 + 25?"),)
GREEDY = Sampling(temperature=0.0, repetition_penalty=1.0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_gguf(tmp_path_factory.mktemp("gguf") / "demo-f32.gguf")


@pytest.fixture(scope="module")
def backend(file: Path) -> Iterator[LlamaBackend]:
    made = LlamaBackend()
    load(made, file)
    yield made
    made.unload("demo")


def info(file: Path, name: str = "demo") -> ModelInfo:
    model = describe_gguf(file, name, name, "folder")
    assert model is not None
    return model


def load(backend: LlamaBackend, file: Path, name: str = "demo") -> ModelInfo:
    return backend.load(LoadSpec(info(file, name)), lambda fraction, phase: None, threading.Event())


def ask(
    backend: LlamaBackend,
    turns: tuple[Turn, ...] = SUM,
    *,
    sink: RecordingSink | None = None,
    begun: Begun | None = None,
    model: str = "demo",
    **settings: object,
) -> ReplyResult:
    chosen = ChatSettings(**{"sampling": GREEDY, **settings})
    return backend.reply(ReplySpec(model, "chat", turns, chosen, begun=begun), sink or RecordingSink())


def written(folder: Path, turns: tuple[Turn, ...], settings: ChatSettings, most: int) -> str:
    """What transformers writes greedily, tags and all, special tokens left out."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    template = ChatTemplate.load(folder)
    assert template is not None
    prompt = template.render(turns, settings, think=settings.think)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        out = model.generate(**ids, max_new_tokens=most, do_sample=False)[0, ids["input_ids"].shape[1] :]
    return tokenizer.decode(out, skip_special_tokens=True)


# --- the same words ------------------------------------------------------------------------------


@pytest.mark.parametrize("think", [True, False])
def test_a_greedy_reply_is_what_transformers_writes(backend: LlamaBackend, think: bool) -> None:
    reply = ask(backend, think=think)
    told = f"<think>{reply.thinking}</think>{reply.text}" if reply.thinking else reply.text
    assert told == written(MODEL_FOLDER, SUM, ChatSettings(think=think), 200)
    assert reply.finish == "stop"
    assert bool(reply.thinking) == think


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama"])
def test_the_tested_architectures_agree_with_transformers(tmp_path: Path, family: str) -> None:
    tiny_model(tmp_path / "m", family, tie_word_embeddings=False)
    file = write_gguf(tmp_path / "m", tmp_path / "m.gguf")
    turns, settings = (Turn("user", "hello there, how are you?"),), ChatSettings()
    backend = LlamaBackend()
    load(backend, file, "tiny")
    try:
        reply = ask(backend, turns, model="tiny", sampling=Sampling(temperature=0.0, max_tokens=12))
    finally:
        backend.unload("tiny")
    expected = written(tmp_path / "m", turns, settings, 12)
    assert reply.text.strip("\ufffd") == expected.strip("\ufffd")
    assert reply.finish == "length"


def test_letters_that_are_split_over_tokens_come_whole(tmp_path: Path) -> None:
    tiny_model(tmp_path / "m", "qwen3", seed=3)
    backend = LlamaBackend()
    load(backend, write_gguf(tmp_path / "m", tmp_path / "m.gguf"), "tiny")
    try:
        sink = RecordingSink()
        sampling = Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=1, max_tokens=64)
        reply = ask(backend, (Turn("user", "四 🦊 é"),), sink=sink, model="tiny", sampling=sampling)
        again = ask(backend, (Turn("user", "四 🦊 é"),), model="tiny", sampling=sampling)
    finally:
        backend.unload("tiny")
    assert (sink.all("thinking"), sink.all("answer")) == (reply.thinking, reply.text)
    assert (reply.thinking, reply.text) == (again.thinking, again.text)  # the seed decides
    assert reply.stats.tokens == 64


# --- stopping, and thinking that is cut short -------------------------------------------------------


def test_stop_keeps_what_was_said_and_the_next_reply_is_whole(backend: LlamaBackend) -> None:
    whole = ask(backend)
    reply = ask(backend, sink=RecordingSink(stop_after=20))
    assert reply.finish == "cancelled"
    assert whole.thinking.startswith(reply.thinking)
    assert 20 <= len(reply.thinking + reply.text) < len(whole.thinking + whole.text)
    assert ask(backend).text == whole.text


def test_a_spent_budget_ends_thinking_with_the_sentence_that_says_so(backend: LlamaBackend) -> None:
    sink = RecordingSink()
    reply = ask(backend, sink=sink, think_budget=5)
    sentence = EARLY_STOP.partition("</think>")[0]
    assert reply.thinking.endswith(sentence.rstrip("\n") + "\n")
    assert reply.stats.thinking_tokens == 5
    assert reply.text.strip()
    assert sink.states == ["prefill", "thinking", "answering"]


def test_answer_now_ends_thinking(backend: LlamaBackend) -> None:
    whole = ask(backend)
    reply = ask(backend, sink=RecordingSink(answer_after=10))
    assert "Considering the limited time" in reply.thinking
    assert reply.stats.thinking_tokens < whole.stats.thinking_tokens
    assert reply.finish == "stop"


def test_max_tokens_and_a_full_context_end_a_reply(backend: LlamaBackend) -> None:
    short = ask(backend, sampling=Sampling(temperature=0.0, max_tokens=7))
    assert (short.finish, short.stats.tokens, len(short.ids)) == ("length", 7, 7)
    full = ask(backend, context=40, sampling=Sampling(temperature=0.0))
    assert full.finish == "context"
    assert full.stats.context_used == full.stats.context_size == 40


# --- what came before ------------------------------------------------------------------------------


def test_a_reply_goes_on_from_its_own_tokens_or_its_text(backend: LlamaBackend) -> None:
    whole = ask(backend)
    for cut in (3, len(whole.ids) - 4):
        reply = ask(backend, begun=Begun(whole.ids[:cut]))
        assert (reply.thinking, reply.text, reply.ids) == (whole.thinking, whole.text, whole.ids)
    by_text = ask(backend, begun=Begun(thinking=whole.thinking, text=whole.text[:3]))
    assert by_text.text == whole.text
    ended = ask(backend, begun=Begun(whole.ids, ends=True))
    assert (ended.ids, ended.finish) == (whole.ids, "stop")


def test_the_second_turn_finds_the_first_in_the_cache(backend: LlamaBackend) -> None:
    first = ask(backend, think=False)
    turns = (*SUM, Turn("assistant", first.text), Turn("user", "And 3 + 4?"))
    second = ask(backend, turns, think=False)
    assert second.stats.cached_tokens > first.stats.prompt_tokens // 2
    assert second.stats.prompt_tokens > second.stats.cached_tokens
    assert second.stats.ttft_ms > 0
    assert second.stats.tokens_per_s > 0


def test_the_counter_counts_what_the_reply_finds_as_its_prompt(backend: LlamaBackend) -> None:
    model = backend._held["demo"].info
    seen = backend.counter.measure(model, SUM, ChatSettings())
    assert seen.tokens == seen.kept == ask(backend).stats.prompt_tokens
    assert backend.counter.count(model, "Hello, 四 🦊") == len(
        AutoTokenizer.from_pretrained(MODEL_FOLDER).encode("Hello, 四 🦊", add_special_tokens=False)
    )


def test_a_chat_that_outgrows_the_cache_gets_a_larger_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.llama.held.LEAST", 256)
    monkeypatch.setattr("engine.llama.held.MOST", 256)
    backend = LlamaBackend()
    load(backend, file)
    try:
        assert backend._held["demo"].with_context(0, threading.Event())[1] == 256
        long = (Turn("user", "one two three " * 100 + "What is 17 + 25?"),)
        reply = ask(backend, long, sampling=Sampling(temperature=0.0, max_tokens=40))
        assert reply.stats.prompt_tokens > 256
        assert reply.stats.tokens > 1
        assert reply.stats.context_size == 4096
    finally:
        backend.unload("demo")


# --- probabilities ---------------------------------------------------------------------------------


def test_the_probabilities_are_the_models_own(backend: LlamaBackend) -> None:
    reply = ask(backend, think=False)
    spec = ReplySpec("demo", "chat", SUM, ChatSettings(think=False), begun=Begun(reply.ids, ends=True))
    seen = backend.inspect(InspectSpec(spec, 0, 4, 3), threading.Event())
    assert seen.total == len(reply.ids)
    tokenizer = AutoTokenizer.from_pretrained(MODEL_FOLDER)
    model = AutoModelForCausalLM.from_pretrained(MODEL_FOLDER, dtype=torch.float32).eval()
    template = ChatTemplate.load(MODEL_FOLDER)
    assert template is not None
    prompt = tokenizer.encode(template.render(SUM, ChatSettings(), think=False), add_special_tokens=False)
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *reply.ids]])).logits[0, len(prompt) - 1 :]
    shares = logits.softmax(-1)
    for place, fact in enumerate(seen.tokens):
        assert fact.id == reply.ids[place]
        assert fact.probability == pytest.approx(float(shares[place, fact.id]), abs=2e-3)
        assert len(fact.alternatives) == 3
    assert "".join(fact.text for fact in seen.tokens) == reply.text[: sum(len(f.text) for f in seen.tokens)]


# --- life and death --------------------------------------------------------------------------------


def test_unloading_ends_the_process_and_frees_its_memory(file: Path) -> None:
    backend = LlamaBackend()
    loaded = load(backend, file)
    pid = backend._held["demo"]._process._process.pid
    assert loaded.memory > loaded.bytes_on_disk
    assert backend.allocated() > loaded.bytes_on_disk
    backend.unload("demo")
    assert not psutil.pid_exists(pid)
    assert backend.allocated() == 0
    with pytest.raises(EngineError, match="not loaded"):
        ask(backend)


def test_two_models_answer_side_by_side(backend: LlamaBackend, file: Path) -> None:
    load(backend, file, "other")
    assert ask(backend, model="other").text == ask(backend).text
    backend.unload("other")
    assert ask(backend).finish == "stop"


def test_a_process_that_dies_costs_one_reply(tmp_path: Path) -> None:
    tiny_model(tmp_path / "m")  # it never ends a reply by itself
    backend = LlamaBackend()
    load(backend, write_gguf(tmp_path / "m", tmp_path / "m.gguf"), "tiny")

    class Killing(RecordingSink):
        def text(self, part: object, text: str) -> None:
            super().text(part, text)  # type: ignore[arg-type]
            os.kill(backend._held["tiny"]._process._process.pid, signal.SIGKILL)

    with pytest.raises(EngineError) as caught:
        ask(backend, sink=Killing(), model="tiny")
    assert caught.value.info.code == "llama_lost"
    again = ask(backend, model="tiny", sampling=Sampling(temperature=0.0, max_tokens=5))
    assert again.stats.tokens == 5
    backend.close()


def test_no_port_is_opened_and_strangers_have_no_key(backend: LlamaBackend) -> None:
    process = backend._held["demo"]._process
    listening = [
        link
        for link in psutil.Process(process._process.pid).net_connections("all")
        if link.status == "LISTEN" and link.family.name != "AF_UNIX"
    ]
    assert listening == []
    assert process._folder.stat().st_mode & 0o077 == 0
    process.wire._key, key = "wrong", process.wire._key
    try:
        with pytest.raises(EngineError, match="Invalid API Key"):
            process.wire.ask("/completion", {"prompt": "x", "n_predict": 1})
    finally:
        process.wire._key = key


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- bad input -------------------------------------------------------------------------------------


def test_a_load_can_be_cancelled(file: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(EngineError, match="was cancelled"):
        LlamaBackend().load(LoadSpec(info(file)), lambda fraction, phase: None, cancelled)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_an_unknown_architecture_is_one_sentence(tmp_path: Path) -> None:
    other = demo_gguf(tmp_path / "other.gguf", architecture="nosuch")
    assert info(other).support == "untested"
    with pytest.raises(EngineError) as caught:
        load(LlamaBackend(), other)
    assert "unknown model architecture: 'nosuch'" in str(caught.value)
    assert "Update llama.cpp" in str(caught.value)


def test_a_file_that_breaks_behind_its_header_is_one_sentence(tmp_path: Path) -> None:
    bad = demo_gguf(tmp_path / "bad.gguf")
    data = bytearray(bad.read_bytes())
    place = data.index(b"qwen3.attention.head_count_kv")
    data[place : place + len(b"qwen3.attention.head_count_kv")] = b"qwen3.attention.head_count_xx"
    place = data.index(b"qwen3.embedding_length") + len(b"qwen3.embedding_length") + 4
    data[place : place + 4] = (12345).to_bytes(4, "little")
    bad.write_bytes(data)
    with pytest.raises(EngineError) as caught:
        load(LlamaBackend(), bad)
    assert caught.value.info.code == "load_failed"
    assert caught.value.info.detail


def test_too_little_memory_is_said_and_the_engine_lives(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = demo_gguf(file.with_name("huge.gguf"), context=1 << 24)
    monkeypatch.setattr("engine.llama.held.LEAST", 1 << 24)
    monkeypatch.setattr("engine.llama.held.MOST", 1 << 24)
    with pytest.raises(EngineError) as caught:
        load(LlamaBackend(), huge)
    assert caught.value.info.code == "out_of_memory"


def test_weights_of_a_file_stay_as_they_are(file: Path) -> None:
    with pytest.raises(EngineError, match="held as its GGUF file has it: F32"):
        LlamaBackend().load(LoadSpec(info(file), quant="int8"), lambda f, p: None, threading.Event())


# --- through the whole engine ----------------------------------------------------------------------


async def test_a_chat_with_a_gguf_file_through_the_engine(home: Path, file: Path) -> None:
    place = home / ".lmstudio/models/someone/repo/demo.gguf"
    place.parent.mkdir(parents=True)
    place.symlink_to(file)
    before = llama_children()
    client = await connect(Target(in_process=True))
    try:
        listing = await client.request(c.ListModels())
        [model] = [each for each in listing.models if each.source == "lmstudio"]
        settings = ChatSettings(sampling=GREEDY, think=True)
        chat = await client.request(c.NewChat(model=model.id, settings=settings))
        sent = await client.request(c.Send(chat.id, SUM[0].text))
        async with asyncio.timeout(60):
            while (reply := (await client.request(c.ReadChat(chat.id))).messages[-1]).live:
                await asyncio.sleep(0.02)
        assert reply.id == sent.reply.id
        assert (reply.finish, reply.error) == ("stop", None)
        assert f"<think>{reply.thinking}</think>{reply.text}" == written(
            MODEL_FOLDER, SUM, ChatSettings(think=True), 200
        )
        assert reply.stats is not None
        use = await client.request(c.MeasureContext(chat.id))
        assert use.tokens > reply.stats.prompt_tokens
        seen = await client.request(c.InspectReply(chat.id, reply.id, limit=2))
        assert seen.total == reply.stats.tokens + 1
        await client.request(c.UnloadModel(model.id))
        [after] = [m for m in (await client.request(c.ListModels())).models if m.id == model.id]
        assert (after.state, after.quant, after.memory) == ("available", "F32", 0)
        await client.request(c.LoadModel(model.id))
        assert len(llama_children() - before) == 1
    finally:
        await client.close()
    until(lambda: llama_children() <= before)


def llama_children() -> set[int]:
    children = psutil.Process().children()
    return {child.pid for child in children if "engine.llama.child" in command(child)}


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []
