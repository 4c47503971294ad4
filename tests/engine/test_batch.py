"""Rows that are answered together say what each says alone; and the chat, stops and faults among them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.backend import LoadSpec, ReplyResult, ReplySpec, Turn
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.specs import ChatSettings, Sampling
from engine.workers import batch as batch_module
from engine.workers.backend import TorchBackend
from engine.workers.batch import FAMILIES
from tests.support.tiny import RecordingSink, tiny_model

pytestmark = pytest.mark.engine
TEXTS = (
    "What is the sum of one and two?",
    "the fox 🦊 sleeps",
    "hello there, how are you today? " * 6,
    "dog",
    "the quick brown fox jumps over the lazy dog, and the dog sleeps on",
)
GREEDY = ChatSettings(sampling=Sampling(temperature=0.0, max_tokens=12))


class Answers:
    """A BatchSink that keeps what it is told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.cancelled = threading.Event()
        self.found: dict[int, ReplyResult | ErrorInfo] = {}
        self._stop_after = stop_after

    def done(self, place: int, result: ReplyResult | ErrorInfo) -> None:
        assert place not in self.found
        self.found[place] = result
        if len(self.found) == self._stop_after:
            self.cancelled.set()

    def texts(self) -> list[str]:
        return [self.found[place].text for place in sorted(self.found)]


def backend_of(folder: Path, family: str, **changes: object) -> TorchBackend:
    backend = TorchBackend()
    backend.load(
        LoadSpec(tiny_model(folder, family, **changes), "float32"), lambda *_: None, threading.Event()
    )
    return backend


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    """One model for the tests that leave it as it was."""
    return backend_of(tmp_path_factory.mktemp("models") / "qwen3", "qwen3")


def specs(settings: ChatSettings = GREEDY, texts: tuple[str, ...] = TEXTS) -> tuple[ReplySpec, ...]:
    return tuple(ReplySpec("tiny", "c", (Turn("user", text),), settings) for text in texts)


def together(backend: TorchBackend, asked: tuple[ReplySpec, ...], sink: Answers | None = None) -> Answers:
    sink = sink or Answers()
    backend.batcher.run(asked, sink)
    return sink


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_each_row_says_what_it_says_alone(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Greedy in float32; in one chunk and in several, with limits that end rows one after another."""
    backend = backend_of(tmp_path, family)
    assert backend.batcher.takes("tiny") == ""
    asked = tuple(
        replace(spec, settings=replace(GREEDY, sampling=Sampling(temperature=0.0, max_tokens=4 + 4 * place)))
        for place, spec in enumerate(specs())
    )
    alone = [backend.reply(replace(spec, chat=str(n)), RecordingSink()) for n, spec in enumerate(asked)]
    for chunk in (2048, 80):
        monkeypatch.setattr(batch_module, "CHUNK", chunk)
        answers = together(backend, asked)
        assert answers.texts() == [each.text for each in alone]
        for place, one in enumerate(alone):
            found = answers.found[place]
            assert found.ids == one.ids
            assert found.finish == one.finish == "length"
            assert found.stats.tokens == 4 + 4 * place
            assert found.stats.prompt_tokens == one.stats.prompt_tokens
        assert list(answers.found) == sorted(answers.found)  # the shortest was done first


def test_sampled_rows_go_by_their_own_seeds(backend: TorchBackend) -> None:
    hot = [
        ChatSettings(sampling=Sampling(temperature=1.2, top_k=0, seed=seed, max_tokens=20))
        for seed in (1, 2, 1)
    ]
    asked = tuple(replace(specs()[0], settings=settings) for settings in hot)
    first, second, again = together(backend, asked).texts()
    assert first == again != second
    [alone] = together(backend, asked[:1]).texts()
    assert alone == first
    drawn = together(backend, specs(ChatSettings(sampling=Sampling(temperature=1.2, max_tokens=3))))
    assert len({found.settings.sampling.seed for found in drawn.found.values()}) == len(TEXTS)


def test_a_budget_ends_the_thinking_of_each_row_by_itself(tmp_path: Path) -> None:
    thinks = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{{ '<|im_start|>assistant\n<think>\n' }}"
    )
    backend = backend_of(tmp_path, "qwen3", template=thinks)
    settings = ChatSettings(sampling=Sampling(temperature=0.0, max_tokens=30))
    budgets = (4, 9, None)
    asked = tuple(
        replace(spec, settings=replace(settings, think_budget=budget))
        for spec, budget in zip(specs(), budgets, strict=False)
    )
    answers = together(backend, asked)
    for place, spec in enumerate(asked):
        alone = backend.reply(replace(spec, chat=f"x{place}"), RecordingSink())
        found = answers.found[place]
        assert (found.text, found.thinking, found.ids) == (alone.text, alone.thinking, alone.ids)
        assert found.stats.thinking_tokens == alone.stats.thinking_tokens


def test_a_row_that_cannot_be_asked_leaves_the_others_alone(backend: TorchBackend) -> None:
    answers = together(backend, specs(texts=(TEXTS[0], "word " * 3000, TEXTS[3])))
    assert answers.found[1].code == "prompt_too_long"
    assert answers.found[0].finish == answers.found[2].finish == "length"


def test_a_stop_keeps_the_rows_that_are_done(backend: TorchBackend) -> None:
    settings = [
        replace(GREEDY, sampling=Sampling(temperature=0.0, max_tokens=most)) for most in (3, 900, 900)
    ]
    asked = tuple(replace(spec, settings=each) for spec, each in zip(specs(), settings, strict=False))
    answers = together(backend, asked, Answers(stop_after=1))
    assert list(answers.found) == [0]


def test_a_batch_waits_while_the_chat_is_answered_and_ends_with_its_model(tmp_path: Path) -> None:
    backend = backend_of(tmp_path, "qwen3")
    long = replace(GREEDY, sampling=Sampling(temperature=0.0, max_tokens=100))
    answers, faults = Answers(), []

    def work() -> None:
        try:
            together(backend, specs(long), answers)
        except EngineError as error:
            faults.append(error.info.code)

    with backend._gate.chatting():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert answers.found == {}
        backend.unload("tiny")
    thread.join(30)
    assert faults == ["model_not_loaded"]


def test_memory_that_runs_out_makes_the_batch_smaller(
    backend: TorchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, sizes = batch_module.Together.run, []

    def run(self: batch_module.Together, *args: object) -> None:
        sizes.append(len(self._rows))
        if len(self._rows) > 2:
            raise MemoryError
        whole(self, *args)

    expected = together(backend, specs()).texts()
    monkeypatch.setattr(batch_module.Together, "run", run)
    assert together(backend, specs()).texts() == expected
    assert sizes == [5, 2, 2, 1]


def test_hybrids_and_unknown_families_are_left_to_answer_one_by_one(tmp_path: Path) -> None:
    backend = backend_of(tmp_path, "qwen3_5_text")
    assert "one by one" in backend.batcher.takes("tiny")
