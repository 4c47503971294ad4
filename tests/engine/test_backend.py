"""Replies of the whole backend: thinking, stop, budgets, limits, caches, with tiny random models."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.backend import LoadSpec, ReplyResult, ReplySpec, Turn
from engine.chat.thinking import EARLY_STOP
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, ModelInfo, ReplyStats, Sampling
from engine.workers import backend as backend_module
from engine.workers import steps as steps_module
from engine.workers.backend import TorchBackend
from tests.support.tiny import RecordingSink, set_generation, tiny_model

pytestmark = pytest.mark.engine
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n<think>\n' }}"
)
"""A template that always opens thinking."""
QUESTION = (Turn("user", "What is the sum of one and two?"),)


class Chat:
    """One backend with one tiny model."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.described = tiny_model(folder, **changes)
        self.backend = TorchBackend()
        self.info = self.load()

    def load(self) -> ModelInfo:
        return self.backend.load(LoadSpec(self.described, "float32"), lambda *_: None, threading.Event())

    def say(
        self,
        turns: tuple[Turn, ...] = QUESTION,
        sink: RecordingSink | None = None,
        chat: str = "chat",
        **settings: Any,
    ) -> ReplyResult:
        settings.setdefault("sampling", Sampling(temperature=0.0, max_tokens=40))
        return self.backend.reply(
            ReplySpec("tiny", chat, turns, ChatSettings(**settings)), sink or RecordingSink()
        )

    def generate(self, ids: list[int], count: int) -> list[int]:
        """Greedy ids of transformers itself behind these."""
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        prompt = torch.tensor([ids])
        out = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count
        )
        return out[0, len(ids) :].tolist()

    @property
    def tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self.folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return Chat(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return Chat(tmp_path_factory.mktemp("thinker"), template=THINKS)


# --- a reply -----------------------------------------------------------------------------------


def test_a_reply_is_what_the_sink_got(plain: Chat) -> None:
    sink = RecordingSink()
    result = plain.say(sink=sink)
    assert result.finish == "length"
    assert result.text == sink.all("answer") != ""
    assert result.thinking == sink.all("thinking") == ""
    assert sink.states == ["prefill", "answering"]
    stats = result.stats
    assert stats == sink.reports[-1]
    assert (stats.tokens, stats.thinking_tokens) == (40, 0)
    assert stats.ttft_ms > 0
    assert stats.tokens_per_s > 0
    assert stats.context_used == stats.prompt_tokens + 39
    assert stats.context_size == plain.info.context


def test_the_same_seed_gives_the_same_text_and_a_drawn_one_is_reported(plain: Chat) -> None:
    hot = Sampling(temperature=1.5, top_k=0, max_tokens=30)
    first, second = plain.say(sampling=hot), plain.say(sampling=hot)
    assert first.text != second.text
    seed = first.settings.sampling.seed
    assert seed is not None
    again = plain.say(sampling=Sampling(temperature=1.5, top_k=0, max_tokens=30, seed=seed))
    assert again.text == first.text
    assert again.settings == first.settings


def test_stop_keeps_the_text(plain: Chat) -> None:
    whole = plain.say()
    sink = RecordingSink(stop_after=15)
    result = plain.say(sink=sink)
    assert result.finish == "cancelled"
    assert 15 <= len(result.text) < len(whole.text)
    assert whole.text.startswith(result.text)
    assert result.text == sink.all("answer")


def test_the_models_end_token_ends_the_reply_without_showing(tmp_path: Path) -> None:
    chat = Chat(tmp_path)
    prompt = chat.tokenizer.encode(
        "<|im_start|>user\nWhat is the sum of one and two?<|im_end|>\n<|im_start|>assistant\n",
        add_special_tokens=False,
    )
    ids = chat.generate(prompt, 40)
    end = next(token for place, token in enumerate(ids) if place > 4 and token not in ids[:place])
    file = chat.folder / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": [chat.tokenizer.eos_token_id, end]}))
    chat.load()
    result = chat.say()
    assert result.finish == "stop"
    assert result.text == chat.tokenizer.decode(ids[: ids.index(end)], skip_special_tokens=True)
    assert result.stats.tokens == ids.index(end)


def test_the_models_defaults_fill_in_what_the_chat_leaves_open(tmp_path: Path) -> None:
    chat = Chat(tmp_path)
    set_generation(tmp_path, do_sample=True, temperature=0.6, top_k=20, top_p=0.95)
    chat.load()
    thinking = chat.say(sampling=Sampling(max_tokens=2)).settings.sampling
    assert (thinking.temperature, thinking.top_p, thinking.top_k) == (0.6, 0.95, 20)
    quiet = chat.say(sampling=Sampling(max_tokens=2), think=False).settings.sampling
    assert (quiet.temperature, quiet.top_p, quiet.top_k) == (0.7, 0.8, 20)
    switched = chat.say((Turn("user", "one and two? /no_think"),), sampling=Sampling(max_tokens=2)).settings
    assert (switched.think, switched.sampling.temperature) == (False, 0.7)


def test_a_model_without_a_template_continues_the_text(tmp_path: Path) -> None:
    chat = Chat(tmp_path, template=None)
    assert (chat.info.chat, chat.info.thinking) == (False, "never")
    assert chat.info.why
    result = chat.say((Turn("user", "the quick brown "),))
    expected = chat.generate(chat.tokenizer.encode("the quick brown "), 40)
    assert result.text == chat.tokenizer.decode(expected, skip_special_tokens=True)
    assert chat.say((Turn("user", ""),)).stats.prompt_tokens == 1


def test_a_model_that_is_not_loaded_is_a_fault(plain: Chat) -> None:
    with pytest.raises(EngineError) as caught:
        plain.backend.reply(ReplySpec("other", "chat", QUESTION, ChatSettings()), RecordingSink())
    assert caught.value.info.code == "model_not_loaded"


# --- thinking ------------------------------------------------------------------------------------


def test_a_prompt_that_opens_thinking_starts_in_it(thinker: Chat) -> None:
    sink = RecordingSink()
    result = thinker.say(sink=sink)
    assert thinker.info.thinking == "always"
    assert sink.states == ["prefill", "thinking"]
    assert result.text == ""
    assert result.thinking == sink.all("thinking") != ""
    assert result.stats.thinking_tokens == 40
    assert result.stats.thinking_s > 0


@pytest.mark.parametrize("budget", [0, 7])
def test_a_spent_budget_makes_the_model_answer_on_the_live_cache(thinker: Chat, budget: int) -> None:
    """What follows is what transformers generates behind the same ids, the early-stop sentence included."""
    sink = RecordingSink()
    result = thinker.say(sink=sink, think_budget=budget)
    assert result.stats.thinking_tokens == budget
    assert result.thinking.endswith(EARLY_STOP.partition("</think>")[0])
    assert sink.states == ["prefill", "thinking", "answering"]
    tokenizer = thinker.tokenizer
    prompt = tokenizer.encode(
        "<|im_start|>user\nWhat is the sum of one and two?<|im_end|>\n<|im_start|>assistant\n<think>\n",
        add_special_tokens=False,
    )
    thoughts = thinker.generate(prompt, budget) if budget else []
    forced = tokenizer.encode(EARLY_STOP, add_special_tokens=False)
    answer = thinker.generate(prompt + thoughts + forced, 40 - budget)
    assert result.text == "\n\n" + tokenizer.decode(answer, skip_special_tokens=True)
    assert result.stats.tokens == 40


def test_a_budget_holds_where_the_tags_are_no_tokens(tmp_path: Path) -> None:
    result = Chat(tmp_path, template=THINKS, tags=False).say(think_budget=5)
    assert result.stats.thinking_tokens == 5
    assert result.thinking.endswith(EARLY_STOP.partition("</think>")[0])
    assert result.text.startswith("\n\n")
    assert "</think>" not in result.text


def test_answer_now_ends_the_thinking_once(thinker: Chat) -> None:
    sink = RecordingSink(answer_after=12)
    result = thinker.say(sink=sink)
    assert result.thinking.count("Considering the limited time") == 1
    assert 0 < result.stats.thinking_tokens < 40
    assert result.stats.tokens == 40
    assert result.text.startswith("\n\n")


def test_answer_now_means_nothing_outside_of_thinking(plain: Chat) -> None:
    sink = RecordingSink(answer_after=1)
    assert plain.say(sink=sink).text == plain.say().text


# --- limits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return Chat(tmp_path_factory.mktemp("narrow"), max_position_embeddings=96)


def test_a_full_context_ends_the_reply_and_keeps_it(narrow: Chat) -> None:
    result = narrow.say(sampling=Sampling(temperature=0.0))
    assert result.finish == "context"
    assert result.text
    assert result.stats.prompt_tokens + result.stats.tokens == 96


def test_a_message_longer_than_the_context_is_a_fault(narrow: Chat) -> None:
    with pytest.raises(EngineError) as caught:
        narrow.say((Turn("user", "the dog sleeps " * 60),))
    assert caught.value.info.code == "prompt_too_long"
    assert caught.value.info.remedy


def test_the_oldest_turns_make_room(narrow: Chat) -> None:
    old = (Turn("user", "the dog sleeps " * 10), Turn("assistant", "the fox jumps " * 10))
    long, alone = narrow.say(old + QUESTION), narrow.say(chat="other")
    assert long.text == alone.text
    assert long.stats.prompt_tokens == alone.stats.prompt_tokens


class StoppingSink(RecordingSink):
    """Presses Stop when so many tokens of the prompt are done."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self._limit = tokens

    def stats(self, stats: ReplyStats) -> None:
        super().stats(stats)
        if stats.context_used >= self._limit:
            self.cancelled.set()


@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_text"])
def test_a_stop_during_prefill_keeps_what_was_computed(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_module, "CHUNK", 16)
    chat = Chat(tmp_path, family=family)
    turns = (Turn("user", "the quick brown fox jumps over the lazy dog " * 8),)
    stopped = chat.say(turns, StoppingSink(32))
    assert (stopped.finish, stopped.text, stopped.stats.tokens) == ("cancelled", "", 0)
    assert stopped.stats.context_used == 32
    resumed, fresh = chat.say(turns), chat.say(turns, chat="other")
    assert resumed.stats.cached_tokens == 32
    assert fresh.stats.cached_tokens == 0
    assert resumed.text == fresh.text


# --- caches ------------------------------------------------------------------------------------


def test_the_next_turn_reuses_the_cache_and_answers_as_without(plain: Chat) -> None:
    first = plain.say(chat="reuse")
    turns = (*QUESTION, Turn("assistant", first.text), Turn("user", "and the fox?"))
    reused, fresh = plain.say(turns, chat="reuse"), plain.say(turns, chat="fresh")
    assert reused.stats.cached_tokens >= first.stats.prompt_tokens - 1
    assert fresh.stats.cached_tokens == 0
    assert reused.text == fresh.text


def test_a_forgotten_chat_and_a_model_loaded_anew_start_without_cache(tmp_path: Path) -> None:
    chat = Chat(tmp_path)
    weights = chat.backend.allocated()
    chat.say()
    assert chat.backend.allocated() > weights
    assert chat.say().stats.cached_tokens > 0
    chat.backend.forget("chat")
    chat.backend.forget("unknown")
    assert chat.backend.allocated() == weights
    assert chat.say().stats.cached_tokens == 0
    chat.load()
    assert chat.say().stats.cached_tokens == 0


def test_only_the_chats_used_last_keep_their_cache(plain: Chat) -> None:
    for name in range(backend_module.CACHED_CHATS + 1):
        plain.say(chat=f"chat {name}")
    assert plain.say(chat=f"chat {backend_module.CACHED_CHATS}").stats.cached_tokens > 0
    assert plain.say(chat="chat 0").stats.cached_tokens == 0


def test_a_reply_that_fails_half_way_drops_its_cache(plain: Chat) -> None:
    class Broken(RecordingSink):
        def text(self, part: Any, text: str) -> None:
            raise MemoryError("no room")

    plain.say(chat="broken")
    with pytest.raises(EngineError) as caught:
        plain.say(chat="broken", sink=Broken())
    assert caught.value.info.code == "out_of_memory"
    assert plain.say(chat="broken").stats.cached_tokens == 0


def test_torchs_own_generator_stays_untouched(plain: Chat) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    plain.say(sampling=Sampling(temperature=1.0, max_tokens=10))
    assert torch.equal(before, torch.get_rng_state())
