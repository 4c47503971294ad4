"""Ollama's own dialect: it switches thinking and takes a context size, which its `/v1` does not.

Source: ollama/ollama, docs/api.md, "Generate a chat completion".
"""

from __future__ import annotations

import base64
from typing import Any

from engine.pictures import kept
from engine.servers.asked import Piece, Question, Usage, table, text, whole
from engine.servers.errors import message_of
from engine.servers.kinds import Kind
from engine.servers.openai import sampling


class Ollama:
    """See engine.servers.asked.Dialect."""

    def path(self, root: str, url: str) -> str:
        """Beside the `/v1`."""
        return f"{root}/api/chat"

    def body(self, question: Question, kind: Kind) -> dict[str, Any]:
        """The request as JSON. Raises EngineError `image_gone`."""
        settings = question.settings
        options = sampling(settings.sampling, kind)
        if settings.sampling.max_tokens is not None:
            options["num_predict"] = settings.sampling.max_tokens
        if settings.context is not None:
            options["num_ctx"] = min(settings.context, question.info.context or settings.context)
        body: dict[str, Any] = {
            "model": question.model,
            "messages": _messages(question),
            "stream": True,
            "options": options,
        }
        if question.info.thinking == "switchable":
            body["think"] = question.think
        return body

    def piece(self, answer: dict[str, Any]) -> Piece:
        """One line of the stream."""
        if answer.get("error"):
            return Piece(error=message_of(answer))
        said = table(answer.get("message"))
        done = answer.get("done") is True
        return Piece(
            text(said.get("thinking")),
            text(said.get("content")),
            (text(answer.get("done_reason")) or "stop") if done else "",
            _usage(answer) if done else None,
        )


def _messages(question: Question) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if question.settings.system.strip():
        rows.append({"role": "system", "content": question.settings.system})
    for turn in question.turns:
        row: dict[str, Any] = {"role": turn.role, "content": turn.text}
        if turn.images:
            row["images"] = [base64.b64encode(kept.shared.whole(image)).decode() for image in turn.images]
        if turn.thinking and question.settings.keep_thoughts:
            row["thinking"] = turn.thinking
        rows.append(row)
    if question.begun:
        rows.append({"role": "assistant", "content": question.begun})
    return rows


def _usage(answer: dict[str, Any]) -> Usage:
    spent = whole(answer.get("eval_duration"))
    return Usage(
        prompt=whole(answer.get("prompt_eval_count")),
        tokens=whole(answer.get("eval_count")),
        decode_s=spent / 1e9 if spent else None,
    )
