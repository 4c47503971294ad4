"""What one `qwill chat -p` asks: the prompt, what comes through the pipe, and the files that go with it."""

from __future__ import annotations

import argparse
import os
import stat
import sys

from engine.api import Client, fault, specs

MOST = 900_000
"""Bytes of text that travel with one message; a line of the protocol holds a little more."""


def prompt(args: argparse.Namespace) -> str:
    """What to ask: the option, stdin for `-`, or the option with stdin below it.

    Raises EngineError `usage` when there is nothing, `stdin_not_text` and `too_much_text`.
    """
    text: str = args.prompt or ""
    if text == "-":
        text = _stdin()
    elif text.strip() and _piped():
        below = _stdin()
        text = f"{text}\n\n{below}" if below.strip() else text
    if not text.strip():
        raise fault("usage", "There is nothing to ask", remedy="Say it with -p TEXT, or -p - to read stdin")
    if len(text.encode()) > MOST:
        raise fault(
            "too_much_text",
            "This is more text than one message holds",
            f"It has {len(text):,} characters",
            "Send a part of it",
        )
    return text


def look(args: argparse.Namespace) -> None:
    """Refuse a named file of this machine that cannot be opened, before an engine is started for it.

    Raises EngineError `not_attached`.
    """
    if not (args.files or args.images):
        return
    from tui.attach import check

    for name in (*args.files, *args.images):
        check(name, args.host)


async def attachments(client: Client, names: list[str]) -> tuple[specs.Attachment, ...]:
    """The text files to go with a message, from here or the client's host.

    Raises EngineError `not_attached` and `too_much_text`.
    """
    if not names:
        return ()
    from tui.attach import read_file

    files = tuple([await read_file(client.request, name, client.host) for name in names])
    if sum(len(file.text.encode()) for file in files) > MOST:
        raise fault(
            "too_much_text", "These files are more text than one message holds", remedy="Attach fewer of them"
        )
    return files


async def bring_images(client: Client, names: list[str], *, saved: bool) -> tuple[specs.ImageRef, ...]:
    """The images to go with a message, at the engine. Raises EngineError `not_attached`, `image_refused`."""
    if not names:
        return ()
    from tui.images import read_image, upload

    ask, host = client.request, client.host
    return tuple([await upload(ask, *await read_image(ask, name, host), saved=saved) for name in names])


def _piped() -> bool:
    """Whether stdin is a pipe, a socket or a file; a terminal and /dev/null have nothing to add."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or replaced by something without a descriptor
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise fault("stdin_not_text", "stdin is not UTF-8 text", remedy="Send plain text") from error
