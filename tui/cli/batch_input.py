"""The lines of `qwill chat --jsonl`: one JSON object each, checked one by one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from msgspec.structs import replace

from engine.api import commands, specs

LINE_LIMIT = 600_000
"""Bytes of a line at most: what travels to the engine at once."""
NUMBERS: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0.001, 100),
}
"""Keys of a line, with the least and the most that they may be."""
COUNTS = {"top_k": 0, "max_tokens": 1, "seed": 0, "think_budget": 0}
MOST = 1 << 53
ROLES: dict[str, specs.Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


class Line(NamedTuple):
    """One line of the file; `row` is what is asked, or `wrong` says in a sentence why nothing is."""

    number: int
    """1-based."""
    mark: str
    """Hash of the line, by which an answer knows it again."""
    id: Any = None
    row: commands.Row | None = None
    wrong: str = ""
    size: int = 0
    """Bytes."""


def read_lines(file: IO[bytes], settings: specs.ChatSettings) -> Iterator[Line]:
    """The lines that are not empty, in order; bad ones too. `settings` go for what a line does not say."""
    number = 0
    while raw := file.readline(LINE_LIMIT + 1):
        number += 1
        if len(raw) > LINE_LIMIT and not raw.endswith(b"\n"):
            mark = hashlib.sha256(raw).hexdigest()[:16]
            while rest := file.readline(LINE_LIMIT):
                if rest.endswith(b"\n"):
                    break
            yield Line(number, mark, wrong=f"it has more than {LINE_LIMIT:,} bytes")
        elif raw.strip():
            yield _line(number, raw, settings)


def _line(number: int, raw: bytes, settings: specs.ChatSettings) -> Line:
    mark = hashlib.sha256(raw.strip()).hexdigest()[:16]
    id_: Any = None
    try:
        data = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is no JSON object")
        id_ = _id(data)
        row = commands.Row(_turns(data), _settings(data, settings))
    except RecursionError:
        return Line(number, mark, id_, wrong="it is nested too deeply")
    except UnicodeDecodeError:
        return Line(number, mark, id_, wrong="it is not UTF-8")
    except json.JSONDecodeError as error:
        return Line(number, mark, id_, wrong=f"it is not JSON: {error.msg} at column {error.colno}")
    except ValueError as error:
        return Line(number, mark, id_, wrong=str(error))
    return Line(number, mark, id_, row, size=len(raw))


def _id(data: dict[str, Any]) -> Any:
    found = data.get("id", data.get("custom_id"))
    if found is not None and type(found) not in (str, int):
        raise ValueError("`id` is neither a text nor a whole number")
    return found


def _turns(data: dict[str, Any]) -> tuple[commands.RowTurn, ...]:
    if ("prompt" in data) == ("messages" in data):
        raise ValueError("it needs either `prompt` or `messages`")
    if "prompt" in data:
        return (commands.RowTurn("user", _text(data["prompt"], "prompt")),)
    messages = data["messages"]
    if not isinstance(messages, list) or not messages:
        raise ValueError("`messages` is no list of messages")
    turns = tuple(_turn(message, place) for place, message in enumerate(messages))
    if turns[-1].role != "user":
        raise ValueError("the last of `messages` is not the user's")
    return turns


def _turn(message: Any, place: int) -> commands.RowTurn:
    name = f"messages[{place}]"
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise ValueError(f"`{name}` needs a `role`: {', '.join(ROLES)}")
    thinking = message.get("reasoning_content", message.get("thinking")) or ""
    content = _text(message.get("content"), f"{name}.content", empty=message["role"] == "assistant")
    return commands.RowTurn(ROLES[message["role"]], content, _text(thinking, f"{name}.thinking", empty=True))


def _text(value: Any, name: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ValueError(f"`{name}` is no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"`{name}` holds half a character") from None
    return value


def _settings(data: dict[str, Any], base: specs.ChatSettings) -> specs.ChatSettings:
    """The settings with what the line itself says."""
    given: dict[str, Any] = {}
    for name, (least, most) in NUMBERS.items():
        value = data.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ValueError(f"`{name}` is no number between {least:g} and {most:g}")
            given[name] = float(value)
    for name, least in COUNTS.items():
        value = data.get(name)
        if value is not None:
            if type(value) is not int or not least <= value <= MOST:
                raise ValueError(f"`{name}` is no whole number from {least} up")
            given[name] = value
    wishes: dict[str, Any] = {}
    if "think_budget" in given:
        wishes["think_budget"] = given.pop("think_budget")
    if (think := data.get("think")) is not None:
        if not isinstance(think, bool):
            raise ValueError("`think` is neither true nor false")
        wishes["think"] = think
    if data.get("system") is not None:
        wishes["system"] = _text(data["system"], "system", empty=True)
    return replace(base, sampling=replace(base.sampling, **given), **wishes)
