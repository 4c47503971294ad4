"""From a chat's turns to the ids that the model continues."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from engine.backend import Turn, completion_prompt
from engine.chat.thinking import prompt_opens_thinking, soft_switch
from engine.chat.window import fit, prompt_budget
from engine.protocol.specs import ChatSettings, ImageRef, ThinkingKind
from engine.workers.vocabulary import Vocabulary


class Prompt(NamedTuple):
    """A prompt that fits."""

    ids: list[int]
    thinking: bool
    """Whether the reply starts inside thinking."""
    images: tuple[ImageRef, ...] = ()
    """Those of the turns that are sent, in order; each stands as a run of one id."""


def build_prompt(
    vocabulary: Vocabulary,
    turns: tuple[Turn, ...],
    settings: ChatSettings,
    *,
    thinking: ThinkingKind,
    context: int,
) -> Prompt:
    """Render, tokenise, and leave out the oldest turns that do not fit.

    Raises EngineError `prompt_too_long` when the last turn alone is too long, `context_full` where the
    chat would rather stop than drop, or `template_failed`.
    """
    texts: dict[tuple[Turn, ...], tuple[str, list[int]]] = {}

    def count(some: tuple[Turn, ...]) -> int:
        if some not in texts:
            text = prompt_text(vocabulary, some, settings)
            texts[some] = (text, prompt_ids(vocabulary, some, text))
        return len(texts[some][1])

    kept = fit(turns, count, prompt_budget(context, settings), settings.overflow)
    text, ids = texts[kept]
    started = thinking == "always" or (vocabulary.template is not None and prompt_opens_thinking(text))
    images = tuple(image for turn in kept for image in turn.images) if vocabulary.eyes is not None else ()
    return Prompt(ids or [_start(vocabulary)], started, images)


def prompt_text(vocabulary: Vocabulary, turns: tuple[Turn, ...], settings: ChatSettings) -> str:
    """What the model continues, as text. Raises EngineError `template_failed`."""
    if vocabulary.template is None:
        return settings.system + completion_prompt(turns)
    if any(turn.images for turn in turns):
        if vocabulary.eyes is None:
            turns = tuple(map(told, turns))
        else:
            turns, settings = vocabulary.eyes.hidden(turns, settings)
    return vocabulary.template.render(turns, settings, think=settings.think)


def prompt_ids(vocabulary: Vocabulary, turns: tuple[Turn, ...], text: str) -> list[int]:
    """Ids of a prompt that `prompt_text` made of these turns, as many for an image as the model sees."""
    ids = vocabulary.encode(text)
    images = [image for turn in turns for image in turn.images]
    return vocabulary.eyes.fill(ids, images) if images and vocabulary.eyes is not None else ids


def told(turn: Turn) -> Turn:
    """The turn for a model that cannot see: images by their names."""
    names = "\n".join(f"[image {image.name}]" for image in turn.images)
    return replace(turn, text=f"{names}\n{turn.text}", images=()) if turn.images else turn


def switched(turns: tuple[Turn, ...], settings: ChatSettings) -> ChatSettings:
    """The settings with what `/think` or `/no_think` in the last message asks for."""
    switch = soft_switch(turns[-1].text) if turns else None
    return settings if switch is None else replace(settings, think=switch)


def _start(vocabulary: Vocabulary) -> int:
    """Something to continue where the prompt is empty."""
    tokenizer = vocabulary.tokenizer
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
