"""From a chat's turns to the ids that a GGUF model continues."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from engine.backend import Begun, ReplySpec, Turn, completion_prompt
from engine.chat.thinking import prompt_opens_thinking, soft_switch
from engine.chat.window import fit, prompt_budget
from engine.llama.vocabulary import LlamaVocabulary
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ChatSettings, ThinkingKind


class Prompt(NamedTuple):
    """A prompt that fits, and what the reply begins with."""

    ids: list[int]
    thinking: bool
    """Whether the reply starts inside thinking."""
    begun: list[int]


def build_prompt(
    vocabulary: LlamaVocabulary, spec: ReplySpec, settings: ChatSettings, thinking: ThinkingKind, size: int
) -> Prompt:
    """Render, tokenise, and leave out the oldest turns that do not fit `size` tokens with the reply.

    Raises EngineError `prompt_too_long`, `reply_full`, `context_full`, `template_failed`.
    """
    texts: dict[tuple[Turn, ...], str] = {}
    count = counter(vocabulary, settings, texts)
    taken = len(begun_ids(vocabulary, spec.begun, started=False))
    try:
        kept = fit(spec.turns, count, prompt_budget(size - taken, settings), settings.overflow)
    except EngineError as error:
        if taken and error.info.code == "prompt_too_long":
            raise _full(taken, size) from error
        raise
    started = thinking == "always" or (vocabulary.template is not None and prompt_opens_thinking(texts[kept]))
    ids = vocabulary.encode(texts[kept]) or vocabulary.encode("\n")
    return Prompt(ids, started, begun_ids(vocabulary, spec.begun, started=started))


def counter(
    vocabulary: LlamaVocabulary, settings: ChatSettings, texts: dict[tuple[Turn, ...], str] | None = None
) -> Callable[[tuple[Turn, ...]], int]:
    """Counts the tokens of the prompt that some turns make; keeps the prompts in `texts`."""
    texts = {} if texts is None else texts
    counts: dict[tuple[Turn, ...], int] = {}

    def count(some: tuple[Turn, ...]) -> int:
        if some not in counts:
            texts[some] = prompt_text(vocabulary, some, settings)
            counts[some] = len(vocabulary.encode(texts[some]))
        return counts[some]

    return count


def prompt_text(vocabulary: LlamaVocabulary, turns: tuple[Turn, ...], settings: ChatSettings) -> str:
    """What the model continues, as text. Raises EngineError `template_failed`."""
    turns = tuple(map(_told, turns))
    if vocabulary.template is None:
        return settings.system + completion_prompt(turns)
    return vocabulary.template.render(turns, settings, think=settings.think)


def switched(turns: tuple[Turn, ...], settings: ChatSettings) -> ChatSettings:
    """The settings with what `/think` or `/no_think` in the last message asks for."""
    switch = soft_switch(turns[-1].text) if turns else None
    return settings if switch is None else replace(settings, think=switch)


def begun_ids(vocabulary: LlamaVocabulary, begun: Begun | None, *, started: bool) -> list[int]:
    """Ids behind the prompt, texts between the model's own tags; none where nothing was begun."""
    if begun is None:
        return []
    if begun.ids:
        ids = list(begun.ids)
        while not begun.ends and ids and ids[-1] in vocabulary.stops:
            ids.pop()
        return ids
    if vocabulary.template is None:
        return vocabulary.plain(begun.text)
    opening, closing = (vocabulary.tag(tag) for tag in vocabulary.tags)
    ids = []
    if begun.thinking:
        ids += ([] if started else opening) + vocabulary.plain(begun.thinking)
    if begun.text:
        ids += (closing if started or begun.thinking else []) + vocabulary.plain(begun.text)
    return ids


def _told(turn: Turn) -> Turn:
    """The turn with its images by their names."""
    names = "\n".join(f"[image {image.name}]" for image in turn.images)
    return replace(turn, text=f"{names}\n{turn.text}", images=()) if turn.images else turn


def _full(taken: int, size: int) -> EngineError:
    return fault(
        "reply_full",
        f"The context is full: the reply has {taken:,} of {size:,} tokens, and its question needs the rest",
        remedy="Ask for a shorter reply in a new chat, or raise the context",
    )
