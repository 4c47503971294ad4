"""Letting other programs on this machine ask the model: start it, see how, and stop it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from engine.api import commands
from tui.format import plural
from tui.modals.dialog import Dialog
from tui.widgets.lines import line, name, stack

PORT = 8123
LABEL = 10
OFTEN = 0.5
"""Seconds between two looks at how many requests there were."""
LIMIT = 8192
"""Bytes read of the token's file."""
Copy = Callable[[str, str], str]


class StartServingDialog(Dialog[int]):
    """Dismisses with the port."""

    def __init__(self, model: str) -> None:
        """`model`: what answers requests that name none."""
        super().__init__()
        self._model = model

    def compose(self) -> ComposeResult:
        words = (
            f"Editors and scripts on this machine can then ask {name(self._model)} and its adapters through "
            "OpenAI's API, each in its turn with the chat. Nobody else can: it listens on 127.0.0.1 alone, "
            "and asks for a token."
        )
        with Vertical(classes="panel") as panel:
            panel.border_title = "Serve to other programs"
            panel.border_subtitle = "Enter start · Esc"
            yield Static(words, classes="words", markup=False)
            yield Static("\nPort", classes="quiet", markup=False)
            yield Input(str(PORT), restrict=r"[0-9]*", max_length=5)
            yield Static("", classes="grave", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        typed = self.query_one(Input).value
        if typed and 0 < int(typed) < 1 << 16:
            self.dismiss(int(typed))
        else:
            self.query_one(".grave", Static).update("A port is a number from 1 to 65535.")


class ServingDialog(Dialog[Literal["stop"]]):
    """How to ask. Dismisses with "stop" when that is to end.

    The token is on the screen once, just after the start; later it is only copied. It is read from its file
    each time and kept nowhere else.
    """

    def __init__(
        self,
        read: Callable[[], commands.ServingInfo | None],
        model: str,
        copy: Copy,
        *,
        fresh: bool = False,
    ) -> None:
        """`read` tells how it stands; `copy` takes a text and what it is, and tells where it went."""
        super().__init__()
        self._read, self._model, self._copy, self._fresh = read, model, copy, fresh
        self._facts = Static("", classes="words", markup=False)
        self._said = Static("", classes="quiet", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Serving to other programs"
            panel.border_subtitle = "t copy token · u copy for a shell · s stop · Esc"
            yield self._facts
            yield self._said

    def on_mount(self) -> None:
        self._draw()
        self.set_interval(OFTEN, self._draw)

    def _draw(self) -> None:
        info = self._read()
        if info is None:
            self.dismiss(None)
        else:
            self._facts.update(stack(self._lines(info)))

    def _lines(self, info: commands.ServingInfo) -> list[Content]:
        asked = f"{plural(info.requests, 'request')} answered"
        asked += f", {info.active} under way" if info.active else ""
        rows = [("Address", info.address), ("Model", self._model), ("So far", asked)]
        lines = [line((f"{label:<{LABEL}}", "$thought"), name(words)) for label, words in rows]
        token = line((f"{'Token':<{LABEL}}", "$thought"))
        if info.token == "given":  # noqa: S105 - where it comes from, not what it is
            lines.append(token + line("the one that was given at the start"))
        elif self._fresh:
            lines.append(token + line((name(token_of(info)), "bold")))
            lines.append(line((f"{'':<{LABEL}}shown this once; t copies it, now and later", "$thought")))
        else:
            lines.append(token + line("kept for you; t copies it"))
        return [*lines, line(""), *(line((name(each), "$thought")) for each in shell_lines(info)), line("")]

    def on_key(self, event: events.Key) -> None:
        if event.key == "s":
            event.stop()
            self.dismiss("stop")
        elif event.key in ("t", "u"):
            event.stop()
            self._copied(event.key)

    def _copied(self, key: str) -> None:
        info = self._read()
        if info is None:
            return
        if key == "u":
            words = self._copy("\n".join(shell_lines(info)) + "\n", "the lines for a shell")
        elif token := token_of(info):
            words = self._copy(token, "the token")
        else:
            words = "The token was given at the start and is known to nobody here."
        self._said.update(name(words))

    def action_accept(self) -> None:
        self.dismiss(None)


def token_of(info: commands.ServingInfo) -> str:
    """The stored token; empty where it was given, or cannot be read."""
    if not info.token_file:
        return ""
    try:
        with Path(info.token_file).open(encoding="utf-8") as file:
            return file.read(LIMIT).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def shell_lines(info: commands.ServingInfo) -> list[str]:
    """What OpenAI's clients read from the environment; the token itself is not in it."""
    lines = [f"export OPENAI_BASE_URL={info.address}"]
    return [*lines, f'export OPENAI_API_KEY="$(cat {quote(info.token_file)})"'] if info.token_file else lines
