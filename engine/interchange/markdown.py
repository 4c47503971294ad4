"""A chat as Markdown with front matter; nothing that was said can break out of its place."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from engine.interchange.rows import path_of
from engine.protocol.specs import ChatInfo, Message

_UNSAFE = re.compile("[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\n]*)")
_HTML = re.compile(r"( {0,3})(<(?:!--|\?|!\[CDATA\[|![A-Za-z]|(?i:script|pre|style|textarea)(?=[\s>]|$)))")
"""What opens HTML that goes on to its own end, over blank lines too. Source: CommonMark 0.31, 4.6."""
_ENDS = {"<!--": "-->", "<?": "?>", "<![CDATA[": "]]>"}
_SPEAKERS = {"user": "You", "system": "System", "tool": "Tool"}


def write(chat: ChatInfo, messages: Iterable[Message]) -> str:
    """The shown path of a chat, its settings in front."""
    blocks = ["\n".join(_front(chat)), f"# {_line(chat.title) or 'Chat'}"]
    for message in path_of(chat, messages):
        blocks += _message(message)
    return "\n\n".join(blocks) + "\n"


def _front(chat: ChatInfo) -> Iterator[str]:
    """YAML; values are written as JSON, which is YAML too."""
    yield "---"
    yield f"title: {_yaml(chat.title)}"
    yield f"model: {_yaml(chat.model)}"
    if chat.settings.adapter:
        yield f"adapter: {_yaml(chat.settings.adapter)}"
    yield f"created: {_yaml(_time(chat.created))}"
    yield f"updated: {_yaml(_time(chat.updated))}"
    yield f"tags: {_yaml(chat.tags)}"
    yield f"settings: {_yaml(chat.settings)}"
    yield "---"


def _message(message: Message) -> Iterator[str]:
    version = f" · version {message.version} of {message.versions}" if message.versions > 1 else ""
    at = f" · {_time(message.created)}" if message.created else ""
    yield f"## {_speaker(message)}{at}{version}"
    for file in message.files:
        yield _folded(f"File {file.name}", file.text)
    for image in message.images:
        yield _folded(f"Image {image.name}", f"{image.width} × {image.height}, SHA-256 {image.id}")
    if message.thinking.strip():
        yield _folded(_thought(message), message.thinking)
    if message.role == "tool":
        yield _folded("Tool", message.text)
    elif message.text.strip():
        yield closed(message.text.strip("\n"))
    if message.extra:
        yield _folded("As imported", message.extra, "json")
    if message.finish not in (None, "stop"):
        yield f"*({message.finish})*"
    if message.mark:
        yield f"*(marked {message.mark})*"


def _folded(summary: str, text: str, kind: str = "text") -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    inside = text.strip("\n")
    return (
        f"<details>\n<summary>{html.escape(_line(summary))}</summary>\n\n"
        f"{fence}{kind}\n{inside}\n{fence}\n\n</details>"
    )


def closed(text: str) -> str:
    """The text with every fence closed that it leaves open, and with HTML disarmed that has no end."""
    lines = text.split("\n")
    fence = ""
    for number, line in enumerate(lines):
        if match := _FENCE.match(line):
            run, info = match[1], match[2]
            if not fence and not (run[0] == "`" and "`" in info):
                fence = run
            elif fence and run[0] == fence[0] and len(run) >= len(fence) and not info.strip():
                fence = ""
        elif not fence and (opened := _HTML.match(line)) and not _ends(opened[2], lines[number:]):
            lines[number] = f"{opened[1]}\\{line[len(opened[1]) :]}"
    if fence:
        lines.append(fence)
    return "\n".join(lines)


def _ends(opening: str, lines: list[str]) -> bool:
    rest = "\n".join(lines)
    if opening in _ENDS:
        return _ENDS[opening] in rest[len(opening) :]
    if opening.startswith("<!"):
        return ">" in rest
    return f"</{opening[1:].lower()}>" in rest.lower()


def _speaker(message: Message) -> str:
    if message.role in _SPEAKERS:
        return _SPEAKERS[message.role]
    more = message.settings.more_adapters if message.settings and message.adapter else ()
    ids = (message.model, message.adapter, *(each.id for each in more))
    names = [_line(name.rpartition("/")[2]) for name in ids if name]
    return " + ".join(names) or "Assistant"


def _thought(message: Message) -> str:
    stats = message.stats
    if stats is None or not stats.thinking_tokens:
        return "Thought"
    return f"Thought {stats.thinking_s:.1f} s · {stats.thinking_tokens:,} tokens"


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def _line(text: str) -> str:
    return _UNSAFE.sub("", " ".join("".join(c if c.isprintable() else " " for c in text).split()))


def _yaml(value: object) -> str:
    """JSON without the characters that YAML readers refuse or that change how a line looks."""
    plain = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", plain)
