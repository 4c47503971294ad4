"""What a continued or branched reply begins with, as the ids that the model would have written."""

from __future__ import annotations

from engine.backend import Begun, ReplySpec
from engine.chat.window import context_size
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.workers.prompt import Prompt, build_prompt
from engine.workers.vocabulary import Vocabulary


def begin(
    vocabulary: Vocabulary,
    spec: ReplySpec,
    settings: ChatSettings,
    model: ModelInfo,
    *,
    written: bool = False,
) -> tuple[Prompt, list[int]]:
    """A prompt that leaves room for the reply, and the ids that the reply begins with.

    `written`: the reply is all there, so that it needs no more room. Raises EngineError `prompt_too_long`,
    `reply_full`, `context_full` or `template_failed`.
    """
    size = context_size(model.context, settings)
    begun = spec.begun
    taken = len(begun_ids(vocabulary, begun, started=False))

    def fitting(context: int) -> Prompt:
        return build_prompt(vocabulary, spec.turns, settings, thinking=model.thinking, context=context)

    if written:
        # As it was built for the reply, which then had the rest of the context to itself.
        prompt = fitting(size)
        if len(prompt.ids) + taken <= size:
            return prompt, begun_ids(vocabulary, begun, started=prompt.thinking)
    try:
        prompt = fitting(size - taken)
    except EngineError as error:
        if taken and error.info.code == "prompt_too_long":
            raise _full(taken, size) from error
        raise
    return prompt, begun_ids(vocabulary, begun, started=prompt.thinking)


def begun_ids(vocabulary: Vocabulary, begun: Begun | None, *, started: bool) -> list[int]:
    """Ids behind the prompt; none for a reply that begins from nothing.

    `started`: the prompt has opened thinking already. Texts are put between the model's own tags: thinking
    stays open where nothing follows it, and is closed before the answer.
    """
    if begun is None:
        return []
    if begun.ids:
        return _without_end(vocabulary, begun)
    if vocabulary.template is None:
        return vocabulary.plain(begun.text)
    opening, closing = (vocabulary.tag(tag) for tag in vocabulary.tags)
    ids: list[int] = []
    if begun.thinking:
        ids += ([] if started else opening) + vocabulary.plain(begun.thinking)
    if begun.text:
        ids += (closing if started or begun.thinking else []) + vocabulary.plain(begun.text)
    return ids


def _without_end(vocabulary: Vocabulary, begun: Begun) -> list[int]:
    ids = list(begun.ids)
    while not begun.ends and ids and ids[-1] in vocabulary.stops:
        ids.pop()
    return ids


def _full(taken: int, size: int) -> EngineError:
    return fault(
        "reply_full",
        f"The context is full: the reply has {taken:,} of {size:,} tokens, and its question needs the rest",
        remedy="Ask for a shorter reply in a new chat, or raise the context",
    )
