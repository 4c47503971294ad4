"""From a chat's turns to the ids that the model continues."""

from __future__ import annotations

from typing import NamedTuple

from engine.backend import Turn, completion_prompt
from engine.chat.thinking import prompt_opens_thinking
from engine.chat.window import fit
from engine.protocol.specs import ChatSettings, ThinkingKind
from engine.workers.vocabulary import Vocabulary

REPLY_ROOM = 512
"""Tokens kept free for the reply, unless fewer are wanted or the context is small."""


class Prompt(NamedTuple):
    """A prompt that fits."""

    ids: list[int]
    thinking: bool
    """Whether the reply starts inside thinking."""


def build_prompt(
    vocabulary: Vocabulary,
    turns: tuple[Turn, ...],
    settings: ChatSettings,
    *,
    thinking: ThinkingKind,
    context: int,
) -> Prompt:
    """Render, tokenise, and leave out the oldest turns that do not fit.

    Raises EngineError `prompt_too_long` when the last turn alone is too long, or `template_failed`.
    """
    texts: dict[tuple[Turn, ...], tuple[str, list[int]]] = {}

    def count(some: tuple[Turn, ...]) -> int:
        text = _text(vocabulary, some, settings)
        texts[some] = (text, vocabulary.encode(text))
        return len(texts[some][1])

    kept = fit(turns, count, context - _room(settings, context))
    text, ids = texts[kept]
    started = thinking == "always" or (vocabulary.template is not None and prompt_opens_thinking(text))
    return Prompt(ids or [_start(vocabulary)], started)


def _text(vocabulary: Vocabulary, turns: tuple[Turn, ...], settings: ChatSettings) -> str:
    if vocabulary.template is None:
        return settings.system + completion_prompt(turns)
    return vocabulary.template.render(turns, settings, think=settings.think)


def _room(settings: ChatSettings, context: int) -> int:
    wanted = settings.sampling.max_tokens or REPLY_ROOM
    return max(1, min(wanted, REPLY_ROOM, context // 4))


def _start(vocabulary: Vocabulary) -> int:
    """Something to continue where the prompt is empty."""
    tokenizer = vocabulary.tokenizer
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0
