"""Writes chats into a file: the forms there are, and one that was never there before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.interchange import markdown, own, rows
from engine.interchange.filenames import create
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ChatInfo, Message

Whole = tuple[ChatInfo, Sequence[Message]]
"""A chat and its tree, each message after its parent."""


@dataclass(frozen=True)
class Form:
    """One way to write chats."""

    title: str
    ending: str
    about: str
    many: bool
    """Whether one file holds several chats."""


FORMS = {
    "md": Form("Markdown", ".md", "what is shown, to read and to pass on; settings in front", False),
    "json": Form("Everything", ".json", "all versions, marks and settings; Qwill reads it again", True),
    "jsonl": Form("Training data", ".jsonl", "what is shown, as messages; one chat a line", True),
}
"""By the name that commands know them by."""


def pieces(form: str, chats: Iterable[Whole]) -> Iterator[str]:
    """The text of a file, piece by piece."""
    if form == "json":
        yield from own.write(chats)
        return
    for chat, messages in chats:
        text = markdown.write(chat, messages) if form == "md" else rows.row(chat, messages)
        if text:
            yield text if form == "md" else f"{text}\n"


def save(form: str, chats: Sequence[Whole], path: Path) -> Path:
    """Write a new file and return where it is: `name (2).md` where the name is taken.

    Raises EngineError `export_failed`, and `export_empty` where a chat has no reply to learn from.
    """
    try:
        file, at = create(path)
        try:
            with file:
                written = sum(file.write(piece) for piece in pieces(form, chats))
        except BaseException:
            at.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _failed(path, error) from error
    if not written:
        at.unlink(missing_ok=True)
        raise fault(
            "export_empty",
            "There is nothing to learn from here yet",
            "Training data needs a question and its reply",
            "Ask something first, or export it in another form",
        )
    return at


def form_of(path: str) -> str:
    """The form that a file's ending asks for; empty for another ending."""
    return next((name for name, form in FORMS.items() if path.lower().endswith(form.ending)), "")


def _failed(path: Path, error: OSError) -> EngineError:
    return fault(
        "export_failed",
        f"{path} could not be written",
        error.strerror or str(error),
        "Choose another folder, or make room there",
    )
