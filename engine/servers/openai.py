"""The dialect of OpenAI's chat completions, with the additions of those who serve open models."""

from __future__ import annotations

import base64
import re
from typing import Any

from engine.backend import Turn
from engine.chat.thinking import soft_switch
from engine.pictures import kept
from engine.protocol.specs import ImageRef, Sampling
from engine.servers.asked import Piece, Question, Usage, table, text, whole
from engine.servers.errors import message_of
from engine.servers.kinds import Kind

_SOFT = re.compile(r"qwen-?3([-_:/]|$)", re.IGNORECASE)
"""Models that know `/no_think`; Qwen3.5 and later do not."""
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Where servers put thinking that they split off: most of them; later vLLM and OpenRouter; some others."""
_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}


class OpenAI:
    """See engine.servers.asked.Dialect."""

    def path(self, root: str, url: str) -> str:
        """Below the `/v1`."""
        return f"{url}/chat/completions"

    def body(self, question: Question, kind: Kind) -> dict[str, Any]:
        """The request as JSON. Raises EngineError `image_gone`."""
        body: dict[str, Any] = {
            "model": question.model,
            "messages": messages(question, kind),
            "stream": True,
        }
        if kind.usage:
            body["stream_options"] = {"include_usage": True}
        body |= sampling(question.settings.sampling, kind)
        if question.settings.sampling.max_tokens is not None:
            body["max_tokens"] = question.settings.sampling.max_tokens
        body |= switch(question, kind)
        if question.begun and kind.prefill is not None:
            body |= kind.prefill
        return body

    def piece(self, answer: dict[str, Any]) -> Piece:
        """One chunk, or a whole completion of a server that does not stream."""
        if answer.get("error"):
            return Piece(error=message_of(answer))
        choices = answer.get("choices")
        choice = table(choices[0]) if isinstance(choices, list) and choices else {}
        said = table(choice.get("delta")) or table(choice.get("message"))
        thoughts = next((text(said[key]) for key in THOUGHTS if text(said.get(key))), "")
        return Piece(
            thoughts,
            _content(said.get("content")),
            text(choice.get("finish_reason")),
            _usage(answer),
        )


def messages(question: Question, kind: Kind) -> list[dict[str, Any]]:
    """The chat as these servers read it, the system prompt first."""
    rows: list[dict[str, Any]] = []
    if question.settings.system.strip():
        rows.append({"role": "system", "content": question.settings.system})
    for turn in question.turns:
        row: dict[str, Any] = {"role": _ROLES.get(turn.role, "user"), "content": _parts(turn)}
        if turn.thinking and question.settings.keep_thoughts and kind.thoughts:
            row["reasoning_content"] = turn.thinking
        rows.append(row)
    if wants_soft_switch(question, kind):
        rows[-1]["content"] = _appended(rows[-1]["content"], " /no_think")
    if question.begun:
        rows.append({"role": "assistant", "content": question.begun})
    return rows


def sampling(wanted: Sampling, kind: Kind) -> dict[str, Any]:
    """What was set by somebody, by the server's names; what it has no name for is left out."""
    found: dict[str, Any] = {}
    for ours, theirs in kind.sampling.items():
        value = getattr(wanted, ours)
        if value is not None:
            found[theirs] = kind.no_top_k if ours == "top_k" and value == 0 else value
    return found


def switch(question: Question, kind: Kind) -> dict[str, Any]:
    """What turns thinking on or off, where the server knows a way."""
    if kind.switch == "template" and (not question.think or question.info.thinking == "switchable"):
        return {"chat_template_kwargs": {"enable_thinking": question.think}}
    if kind.switch == "effort" and not question.think and question.info.thinking != "never":
        return {"reasoning_effort": "none"}
    return {}


def wants_soft_switch(question: Question, kind: Kind) -> bool:
    """Whether `/no_think` is said in the message, because the server has no switch that is sure."""
    if question.think or kind.switch in ("template", "ollama") or question.info.thinking != "switchable":
        return False
    last = question.turns[-1] if question.turns else None
    if last is None or last.role != "user" or soft_switch(last.text) is not None:
        return False
    return bool(_SOFT.search(question.model))


def data_url(image: ImageRef) -> str:
    """An image as it stands in a message. Raises EngineError `image_gone`."""
    return "data:image/png;base64," + base64.b64encode(kept.shared.whole(image)).decode()


def _parts(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.images:
        return turn.text
    shown: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(image)}} for image in turn.images
    ]
    return [*shown, {"type": "text", "text": turn.text}]


def _appended(content: str | list[dict[str, Any]], words: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content + words
    return [*content[:-1], content[-1] | {"text": content[-1]["text"] + words}]


def _content(value: Any) -> str:
    """A text, or the texts of its parts."""
    if isinstance(value, list):
        return "".join(text(table(part).get("text")) for part in value)
    return text(value)


def _usage(answer: dict[str, Any]) -> Usage | None:
    usage, timings = table(answer.get("usage")), table(answer.get("timings"))
    if not usage and not timings:
        return None
    spent = timings.get("predicted_ms")
    return Usage(
        whole(usage.get("prompt_tokens")),
        whole(table(usage.get("prompt_tokens_details")).get("cached_tokens"))
        or whole(timings.get("cache_n")),
        whole(usage.get("completion_tokens")),
        whole(table(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        spent / 1000 if isinstance(spent, int | float) and spent > 0 else None,
    )
