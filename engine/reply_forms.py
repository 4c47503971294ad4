"""A reply's message before it is generated, and as it ended."""

from __future__ import annotations

import time

from msgspec.structs import replace

from engine.backend import ReplyResult
from engine.chatbook import new_id
from engine.live import LiveReply
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.specs import ChatInfo, ChatSettings, Finish, Message, ModelInfo, Origin


def placeholder(
    chat: ChatInfo,
    parent: str,
    *,
    model: str = "",
    settings: ChatSettings | None = None,
    origin: Origin = "",
    source: str | None = None,
) -> Message:
    """The empty reply that waits; by the chat's model and settings where no others are given."""
    settings = settings or chat.settings
    return Message(
        new_id(),
        chat.id,
        "assistant",
        parent=parent,
        state="queued",
        created=time.time(),
        model=model or chat.model,
        adapter=settings.adapter,
        settings=settings,
        origin=origin,
        source=source,
    )


def finished(reply: LiveReply, result: ReplyResult) -> Message:
    """A reply as the model ended it."""
    return replace(
        reply.message,
        text=result.text,
        thinking=result.thinking,
        finish=result.finish,
        stats=result.stats,
        settings=result.settings,
        state="done",
    )


def unfinished(reply: LiveReply, finish: Finish, error: ErrorInfo | None = None) -> Message:
    """A reply that something else ended; a continued one holds at least what it began with."""
    message, begun = reply.message, reply.begun
    if begun is not None and len(message.text) < len(begun.text):
        message = replace(message, text=begun.text)
    if begun is not None and len(message.thinking) < len(begun.thinking):
        message = replace(message, thinking=begun.thinking)
    return replace(message, state="done", finish=finish, error=error)


def unforeseen(error: Exception) -> ErrorInfo:
    """What is said of a reply that failed in no known way."""
    return ErrorInfo(
        "reply_failed",
        "The reply failed in the engine",
        f"{type(error).__name__}: {error}",
        "Ask again; the engine's log has the details",
        retryable=True,
    )


def not_a_reply(what: str) -> EngineError:
    """The fault of asking for something that only a reply can have."""
    return fault("not_a_reply", f"Only a reply can be {what}", remedy="Choose a reply")


def refuse_blind(model: ModelInfo) -> None:
    """Raises EngineError `no_vision` for a model that cannot be shown images."""
    if not model.vision:
        raise fault(
            "no_vision",
            f"{model.name} cannot see images",
            "It is a model for text alone",
            "Choose a Qwen2.5-VL or Qwen3-VL model, or take the image away (/detach)",
        )


def grows() -> EngineError:
    """The fault of asking for something that only a finished reply can have."""
    return fault("reply_grows", "The reply is still being written", remedy="Stop it, or wait for its end")
