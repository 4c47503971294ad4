"""Replies that begin with what is there already: the rest is what the whole reply would have been."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.backend import Begun, LoadSpec, ReplyResult, ReplySpec, Turn
from engine.models.describe import describe
from engine.models.discover import demo_path
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, ModelInfo, Part, Sampling
from engine.workers.backend import TorchBackend
from engine.workers.begun import begun_ids
from engine.workers.vocabulary import Vocabulary
from tests.support.tiny import RecordingSink, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.engine
WHOLE = 48
BUDGET = 16
THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n<think>\n' }}"
)
"""A template that always opens thinking."""
ASKED = (Turn("user", "What is the sum of one and two?"),)


class Bench:
    """One loaded model, asked for the same greedy reply, whole or from somewhere on."""

    def __init__(self, info: ModelInfo, **settings: object) -> None:
        self.backend = TorchBackend()
        self.info = self.backend.load(LoadSpec(info, "float32"), lambda *_: None, threading.Event())
        self._settings = settings
        self._model = info.id

    def reply(
        self,
        begun: Begun | None = None,
        *,
        tokens: int = WHOLE,
        chat: str = "chat",
        sink: RecordingSink | None = None,
        **settings: object,
    ) -> ReplyResult:
        wanted: dict[str, object] = {"sampling": Sampling(temperature=0.0, max_tokens=tokens)}
        spec = ReplySpec(
            self._model, chat, ASKED, ChatSettings(**(wanted | self._settings | settings)), begun=begun
        )
        return self.backend.reply(spec, sink or RecordingSink())

    def continued(
        self, whole: ReplyResult, k: int, chat: str = "chat", forced: int = 0
    ) -> tuple[ReplyResult, RecordingSink]:
        """From the first `k` ids on, `forced` of them no choice of the model's, to where the whole went."""
        sink = RecordingSink()
        return self.reply(Begun(whole.ids[:k]), tokens=WHOLE - k + forced, chat=chat, sink=sink), sink


def same(one: ReplyResult, other: ReplyResult) -> None:
    assert one.ids == other.ids
    assert (one.thinking, one.text) == (other.thinking, other.text)
    assert one.stats.thinking_tokens == other.stats.thinking_tokens
    assert one.stats.tokens == other.stats.tokens
    assert one.stats.context_used == other.stats.context_used


@pytest.fixture(scope="module")
def demo() -> Bench:
    return Bench(describe(demo_path(), "demo", "demo", "demo"))


@pytest.fixture(scope="module", params=["qwen3", "llama", "qwen3_5_text"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A plain, another plain, and a hybrid model; random, so that their text is full of half characters."""
    folder = tmp_path_factory.mktemp(request.param)
    return Bench(tiny_model(folder, request.param, template=THINKS), think_budget=BUDGET)


def test_a_reply_of_the_demo_goes_on_as_if_it_had_not_been_cut(demo: Bench) -> None:
    """Cut inside the thinking, at both sides of its end tag, and inside the answer."""
    whole = demo.reply()
    assert whole.thinking
    assert whole.text
    tokenizer = Vocabulary.load(demo_path(), None, ()).tokenizer
    tag = whole.ids.index(tokenizer.convert_tokens_to_ids("</think>"))
    for k in (1, tag // 2, tag - 1, tag, tag + 1, tag + 2, len(whole.ids) - 2):
        result, sink = demo.continued(whole, k)
        same(result, whole)
        assert result.finish == whole.finish
        assert (sink.all("thinking"), sink.all("answer")) == (whole.thinking, whole.text)


def test_a_reply_of_a_tiny_model_goes_on_as_if_it_had_not_been_cut(tiny: Bench) -> None:
    """Cut inside the thinking, which its budget ends later, and in the answer; with and without a cache."""
    whole = tiny.reply()
    assert whole.thinking
    assert whole.text
    assert whole.stats.thinking_tokens == BUDGET
    early = len(whole.ids) - WHOLE
    assert early > 0
    for k, forced in ((1, 0), (7, 0), (BUDGET, 0), (len(whole.ids) - 20, early), (len(whole.ids) - 1, early)):
        for chat in ("chat", f"fresh {k}"):
            result, sink = tiny.continued(whole, k, chat, forced)
            assert result.ids == whole.ids
            assert (result.thinking, result.text) == (whole.thinking, whole.text)
            assert (sink.all("thinking"), sink.all("answer")) == (whole.thinking, whole.text)


def test_every_cut_inside_many_bytes_of_one_character_is_mended(tmp_path: Path) -> None:
    """The stored text of the cut reply ends in half a character; the continued one has the whole of it."""
    bench = Bench(tiny_model(tmp_path))
    letters = tiny_tokenizer(tmp_path).encode("the fox 🦊 sleeps", add_special_tokens=False)
    pieces = [begun_text(bench, letters[:k]) for k in range(1, len(letters) + 1)]
    assert any(text.endswith("\ufffd") for text in pieces)
    whole = bench.reply(Begun(tuple(letters)), tokens=8)
    assert whole.text.startswith("the fox 🦊 sleeps")
    for k in range(5, len(letters)):
        cut = bench.reply(Begun(tuple(letters[:k])), tokens=1, chat="cut")
        on = bench.reply(Begun((*letters[:k], *letters[k:])), tokens=8, chat="cut")
        assert cut.ids[:k] == tuple(letters[:k])
        assert on.ids == whole.ids
        assert on.text == whole.text


def begun_text(bench: Bench, ids: list[int]) -> str:
    """What a reply that is stopped at once has of these ids."""
    sink = RecordingSink()
    sink.cancelled.set()
    result = bench.reply(Begun(tuple(ids)), sink=sink)
    assert result.ids == tuple(ids)
    assert result.finish == "cancelled"
    assert result.text == sink.all("answer")
    return result.text


def test_what_was_there_comes_first_and_at_once(demo: Bench) -> None:
    class Watched(RecordingSink):
        def moved(self, state: object) -> None:
            super().moved(state)  # type: ignore[arg-type]
            if state != "prefill":
                seen.append("".join(text for _, text in self.pieces))

    seen: list[str] = []
    whole = demo.reply()
    sink = Watched()
    demo.reply(Begun(whole.ids[:6]), tokens=4, sink=sink)
    assert sink.states[:2] == ["prefill", "thinking"]
    assert seen[0]
    assert whole.thinking.startswith(seen[0])
    sink = Watched()
    demo.reply(Begun(whole.ids[:-3]), tokens=1, sink=sink)
    assert sink.states == ["prefill", "answering"]


def test_numbers_tell_the_whole_reply_and_the_speed_of_what_is_new(demo: Bench) -> None:
    whole = demo.reply()
    k = len(whole.ids) - 4
    result = demo.reply(Begun(whole.ids[:k], thinking_s=2.5), tokens=2, chat="numbers")
    assert result.stats.tokens == k + 2
    assert result.stats.prompt_tokens == whole.stats.prompt_tokens
    assert result.stats.thinking_tokens == whole.stats.thinking_tokens
    assert result.stats.thinking_s == 2.5
    none = demo.reply(Begun((*whole.ids[:k],), ends=True), tokens=1, chat="numbers")
    assert none.stats.tokens_per_s == 0.0
    assert none.finish == "length"


def test_what_the_chats_cache_holds_is_not_computed_again(demo: Bench) -> None:
    whole = demo.reply(chat="cached")
    sink = RecordingSink()
    result = demo.reply(Begun(whole.ids[:9]), tokens=2, chat="cached", sink=sink)
    assert result.stats.cached_tokens == whole.stats.prompt_tokens
    assert sink.reports[0].context_used == whole.stats.prompt_tokens + 8


def test_thinking_that_was_there_counts_against_the_budget(tmp_path: Path) -> None:
    bench = Bench(tiny_model(tmp_path, template=THINKS))
    free = bench.reply()
    assert free.stats.thinking_tokens == WHOLE
    bound = bench.reply(think_budget=10)
    result = bench.reply(Begun(free.ids[:6]), tokens=WHOLE - 6, think_budget=10)
    same(result, bound)
    assert result.stats.thinking_tokens == 10


def test_a_stop_token_at_the_end_is_dropped_or_ends_it(demo: Bench) -> None:
    whole = demo.reply(tokens=200)
    assert whole.finish == "stop"
    on = demo.reply(Begun(whole.ids), tokens=3)
    assert on.ids == whole.ids
    assert on.finish == "stop"
    sink = RecordingSink()
    ended = demo.reply(Begun((*whole.ids[:8], whole.ids[-1]), ends=True), sink=sink)
    assert (ended.finish, ended.ids) == ("stop", (*whole.ids[:8], whole.ids[-1]))
    assert whole.thinking.startswith(ended.thinking)
    assert sink.states == ["prefill"]
    assert ended.thinking == sink.all("thinking") != ""


def test_texts_without_ids_stand_between_the_models_own_tags(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    info = tiny_model(tmp_path)
    bench = Bench(info)
    vocabulary = Vocabulary.load(tmp_path, bench.backend._models["tiny"].vocabulary.template, ())

    def text_of(begun: Begun, *, started: bool) -> str:
        return tokenizer.decode(begun_ids(vocabulary, begun, started=started))

    assert text_of(Begun(thinking="\nhm"), started=False) == "<think>\nhm"
    assert text_of(Begun(thinking="hm"), started=True) == "hm"
    assert text_of(Begun(thinking="\nhm\n", text="\n\nyes"), started=False) == "<think>\nhm\n</think>\n\nyes"
    assert text_of(Begun(text="yes"), started=True) == "</think>yes"
    assert text_of(Begun(text="yes"), started=False) == "yes"
    assert begun_ids(vocabulary, None, started=True) == []
    named = begun_ids(vocabulary, Begun(text="<|im_end|>"), started=False)
    assert tokenizer.eos_token_id not in named


@pytest.mark.parametrize("tags", [True, False])
def test_texts_come_back_as_they_were_and_go_on(tmp_path: Path, tags: bool) -> None:
    bench = Bench(tiny_model(tmp_path, tags=tags))
    sink = RecordingSink()
    result = bench.reply(Begun(thinking="\nfox 🦊?\n", text="\n\nthe dog"), tokens=5, sink=sink)
    assert result.thinking == "\nfox 🦊?\n"
    assert result.text.startswith("\n\nthe dog")
    assert len(result.text) > len("\n\nthe dog")
    open_ = bench.reply(Begun(thinking="\nfox"), tokens=5)
    assert open_.thinking.startswith("\nfox")
    assert open_.text == ""


def test_a_base_model_goes_on_with_the_text_alone(tmp_path: Path) -> None:
    bench = Bench(tiny_model(tmp_path, template=None))
    whole = bench.reply(tokens=12)
    result = bench.reply(Begun(whole.ids[:5]), tokens=7)
    assert (result.ids, result.text) == (whole.ids, whole.text)
    assert bench.reply(Begun(thinking="no", text="the fox"), tokens=1).text.startswith("the fox")


def test_room_for_the_rest_is_made_by_older_turns_or_refused(tmp_path: Path) -> None:
    bench = Bench(tiny_model(tmp_path, max_position_embeddings=128))
    letters = tuple(tiny_tokenizer(tmp_path).encode("the dog " * 12, add_special_tokens=False))
    old = (Turn("user", "the fox " * 16), Turn("assistant", "hello"))
    spec = ReplySpec(
        "tiny",
        "chat",
        old + ASKED,
        ChatSettings(sampling=Sampling(temperature=0.0)),
        begun=Begun(letters[:30]),
    )
    result = bench.backend.reply(spec, RecordingSink())
    alone = bench.backend.reply(replace(spec, turns=ASKED), RecordingSink())
    assert result.stats.prompt_tokens == alone.stats.prompt_tokens
    assert result.ids == alone.ids
    full = replace(spec, begun=Begun(letters * 4))
    with pytest.raises(EngineError) as caught:
        bench.backend.reply(full, RecordingSink())
    assert caught.value.info.code == "reply_full"
    assert caught.value.info.remedy


@pytest.mark.parametrize("part", ["thinking", "answer"])
def test_all_ids_of_a_reply_decode_to_its_text(demo: Bench, part: Part) -> None:
    whole = demo.reply(tokens=200)
    tokenizer = Vocabulary.load(demo_path(), None, ()).tokenizer
    text = tokenizer.decode(whole.ids, skip_special_tokens=False)
    thought, _, answer = text.removeprefix("<think>").partition("</think>")
    expected = {"thinking": thought, "answer": answer.removesuffix(tokenizer.eos_token)}
    assert {"thinking": whole.thinking, "answer": whole.text}[part] == expected[part]
