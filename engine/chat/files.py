"""Attached files in a prompt: their texts stand before the message, in fences that they cannot break."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.protocol.specs import Attachment

_TICKS = re.compile(r"`+")
_LINE_ENDS = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


def with_files(text: str, files: Iterable[Attachment]) -> str:
    """The message as the model reads it: each file's name and text, then what was typed.

    Without files it is `text` itself. A fence has more backticks than any run in its text (CommonMark 0.31,
    4.5), so a file that holds fences, or ends in the middle of one, stays inside its own.
    """
    return "\n\n".join([*(_block(each) for each in files), text])


def _block(file: Attachment) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(file.text)), default=0))
    name = _LINE_ENDS.sub(" ", file.name).strip()
    return f"File {name}:\n{fence}\n{file.text.removesuffix(chr(10))}\n{fence}"
