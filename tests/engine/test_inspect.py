"""Looking into replies: probabilities against a plain forward of transformers; texts, pages, caches."""

from __future__ import annotations

import asyncio
import math
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.backend import Begun, InspectSpec, LoadSpec, ReplyResult, ReplySpec, Turn
from engine.chat.template import ChatTemplate
from engine.client import Client
from engine.connect import Target, connect
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import ReplyDone
from engine.protocol.inspect import Inspection
from engine.protocol.specs import ChatSettings, Message, Sampling
from engine.workers import inspect as inspect_module
from engine.workers.backend import INSPECTED, TorchBackend
from engine.workers.inspect import LOGITS, TokenTexts, half_character, measured
from engine.workers.vocabulary import Vocabulary
from tests.support.tiny import RecordingSink, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.engine
ASKED = (Turn("user", "What is the sum of one and two?"),)
PROMPT = "<|im_start|>user\nWhat is the sum of one and two?<|im_end|>\n<|im_start|>assistant\n"
HOT = ChatSettings(sampling=Sampling(temperature=1.4, top_k=5, seed=3, repetition_penalty=1.3, max_tokens=40))


class Bench:
    """A tiny model that has written one hot reply, and transformers' own view of it."""

    def __init__(self, folder: Path, family: str = "qwen3", **changes: Any) -> None:
        self.folder = folder
        self.backend = TorchBackend()
        self.backend.load(
            LoadSpec(tiny_model(folder, family, **changes), "float32"), lambda *_: None, threading.Event()
        )
        self.spec = ReplySpec("tiny", "chat", ASKED, HOT)
        self.reply: ReplyResult = self.backend.reply(self.spec, RecordingSink())

    def inspect(self, start: int = 0, limit: int = 256, top: int = 8, **changes: Any) -> Inspection:
        whole = replace(self.spec, begun=Begun(self.reply.ids, ends=True), **changes)
        return self.backend.inspect(InspectSpec(whole, start, limit, top), threading.Event())

    def expected(self) -> torch.Tensor:
        """Probabilities `[tokens, vocabulary]` at the reply's tokens, by one forward without a cache."""
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(self.folder)
        prompt = tokenizer.encode(PROMPT, add_special_tokens=False)
        ids = torch.tensor([[*prompt, *self.reply.ids]])
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0]
        return logits[len(prompt) - 1 : -1].softmax(-1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("plain"))


# --- the numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen3", "llama", "qwen3_5_text", "gemma3_text", "gpt2"])
def test_probabilities_are_those_of_a_plain_forward(family: str, tmp_path: Path) -> None:
    """Of the raw logits: neither temperature, top-k nor penalty of the reply show in them."""
    more: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024}
    bench = Bench(tmp_path, family, **(more if family == "gpt2" else {}))
    wanted = bench.expected()
    seen = bench.inspect()
    assert seen.total == len(seen.tokens) == len(bench.reply.ids) == 40
    assert not seen.retokenised
    for fact, row in zip(seen.tokens, wanted, strict=True):
        assert fact.probability == pytest.approx(float(row[fact.id]), abs=1e-4)
        entropy = float(torch.special.entr(row).sum()) / math.log(2)
        assert fact.entropy == pytest.approx(entropy, abs=1e-3)
        best = row.topk(8)
        assert [other.probability for other in fact.alternatives] == pytest.approx(
            best.values.tolist(), abs=1e-4
        )
        assert fact.alternatives[0].id == int(best.indices[0])
    assert tuple(fact.id for fact in seen.tokens) == bench.reply.ids


def test_a_model_whose_cache_cannot_be_reused_is_looked_into_as_well(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "mamba", state_size=8)
    wanted = bench.expected()
    seen = bench.inspect()
    for fact, row in zip(seen.tokens, wanted, strict=True):
        assert fact.probability == pytest.approx(float(row[fact.id]), abs=1e-4)


def test_certainty_and_even_odds_have_no_and_all_bits() -> None:
    certain = torch.tensor([[50.0, -50.0, -50.0, -math.inf]])
    even = torch.zeros(1, 4)
    first, second = measured(torch.cat([certain, even]), [0, 3], 2)
    assert (first.probability, first.entropy) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6))
    assert (second.probability, second.entropy) == (pytest.approx(0.25), pytest.approx(2.0))
    assert len(first.top) == 2
    with pytest.raises(EngineError) as caught:
        measured(torch.full((1, 4), math.nan), [0], 2)
    assert caught.value.info.code == "broken_logits"


# --- how it is computed --------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen3", "qwen3_5_text"])
def test_pages_are_one_forward_in_all_and_the_same_as_at_once(family: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, family)
    whole = bench.inspect(top=7)
    fed = count_forwards(bench)
    pages = [bench.inspect(start, 16) for start in (0, 16, 32)]
    joined = [fact for page in pages for fact in page.tokens]
    assert [page.total for page in pages] == [40, 40, 40]
    for one, two in zip(joined, whole.tokens, strict=True):
        assert (one.id, one.text, one.part) == (two.id, two.text, two.part)
        assert one.probability == pytest.approx(two.probability, abs=1e-4)
    before = list(fed)
    assert bench.inspect(0, 16).tokens == pages[0].tokens
    assert bench.inspect(8, 30).tokens[0] == pages[0].tokens[8]
    assert fed == before, "what is known is not computed again"
    prompt = bench.reply.stats.prompt_tokens
    assert sum(fed) <= prompt + 40, "no token is fed twice"
    assert bench.inspect(40).tokens == bench.inspect(99, 5).tokens == ()


def count_forwards(bench: Bench) -> list[int]:
    """Tokens of each forward from now on."""
    fed: list[int] = []
    model = bench.backend._models["tiny"].model
    model.register_forward_pre_hook(
        lambda _module, _args, given: fed.append(given["input_ids"].shape[-1]), with_kwargs=True
    )
    return fed


def test_logits_are_computed_in_pieces_however_many_words_there_are(
    plain: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vocabulary of 150,000 and 4,000 tokens would be 2.4 GB at once; here no table passes the budget."""
    head = plain.backend._models["tiny"].model.get_output_embeddings()
    assert head is not None
    sizes: list[int] = []
    hook = head.register_forward_hook(lambda _m, _a, out: sizes.append(out.numel()))
    words = head.weight.shape[0]
    monkeypatch.setattr(inspect_module, "LOGITS", 4 * words + 3)
    plain.inspect(top=3)
    hook.remove()
    assert max(sizes) == 4 * words
    assert len(sizes) >= 10
    assert LOGITS // 152_000 * 152_000 * 4 <= 1 << 25


def test_the_chats_cache_is_used_where_nothing_is_lost_by_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    fed = count_forwards(bench)
    bench.inspect()
    assert sum(fed) == 40, "the prompt was there, but for the token before the reply"
    turns = (*ASKED, Turn("assistant", bench.reply.text), Turn("user", "and the fox?"))
    after = bench.backend.reply(replace(bench.spec, turns=turns), RecordingSink())
    assert after.stats.cached_tokens > bench.reply.stats.prompt_tokens
    held = bench.backend._caches["chat"].ids
    bench.inspect(top=5)
    assert bench.backend._caches["chat"].ids == held, "a later turn stays in the chat's cache"
    assert INSPECTED in bench.backend._caches
    bench.backend.unload("tiny")
    assert bench.backend.allocated() == 0


def test_it_can_be_stopped_and_goes_on_later(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Soon(threading.Event):
        """Set when it has been looked at so many times."""

        left = 4

        def is_set(self) -> bool:
            self.left -= 1
            return self.left <= 0

    monkeypatch.setattr(inspect_module, "LOGITS", 1)
    spec = InspectSpec(replace(plain.spec, begun=Begun(plain.reply.ids, ends=True)), 0, 40, 6)
    with pytest.raises(EngineError) as caught:
        plain.backend.inspect(spec, Soon())
    assert caught.value.info.code == "cancelled"
    monkeypatch.undo()
    assert plain.inspect(top=6).tokens == plain.backend.inspect(spec, threading.Event()).tokens


def test_a_model_that_is_not_loaded_is_a_fault(plain: Bench) -> None:
    with pytest.raises(EngineError) as caught:
        plain.inspect(model="other")
    assert caught.value.info.code == "model_not_loaded"
    assert caught.value.info.remedy


# --- the words -----------------------------------------------------------------------------------


def facts_of(folder: Path, ids: list[int], others: list[int], *, started: bool = False) -> list[Any]:
    """Facts of these tokens, each with the same alternatives."""
    vocabulary = Vocabulary.load(folder, ChatTemplate.load(folder), ())
    texts = TokenTexts(vocabulary, started=started)
    row = inspect_module.Row(0.5, 1.0, [(other, 0.1) for other in others])
    return [texts.fact(token, row) for token in ids]


def test_tokens_together_are_the_reply_and_say_what_they_belong_to(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    text = "<think>\nthe fox 🦊?\n</think>\n\nhello<|im_end|>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    facts = facts_of(tmp_path, ids, [])
    assert "".join(fact.text for fact in facts) == text
    parts = {"thinking": "", "answer": ""}
    for fact in facts:
        parts[fact.part] += fact.text
    assert parts["thinking"] == "<think>\nthe fox 🦊?\n</think>"
    assert parts["answer"] == "\n\nhello<|im_end|>"
    assert "" in [fact.text for fact in facts], "half a character says nothing yet"
    assert all("\ufffd" not in fact.text for fact in facts)


def test_alternatives_are_read_behind_the_same_words(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path)
    fox = tokenizer.encode("🦊", add_special_tokens=False)
    dog = tokenizer.encode(" dog", add_special_tokens=False)
    end = tokenizer.eos_token_id
    facts = facts_of(tmp_path, [*dog, *fox], [dog[0], fox[0], fox[-1], end, 99_999])
    words = [other.text for other in facts[0].alternatives]
    assert words[0] == tokenizer.decode(dog[:1])
    assert words[1] == "<0xF0>"
    assert words[3:] == ["<|im_end|>", "<99999>"]
    last = facts[-1].alternatives
    assert last[2].text == facts[-1].text == "🦊"


def test_half_a_character_is_told_by_its_bytes() -> None:
    assert half_character("ðŁ") == "<0xF0><0x9F>"
    assert half_character("Ġ") == "<0x20>"
    assert half_character("<0xE2>") == "<0xE2>"
    assert half_character("漢") == "漢"


# --- through the engine --------------------------------------------------------------------------


class Asked:
    """A demo chat in an engine of this process."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.done: dict[str, Message] = {}
        self.chat = ""

    async def follow(self) -> None:
        async for event in self.client.events():
            if isinstance(event.body, ReplyDone):
                self.done[event.body.message.id] = event.body.message

    async def ended(self, reply: str) -> Message:
        async with asyncio.timeout(60):
            while reply not in self.done:
                await asyncio.sleep(0.01)
        return self.done[reply]

    async def say(self, text: str) -> Message:
        settings = ChatSettings(sampling=Sampling(temperature=0.0))
        self.chat = (await self.client.request(c.NewChat(model="demo", settings=settings))).id
        return await self.ended((await self.client.request(c.Send(self.chat, text))).reply.id)


async def test_a_reply_of_the_demo_is_looked_into_and_branched(home: Path) -> None:
    client = await connect(Target(in_process=True))
    asked = Asked(client)
    following = asyncio.create_task(asked.follow())
    try:
        await see_and_branch(client, asked)
    finally:
        await client.close()
        following.cancel()


async def see_and_branch(client: Client, asked: Asked) -> None:
    reply = await asked.say("What is the capital of France?")
    seen = await client.request(c.InspectReply(asked.chat, reply.id, limit=512))
    assert seen.total == len(seen.tokens)
    assert not seen.retokenised
    said = "".join(fact.text for fact in seen.tokens if not fact.text.startswith("<"))
    assert said == reply.thinking + reply.text
    assert {fact.part for fact in seen.tokens} == {"thinking", "answer"}
    assert all(fact.probability == fact.alternatives[0].probability for fact in seen.tokens), "it is greedy"
    assert min(fact.probability for fact in seen.tokens) < max(fact.probability for fact in seen.tokens)

    at = min(range(seen.total), key=lambda place: seen.tokens[place].probability)
    token = seen.tokens[at].alternatives[1]
    version = await client.request(c.BranchReply(asked.chat, reply.id, at, token.id))
    other = await asked.ended(version.id)
    assert (other.origin, other.source, other.parent) == ("branched", reply.id, reply.parent)
    again = await client.request(c.InspectReply(asked.chat, other.id))
    assert [fact.id for fact in again.tokens[:at]] == [fact.id for fact in seen.tokens[:at]]
    assert again.tokens[at].id == token.id
    assert again.tokens[at].probability == pytest.approx(token.probability, abs=1e-3)

    edited = await client.request(c.EditMessage(asked.chat, reply.id, "Paris it is."))
    typed = await client.request(c.InspectReply(asked.chat, edited.message.id))
    assert typed.retokenised
    assert "".join(fact.text for fact in typed.tokens if fact.part == "answer").endswith("Paris it is.")

    for message, code in ((reply.parent, "not_a_reply"), ("nothing", "message_unknown")):
        with pytest.raises(EngineError) as caught:
            await client.request(c.InspectReply(asked.chat, message))
        assert caught.value.info.code == code
    await client.request(c.UnloadModel("demo"))
    with pytest.raises(EngineError) as caught:
        await client.request(c.InspectReply(asked.chat, reply.id))
    assert caught.value.info.code == "model_not_loaded"
    assert "F2" in caught.value.info.remedy
