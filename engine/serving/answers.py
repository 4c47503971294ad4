"""What goes out, in OpenAI's shapes: models, whole answers, and the chunks of a stream."""

from __future__ import annotations

import json
import time
from typing import Any

from engine.backend import ReplyResult
from engine.chatbook import new_id
from engine.protocol.specs import Finish, ReplyStats
from engine.serving.names import Served

Row = dict[str, Any]
DONE = b"data: [DONE]\n\n"
WAITING = b": waiting\n\n"
"""A comment, which keeps a connection alive while nothing is said."""


def model_row(served: Served, created: float) -> Row:
    """One model of the list; `max_model_len` is vLLM's name for its context."""
    row = {"id": served.id, "object": "model", "created": int(created), "owned_by": "qwill"}
    return row | {"max_model_len": served.model.context, "loaded": served.model.state == "ready"}


def event(row: Row) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(row)}\n\n".encode()


def usage(stats: ReplyStats) -> Row:
    """How many tokens a request took."""
    return {
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.tokens,
        "total_tokens": stats.prompt_tokens + stats.tokens,
        "prompt_tokens_details": {"cached_tokens": stats.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": stats.thinking_tokens},
    }


class Answer:
    """The shapes of one answer, all under one id."""

    def __init__(self, served: Served, *, bare: bool, usage: bool = False) -> None:
        """`bare`: of /v1/completions; `usage`: the stream was asked to count tokens."""
        self._bare = bare
        self._usage = usage
        self._head = {
            "id": f"{'cmpl' if bare else 'chatcmpl'}-{new_id()}",
            "created": int(time.time()),
            "model": served.id,
        }

    def whole(self, text: str, thinking: str, result: ReplyResult) -> Row:
        """An answer that is not streamed."""
        choice: Row = {"index": 0, "logprobs": None, "finish_reason": reason(result.finish)}
        if self._bare:
            choice["text"] = text
        else:
            said = {"role": "assistant", "content": text}
            choice["message"] = said | ({"reasoning_content": thinking} if thinking else {})
        kind = "text_completion" if self._bare else "chat.completion"
        return {**self._head, "object": kind, "choices": [choice], "usage": usage(result.stats)}

    def first(self) -> list[Row]:
        """What a stream begins with."""
        return [] if self._bare else [self._chunk({"role": "assistant", "content": ""})]

    def piece(self, part: str, text: str) -> Row:
        """More text of a stream."""
        if self._bare:
            return self._chunk({}, text)
        return self._chunk({"reasoning_content" if part == "thinking" else "content": text})

    def last(self, result: ReplyResult) -> list[Row]:
        """What a stream ends with."""
        ended = [self._chunk({}, finish=reason(result.finish))]
        if self._usage:
            ended.append({**self._chunk({}), "choices": [], "usage": usage(result.stats)})
        return ended

    def _chunk(self, delta: Row, text: str = "", finish: str | None = None) -> Row:
        choice: Row = {"index": 0, "logprobs": None, "finish_reason": finish}
        choice |= {"text": text} if self._bare else {"delta": delta}
        kind = "text_completion" if self._bare else "chat.completion.chunk"
        row = {**self._head, "object": kind, "choices": [choice]}
        return row | {"usage": None} if self._usage else row


def reason(finish: Finish) -> str:
    """Why an answer ended, in OpenAI's words."""
    return "length" if finish in ("length", "context") else "stop"
