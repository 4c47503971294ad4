"""A model's chat template: found, probed for what it can do, and rendered within limits."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from engine.backend import Turn
from engine.chat import jinja_env, keep, sandbox
from engine.chat.known import is_known
from engine.chat.thinking import TAGS, prompt_opens_thinking
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings, ThinkingKind

FILE_LIMIT = 8 << 20
"""Bytes of a template's file at most."""
Row = dict[str, Any]
"""One message as a template sees it: role, content, and reasoning_content where there is thinking."""
_PROBE_SYSTEM = "qwill-probe-system"
_HELLO: Row = {"role": "user", "content": "Hello"}


class ChatTemplate:
    """Renders a chat into the model's prompt. A known one runs here, any other in a child with limits."""

    def __init__(self, source: str, tokens: dict[str, str] | None = None) -> None:
        """`tokens`: the special tokens that the template may name, such as bos_token."""
        self.source = source
        self.tokens = dict(tokens or {})
        self.known = is_known(source)

    @classmethod
    def load(cls, folder: Path) -> ChatTemplate | None:
        """The template of a model's folder; None when it has none. Raises EngineError `template_failed`."""
        config = _read_json(folder / "tokenizer_config.json")
        source = _read_text(folder / "chat_template.jinja")
        if source is None:
            source = _named(config.get("chat_template"))
        if source is None:
            source = _named(_read_json(folder / "chat_template.json").get("chat_template"))
        if not source:
            return None
        return cls(source, _tokens(_read_json(folder / "special_tokens_map.json")) | _tokens(config))

    def render(
        self, turns: tuple[Turn, ...], settings: ChatSettings, *, think: bool, answered: bool = False
    ) -> str:
        """The prompt up to where the reply starts; or, `answered`, the chat as it stands after the last one.

        Raises EngineError `template_failed`. `think` goes in as `enable_thinking` (and as `thinking`, which
        some families read instead). Where the template refuses a system role, the system prompt is put before
        the first user's text; where it refuses two turns of one role in a row, they are merged.
        System turns that the chat begins with are part of the system prompt. With `keep_thoughts`, earlier
        replies stand there with their thoughts, as the model wrote them; where the template strips them and
        names no tags, they stay out.
        """
        rows, system = _without_system([_row(turn) for turn in turns], settings.system)
        if system.strip():
            rows = _with_system(rows, system) if self.takes_system else _with_preface(rows, system)
        keeping = settings.keep_thoughts and any(turn.thinking for turn in turns)
        if keeping and not self.keeps_thoughts and (tags := keep.tags_of(self.source)):
            marked, blocks = keep.hide(rows, tags)
            kept = keep.reveal(self._merging(marked, think, answered, keeping), blocks)
            if kept is not None:
                return kept
        return self._merging(rows, think, answered, keeping)

    def _merging(self, rows: list[Row], think: bool, answered: bool, keeping: bool) -> str:
        """Rendered; with neighbours of one role merged where the template refuses them."""
        try:
            return self._raw(rows, think, answered, keeping)
        except jinja_env.Refused as error:
            merged = _merge(rows)
            if merged == rows:
                raise sandbox.template_failed(f"It refuses this chat: {error}") from error
        try:
            return self._raw(merged, think, answered, keeping)
        except jinja_env.Refused as error:
            raise sandbox.template_failed(f"It refuses this chat: {error}") from error

    @cached_property
    def keeps_thoughts(self) -> bool:
        """Whether it writes earlier thoughts itself when asked to. Raises EngineError `template_failed`."""
        try:
            return keep.PROBE in self._raw(keep.PROBE_ROWS, True, keeping=True)
        except jinja_env.Refused:
            return False

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message reaches the prompt. Raises EngineError `template_failed`."""
        rows = [{"role": "system", "content": _PROBE_SYSTEM}, _HELLO]
        try:
            return _PROBE_SYSTEM in self._raw(rows, True)
        except jinja_env.Refused:
            return False

    @cached_property
    def thinking(self) -> ThinkingKind:
        """Found by rendering with the switch on and off. Raises EngineError `template_failed`."""
        try:
            on, off = self._raw([_HELLO], True), self._raw([_HELLO], False)
        except jinja_env.Refused as error:
            raise sandbox.template_failed(f"It refuses a plain greeting: {error}") from error
        if on != off:
            return "switchable"
        if prompt_opens_thinking(on) or any(closing in self.source for _, closing in TAGS):
            return "always"
        return "never"

    def _raw(self, rows: list[Row], think: bool, answered: bool = False, keeping: bool = False) -> str:
        variables = {
            **self.tokens,
            "messages": rows,
            "tools": None,
            "documents": None,
            "add_generation_prompt": not answered,
            "enable_thinking": think,
            "thinking": think,
            **(keep.WISHES if keeping else {}),
        }
        if not self.known:
            return sandbox.shared.render(self.source, variables)
        try:
            return jinja_env.render(self.source, variables)
        except jinja_env.Refused:
            raise
        except jinja_env.OutputTooLong as error:
            raise sandbox.template_failed(
                f"Its output is longer than {jinja_env.OUTPUT_LIMIT >> 20} MiB"
            ) from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise sandbox.template_failed(f"{type(error).__name__}: {error}") from error


def _row(turn: Turn) -> Row:
    if turn.images:
        images: list[Row] = [{"type": "image"} for _ in turn.images]
        return {"role": turn.role, "content": [*images, {"type": "text", "text": turn.text}]}
    if turn.role != "assistant":
        return {"role": turn.role, "content": turn.text}
    row: Row = {"role": turn.role, "content": turn.text.lstrip("\n")}
    if turn.thinking:
        # transformers passes reasoning under both names: most templates read the first, gpt-oss the second.
        row |= {"reasoning_content": turn.thinking, "thinking": turn.thinking}
    return row


def _without_system(rows: list[Row], system: str) -> tuple[list[Row], str]:
    """The rows behind the leading system ones, and the system prompt with those joined to it."""
    head = next((place for place, row in enumerate(rows) if row["role"] != "system"), len(rows))
    texts = [system, *(row["content"] for row in rows[:head])]
    return rows[head:], "\n\n".join(text for text in texts if text.strip())


def _with_system(rows: list[Row], system: str) -> list[Row]:
    return [{"role": "system", "content": system}, *rows]


def _with_preface(rows: list[Row], system: str) -> list[Row]:
    for place, row in enumerate(rows):
        if row["role"] == "user":
            prefaced = {**row, "content": _joined(system, row["content"])}
            return [*rows[:place], prefaced, *rows[place + 1 :]]
    return [{"role": "user", "content": system}, *rows]


def _merge(rows: list[Row]) -> list[Row]:
    """Neighbours of one role as one message."""
    merged: list[Row] = []
    for row in rows:
        if not merged or merged[-1]["role"] != row["role"]:
            merged.append(dict(row))
            continue
        last = merged[-1]
        for key in row.keys() - {"role"}:
            last[key] = _joined(last.get(key), row[key])
    return merged


def _joined(first: Any, second: Any) -> Any:
    """Two contents as one: texts with a blank line between, or the parts of both."""
    if isinstance(first, list) or isinstance(second, list):
        return [*_parts(first), *_parts(second)]
    return "\n\n".join(part for part in (first, second) if part)


def _parts(content: Any) -> list[Row]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": f"{content}\n\n"}] if content else []


def _named(value: object) -> str | None:
    """A template that is given as a string, or as a list or table of named ones."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        value = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
    if isinstance(value, dict):
        chosen = value.get("default")
        return chosen if isinstance(chosen, str) else None
    return None


def _tokens(config: Row) -> dict[str, str]:
    """`bos_token` and its kin; each is a string, or an object with the string in `content`."""
    tokens: dict[str, str] = {}
    for name, value in config.items():
        if not name.endswith("_token"):
            continue
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            tokens[name] = text
    return tokens


def _read_text(path: Path) -> str | None:
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > FILE_LIMIT:
            raise fault(
                "template_failed",
                f"The file {path.name} of the model is too large",
                f"It has more than {FILE_LIMIT >> 20} MiB",
                "Download the model again",
            )
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fault(
            "template_failed",
            f"The file {path.name} of the model cannot be read",
            str(error),
            "Make it readable, or download the model again",
        ) from error


def _read_json(path: Path) -> Row:
    text = _read_text(path)
    if text is None:
        return {}
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise fault(
            "template_failed",
            f"The file {path.name} of the model is not valid JSON",
            str(error),
            "Download the model again",
        ) from error
    return data if isinstance(data, dict) else {}
