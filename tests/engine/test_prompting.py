"""Measured, shortened and kept: what a prompt takes, by real tokenizers and the demo model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from transformers import AutoTokenizer

from engine.backend import LoadSpec, ReplySpec, Turn
from engine.client import Client
from engine.connect import Target, connect
from engine.demo import MODEL_FOLDER
from engine.prompting import newest_summary, with_summary
from engine.protocol import commands as c
from engine.protocol.events import ReplyDone, ReplyMoved
from engine.protocol.specs import Attachment, ChatSettings, Message, ModelInfo, Sampling
from engine.workers.backend import TorchBackend
from engine.workers.counting import TokenCounter
from tests.support.borrowed import qwen3_tokenizer
from tests.support.tiny import RecordingSink, tiny_model

pytestmark = pytest.mark.engine
GREEDY = Sampling(temperature=0.0, max_tokens=24)
SHORT = ChatSettings(think=False, sampling=GREEDY)
QUESTIONS = ("What is the capital of France?", "What is 12 + 30?", "Who are you?", "What is 7 times 8?")


class Talk:
    """A chat with the demo model in an engine of this process."""

    def __init__(self, client: Client, settings: ChatSettings) -> None:
        self.client = client
        self.settings = settings
        self.chat = ""
        self.states: list[str] = []
        self._done: dict[str, Message] = {}
        self._news = asyncio.Event()

    async def follow(self) -> None:
        async for event in self.client.events():
            if isinstance(event.body, ReplyMoved):
                self.states.append(event.body.state)
            elif isinstance(event.body, ReplyDone):
                self._done[event.body.message.id] = event.body.message
            self._news.set()

    async def say(self, text: str) -> Message:
        """Send, and wait for the whole reply."""
        sent = await self.client.request(c.Send(self.chat, text))
        return await self.ended(sent.reply.id)

    async def ended(self, reply: str) -> Message:
        while reply not in self._done:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 60)
        return self._done[reply]

    async def measure(self, draft: str = "", **more: Any) -> c.ContextUse:
        return await self.client.request(c.MeasureContext(self.chat, draft, **more))

    async def path(self) -> list[Message]:
        return list((await self.client.request(c.ReadChat(self.chat))).messages)

    async def change(self, **changes: Any) -> None:
        self.settings = replace(self.settings, **changes)
        await self.client.request(c.ChangeChat(self.chat, settings=self.settings))


@asynccontextmanager
async def talk(settings: ChatSettings = SHORT) -> AsyncIterator[Talk]:
    client = await connect(Target(in_process=True))
    made = Talk(client, settings)
    made.chat = (await client.request(c.NewChat(model="demo", settings=settings))).id
    follower = asyncio.create_task(made.follow())
    try:
        yield made
    finally:
        follower.cancel()
        await client.close()


def demo(folder: Path = MODEL_FOLDER) -> ModelInfo:
    return ModelInfo("demo", "demo", path=str(folder), context=2048)


# --- counting ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def qwen3() -> tuple[Path, Any]:
    """Folder of the real tokenizer, and what transformers makes of it."""
    folder = qwen3_tokenizer()
    return folder, AutoTokenizer.from_pretrained(folder)


def test_a_text_counts_what_the_models_own_tokenizer_makes_of_it(qwen3: tuple[Path, Any]) -> None:
    folder, tokenizer = qwen3
    model, counter = ModelInfo("q", "q", path=str(folder), context=32768), TokenCounter()
    for text in ("", "Hello, world", "四 🦊 <think>é</think>", "x" * 2000):
        assert counter.count(model, text) == len(tokenizer.encode(text, add_special_tokens=False))


def test_a_prompt_counts_what_apply_chat_template_makes(qwen3: tuple[Path, Any]) -> None:
    folder, tokenizer = qwen3
    turns = (Turn("user", "Hi"), Turn("assistant", "Hello."), Turn("user", "And now?"))
    rows = [{"role": turn.role, "content": turn.text} for turn in turns]
    whole = tokenizer.apply_chat_template(rows, add_generation_prompt=True, tokenize=False)
    seen = TokenCounter().measure(ModelInfo("q", "q", path=str(folder), context=32768), turns, ChatSettings())
    assert seen.tokens == seen.kept == len(tokenizer.encode(whole, add_special_tokens=False))
    assert (seen.size, seen.dropped, seen.fits) == (32768, (), True)


def test_the_counter_keeps_few_tokenizers_and_sees_a_changed_one(tmp_path: Path) -> None:
    counter = TokenCounter()
    models = [tiny_model(tmp_path / str(number)) for number in range(3)]
    counts = [counter.count(model, "the quick brown fox") for model in models]
    assert len(set(counts)) == 1
    assert len(counter._known) == 2
    (tmp_path / "2" / "tokenizer.json").write_text((MODEL_FOLDER / "tokenizer.json").read_text())
    assert counter.count(models[2], "the quick brown fox") != counts[2]


# --- measuring -----------------------------------------------------------------------------------


async def test_the_meter_says_what_the_next_reply_finds_as_its_prompt() -> None:
    async with talk() as chat:
        for question in QUESTIONS[:2]:
            seen = await chat.measure(question)
            reply = await chat.say(question)
            assert reply.stats is not None
            assert seen.tokens == seen.kept == reply.stats.prompt_tokens
            assert (seen.size, seen.dropped) == (reply.stats.context_size, ())
        longer = await chat.measure("x", files=(Attachment("notes.txt", "one two three " * 20),))
        assert longer.tokens > (await chat.measure("x")).tokens + 20


async def test_measuring_does_not_wait_for_a_reply() -> None:
    async with talk(replace(SHORT, sampling=Sampling(temperature=1.5, seed=1, max_tokens=1500))) as chat:
        sent = await chat.client.request(c.Send(chat.chat, QUESTIONS[0]))
        seen = await asyncio.wait_for(chat.measure("next"), 60)
        live = (await chat.path())[-1].live
        await chat.client.request(c.StopReply(sent.reply.id))
        assert seen.tokens > 0
        assert live


async def test_what_goes_first_is_named_by_id() -> None:
    async with talk() as chat:
        for question in QUESTIONS:
            await chat.say(question)
        path = await chat.path()
        whole = (await chat.measure("And?")).tokens
        await chat.change(context=whole - 20)
        seen = await chat.measure("And?")
        assert seen.tokens == whole
        assert seen.size == whole - 20
        assert seen.kept < seen.size
        assert seen.dropped == tuple(message.id for message in path[: len(seen.dropped)])
        assert len(seen.dropped) in (2, 4)
        reply = await chat.say("And?")
        assert reply.stats is not None
        assert (reply.stats.prompt_tokens, reply.stats.context_size) == (seen.kept, seen.size)


# --- when the context is full --------------------------------------------------------------------


async def test_a_chat_that_stops_refuses_and_keeps_the_message() -> None:
    async with talk(replace(SHORT, overflow="stop", context=90)) as chat:
        reply = await chat.say(QUESTIONS[0])
        while reply.error is None and len(await chat.path()) < 12:
            reply = await chat.say(QUESTIONS[1])
        assert reply.finish == "failed"
        assert reply.error is not None
        assert reply.error.code == "context_full"
        assert reply.error.remedy
        assert reply.text == ""
        assert [m.text for m in (await chat.path()) if m.role == "user"][-1] == QUESTIONS[1]
        await chat.change(overflow="drop")
        assert (await chat.say("Go on")).error is None


async def test_old_turns_are_summed_up_once_and_the_summary_serves_again() -> None:
    async with talk() as chat:
        for question in QUESTIONS * 4:
            await chat.say(question)
        whole = (await chat.measure("And?")).tokens
        await chat.change(context=whole, overflow="summarise", sampling=replace(GREEDY, max_tokens=8))
        before = await chat.measure("And?")
        assert before.dropped
        chat.states.clear()
        first = await chat.say("And?")
        assert chat.states[0] == "summarising"
        assert first.error is None
        assert first.settings is not None
        assert first.settings.overflow == "summarise"
        assert first.stats is not None
        assert first.stats.prompt_tokens < before.size
        chat.states.clear()
        seen = await chat.measure("ok")
        again = await chat.say("ok")
        assert again.stats is not None
        assert (seen.dropped, seen.kept) == ((), again.stats.prompt_tokens)
        assert "summarising" not in chat.states
        assert seen.kept < seen.tokens


async def test_a_summary_can_be_stopped_and_the_chat_goes_on() -> None:
    async with talk() as chat:
        for question in QUESTIONS:
            await chat.say(question)
        whole = (await chat.measure("And?")).tokens
        await chat.change(context=whole, overflow="summarise")
        sent = await chat.client.request(c.Send(chat.chat, "And?"))
        await chat.client.request(c.StopReply(sent.reply.id))
        stopped = await chat.ended(sent.reply.id)
        assert stopped.finish == "cancelled"
        assert (await chat.say("And now?")).finish in ("stop", "length")


async def test_without_a_summary_the_oldest_turns_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talk() as chat:
        for question in QUESTIONS:
            await chat.say(question)
        whole = (await chat.measure("And?")).tokens
        await chat.change(context=whole, overflow="summarise")

        async def empty(*_: object) -> str:
            return ""

        monkeypatch.setattr("engine.prompting.Prompting.generate", empty)
        reply = await chat.say("And?")
        assert reply.error is None
        assert reply.stats is not None
        assert reply.stats.prompt_tokens < whole


def test_the_summary_that_reaches_furthest_on_this_path_is_taken() -> None:
    stored = {"b": "two", "d": "four", "x": "elsewhere"}
    assert newest_summary(stored, ["a", "b", "c", "d", "e"]) == ("four", 4)
    assert newest_summary(stored, ["a", "b", "c", "y"]) == ("two", 2)
    assert newest_summary(stored, ["a"]) == ("", 0)


def test_a_summary_stands_behind_the_chats_own_system_turns() -> None:
    turns = (Turn("system", "s"), Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"))
    shorter = with_summary(turns, "short", 3)
    assert [turn.role for turn in shorter] == ["system", "system", "user"]
    assert shorter[0].text == "s"
    assert shorter[1].text.endswith("short")
    assert with_summary(turns, "", 0) is turns


# --- earlier thoughts ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_text"])
@pytest.mark.parametrize("keeping", [False, True])
def test_a_cache_with_kept_thoughts_answers_as_without(family: str, keeping: bool, tmp_path: Path) -> None:
    backend = TorchBackend()
    backend.load(LoadSpec(tiny_model(tmp_path, family), "float32"), lambda *_: None, threading.Event())
    settings = ChatSettings(keep_thoughts=keeping, sampling=Sampling(temperature=0.0, max_tokens=30))
    turns: tuple[Turn, ...] = (Turn("user", "What is the sum of one and two?"),)
    cached: list[int] = []
    for question in ("and the fox?", "and the dog?", "why?"):
        first = backend.reply(ReplySpec("tiny", "cached", turns, settings), RecordingSink())
        fresh = backend.reply(ReplySpec("tiny", f"fresh {question}", turns, settings), RecordingSink())
        assert fresh.stats.cached_tokens == 0
        assert first.text == fresh.text
        cached.append(first.stats.cached_tokens)
        thought = Turn("assistant", first.text, "\nthe dog sleeps\n")
        turns = (*turns, thought, Turn("user", question))
    assert cached[0] == 0
    assert cached[2] > cached[1] > 0


async def test_kept_thoughts_are_counted() -> None:
    async with talk(ChatSettings(sampling=Sampling(temperature=0.0, max_tokens=120))) as chat:
        reply = await chat.say("What is 12 + 30?")
        if not reply.thinking.strip():
            pytest.skip("the demo model did not think here")
        plain = (await chat.measure("And?")).tokens
        await chat.change(keep_thoughts=True)
        assert (await chat.measure("And?")).tokens > plain
        seen = await chat.measure("And 1 + 1?")
        answer = await chat.say("And 1 + 1?")
        assert answer.stats is not None
        assert answer.stats.prompt_tokens == seen.tokens
        assert answer.stats.cached_tokens >= reply.stats.prompt_tokens + reply.stats.thinking_tokens
