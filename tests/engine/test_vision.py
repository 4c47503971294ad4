"""Models that see, against transformers: greedy replies to the same images have the same ids."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from engine.backend import LoadSpec, ReplySpec, Turn
from engine.counting import Measured
from engine.pictures import kept
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, ImageRef, Sampling
from engine.workers import steps as steps_module
from engine.workers.backend import TorchBackend
from engine.workers.eyes import Eyes
from engine.workers.loaded import load
from engine.workers.prompt import build_prompt
from engine.workers.vocabulary import Vocabulary
from tests.support.tiny import RecordingSink, tiny_model
from tests.support.tiny_vision import CONTEXT, FAMILIES, kept_image, tiny_seeing

pytestmark = pytest.mark.engine
NEW = 40
SETTINGS = ChatSettings(sampling=Sampling(temperature=0.0, max_tokens=NEW))


class Asked:
    """A backend with one tiny model that sees, and transformers' own reply to the same turns."""

    def __init__(self, folder: Path, family: str) -> None:
        self.info = tiny_seeing(folder, family)
        self.backend = TorchBackend()
        self.backend.load(LoadSpec(self.info, "float32"), lambda *_: None, threading.Event())
        self.vocabulary: Vocabulary = self.backend._models["tiny"].vocabulary
        self.reference = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        self.turns: tuple[Turn, ...] = ()

    def ours(self, text: str, *images: ImageRef, chat: str = "c") -> tuple[list[int], int]:
        """Ids of our reply, and how many tokens of the prompt were cached."""
        self.turns += (Turn("user", text, images=images),)
        sink = RecordingSink()
        result = self.backend.reply(ReplySpec("tiny", chat, self.turns, SETTINGS), sink)
        self.asked, self.turns = self.turns, (*self.turns, Turn("assistant", result.text))
        return list(result.ids), result.stats.cached_tokens

    def theirs(self) -> list[int]:
        """Ids of `generate`, its inputs made the way transformers' own processors make them."""
        eyes = self.vocabulary.eyes
        assert eyes is not None
        text = self.vocabulary.template.render(self.asked, SETTINGS, think=True)  # type: ignore[union-attr]
        images = [image for turn in self.asked for image in turn.images]
        inputs: dict[str, torch.Tensor] = {}
        if images:
            pictures = [Image.open(io.BytesIO(kept.shared.whole(image))) for image in images]
            made = eyes._processor(images=pictures, return_tensors="pt")
            pieces = text.split("<|image_pad|>")
            text = pieces[0]
            for grid, piece in zip(made["image_grid_thw"], pieces[1:], strict=True):
                text += "<|image_pad|>" * (int(grid.prod()) // 4) + piece
            inputs = {"pixel_values": made["pixel_values"], "image_grid_thw": made["image_grid_thw"]}
        ids = torch.tensor([self.vocabulary.encode(text)])
        inputs["mm_token_type_ids"] = (ids == eyes.pad).int()
        out = self.reference.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW,
            **inputs,
        )
        return out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("chunk", [steps_module.CHUNK, 16])
@pytest.mark.parametrize("family", FAMILIES)
def test_replies_to_images_are_token_identical_to_generate_turn_after_turn(
    family: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps_module, "CHUNK", chunk)
    asked = Asked(tmp_path, family)
    assert asked.info.vision
    assert asked.info.support == "tested"
    first, second = kept_image(40, 28, 1), kept_image(24, 56, 2)
    for turn, (text, images) in enumerate(
        [("What is this?", (first,)), ("how are you today?", ()), ("And these two?", (second, first))]
    ):
        ids, cached = asked.ours(text, *images)
        assert ids == asked.theirs(), turn
        assert len(ids) == NEW
        assert (cached > 20) == (turn > 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_alone_is_as_generate_has_it_also_after_another_chats_image(family: str, tmp_path: Path) -> None:
    asked = Asked(tmp_path, family)
    asked.ours("What is this?", kept_image(48, 32, 1), chat="other")
    asked.turns = ()
    for text in ("the quick brown fox", "and the dog?"):
        ids, _ = asked.ours(text)
        assert ids == asked.theirs()


@pytest.mark.parametrize("family", FAMILIES)
def test_another_image_of_the_same_size_is_never_answered_from_the_cache_of_the_first(
    family: str, tmp_path: Path
) -> None:
    asked = Asked(tmp_path, family)
    one, _ = asked.ours("What is this?", kept_image(40, 40, 1))
    asked.turns = ()
    other, cached = asked.ours("What is this?", kept_image(40, 40, 2))
    assert other == asked.theirs()
    assert other != one
    asked.turns = ()
    again, reused = asked.ours("What is this?", kept_image(40, 40, 2))
    assert again == other
    assert reused > cached


def test_a_typed_pad_is_a_word_and_not_an_image(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "qwen3_vl")
    image = kept_image(40, 28, 1)
    turns = (Turn("user", "say <|image_pad|> twice <|image_pad|>", images=(image,)),)
    prompt = build_prompt(asked.vocabulary, turns, SETTINGS, thinking="never", context=CONTEXT)
    eyes = asked.vocabulary.eyes
    assert eyes is not None
    assert prompt.ids.count(eyes.pad) == eyes.tokens(image)
    assert asked.ours("say <|image_pad|>", image)[0]


def test_images_are_counted_without_being_looked_at(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "qwen2_5_vl")
    gone = ImageRef("0" * 64, "gone.png", 40, 28)
    plain = asked.backend.counter.measure(asked.info, (Turn("user", "hi"),), SETTINGS)
    seen: Measured = asked.backend.counter.measure(
        asked.info, (Turn("user", "hi", images=(gone,)),), SETTINGS
    )
    eyes = asked.vocabulary.eyes
    assert eyes is not None
    assert seen.tokens == plain.tokens + eyes.tokens(gone) + 2  # with <|vision_start|> and <|vision_end|>
    with pytest.raises(EngineError) as caught:
        asked.ours("hi", gone)
    assert caught.value.info.code == "image_gone"


def test_the_oldest_image_leaves_the_prompt_with_its_turn(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "qwen3_vl")
    image = kept_image(40, 28, 1)
    turns = (Turn("user", "x " * 200, images=(image,)), Turn("assistant", "y"), Turn("user", "short"))
    prompt = build_prompt(asked.vocabulary, turns, SETTINGS, thinking="never", context=200)
    assert prompt.images == ()
    assert len(prompt.ids) < 200


def test_a_large_image_takes_a_bounded_number_of_tokens(tmp_path: Path) -> None:
    info = tiny_seeing(tmp_path, "qwen3_vl")
    (tmp_path / "preprocessor_config.json").write_text(
        '{"size": {"longest_edge": 99999999, "shortest_edge": 1}}'
    )
    loaded = load(LoadSpec(info, "float32"), 1, lambda *_: None, threading.Event())
    eyes = loaded.vocabulary.eyes
    assert eyes is not None
    assert 1000 < eyes.tokens(ImageRef("0" * 64, "x", 4000, 3000)) <= 1280


def test_a_model_for_text_reads_the_names_of_earlier_images(tmp_path: Path) -> None:
    info = tiny_model(tmp_path)
    assert not info.vision
    loaded = load(LoadSpec(info, "float32"), 1, lambda *_: None, threading.Event())
    assert Eyes.load(tmp_path, loaded.vocabulary.tokenizer) is None
    turns = (Turn("user", "look", images=(kept_image(40, 28, 1, name="cat.png"),)),)
    prompt = build_prompt(loaded.vocabulary, turns, SETTINGS, thinking="never", context=CONTEXT)
    assert prompt.images == ()
    assert "[image cat.png]" in loaded.vocabulary.tokenizer.decode(prompt.ids)
