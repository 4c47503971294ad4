"""Names a server that answers in place of this machine; Enter keeps it and asks it what it has."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import MountError
from textual.widgets import Input, Static

from engine.api import EngineError, EngineLost, commands
from tui import server_rows
from tui.format import shorten
from tui.modals.dialog import Dialog
from tui.text import clean
from tui.widgets.lines import line, name, stack

Ask = Callable[[commands.Command], Awaitable[Any]]
SHOWN = 200
"""Characters of the names of a server's models that are shown."""
_HOST = re.compile(r"\[?([A-Za-z0-9.-]+)\]?(?::(\d+))?")


class EndpointDialog(Dialog[bool]):
    """Dismisses with True once a server was kept."""

    DEFAULT_CSS = """
    EndpointDialog .row {
        height: 2;
    }
    EndpointDialog .label {
        width: 10;
        height: 1;
        color: $thought;
    }
    EndpointDialog Input {
        width: 1fr;
    }
    EndpointDialog .said {
        height: auto;
        min-height: 3;
    }
    """

    def __init__(self, ask: Ask, old: commands.EndpointInfo | None = None, address: str = "") -> None:
        """`ask` sends a command to the engine; `old` is the server that is changed."""
        super().__init__()
        self._ask, self._old = ask, old
        self._known: tuple[commands.EndpointInfo, ...] = ()
        self._kept: commands.AddEndpoint | None = None
        """As it was kept last, and answered."""
        kept_key = "" if old is None or old.key == "none" else f"unchanged, {server_rows.KEYS[old.key]}"
        self.address = Input(old.url if old else address, placeholder="http://localhost:8000/v1")
        self.title_field = Input(old.name if old else "", placeholder="a short name", max_length=64)
        self.key = Input(password=True, placeholder=kept_key or "none is needed by most on this machine")
        self.variable = Input(placeholder="or the name of a variable that holds it")
        self.said = Static("", classes="said", markup=False)

    def compose(self) -> ComposeResult:
        fields = (
            ("Address", self.address),
            ("Name", self.title_field),
            ("Key", self.key),
            ("Key in", self.variable),
        )
        with Vertical(classes="panel") as panel:
            panel.border_title = f"Change {name(self._old.name)}" if self._old else "Add a server"
            panel.border_subtitle = "Enter keeps and checks it · Tab next · Esc"
            for label, field in fields:
                with Horizontal(classes="row"):
                    yield Static(label, classes="label", markup=False)
                    yield field
            yield self.said

    def on_mount(self) -> None:
        self.address.focus()
        self._suggest()
        self._say("vLLM, SGLang, Ollama, llama.cpp, LM Studio, or any that speaks OpenAI's API.")
        self.run_worker(self._learn())

    async def _learn(self) -> None:
        try:
            found = await self._ask(commands.ListEndpoints())
        except (EngineError, EngineLost):
            return  # adding one will say what is wrong
        self._known = found.endpoints if isinstance(found, commands.EndpointList) else ()
        self._suggest()

    # --- what is typed ----------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input is self.address:
            self._suggest()
        if event.input is self.title_field:
            same = next((each for each in self._known if each.saved and each.name == self._called), None)
            if same is not None and same != self._old and same.url != self.address.value.strip():
                self._say(f"It takes the place of {same.name}, at {same.url}.", grave=True)

    def _suggest(self) -> None:
        """The name that it gets if none is typed."""
        taken = {each.name for each in self._known if each.saved}
        self.title_field.placeholder = suggested(self.address.value, taken) or "a short name"

    @property
    def _called(self) -> str:
        typed = self.title_field.value.strip()
        return typed or (self.title_field.placeholder if self.address.value.strip() else "")

    def _command(self) -> commands.AddEndpoint:
        """Of one that is changed, everything that has no field here stays."""
        old = self._old
        return commands.AddEndpoint(
            self._called,
            self.address.value.strip(),
            key=self.key.value.strip(),
            key_env=self.variable.value.strip().lstrip("$"),
            timeout=old.timeout if old is not None and old.timeout else None,
        )

    # --- keeping and checking ---------------------------------------------------------------

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        if not self.address.value.strip():
            self.address.focus()
            self._say("An address is needed, such as http://localhost:8000.", grave=True)
        elif self._kept == (command := self._command()):
            self.dismiss(True)
        else:
            self._say(f"asking {clean(command.url)} …")
            self.run_worker(self._keep(command), exclusive=True, group="keep")

    async def _keep(self, command: commands.AddEndpoint) -> None:
        before = self._kept.name if self._kept else self._old.name if self._old and self._old.saved else ""
        try:
            info: commands.EndpointInfo = await self._ask(command)
            self._kept = command
            if before and before != command.name:
                await self._ask(commands.RemoveEndpoint(before))
        except (EngineError, EngineLost) as error:
            self._say(error.info.sentence(), grave=True)
        except MountError:
            if self.is_attached:
                raise
        else:
            self._tell(info)

    def _tell(self, info: commands.EndpointInfo) -> None:
        """What it said, how private that is, and what it has."""
        if not self.is_attached:
            return
        mark, style = ("✓", "$accent") if info.reachable else ("✗", "$warning")
        lines = [line((f"{mark} ", style), name(server_rows.answer(info)))]
        words = server_rows.privacy(info)
        lines.append(line((name(words), "$warning" if info.warning else "$thought")))
        if info.models:
            lines.append(line((shorten(name(", ".join(info.models)), SHOWN), "$thought")))
        self.said.update(stack(lines))
        done = "Enter closes" if info.reachable else "it is kept all the same · Enter closes"
        self.query_one(".panel").border_subtitle = f"{done} · Esc"

    def _say(self, words: str, *, grave: bool = False) -> None:
        if self.is_attached:
            self.said.update(line((clean(words), "$warning" if grave else "$thought")))

    def action_close(self) -> None:
        self.dismiss(True if self._kept is not None else None)

    def action_cursor_up(self) -> None:
        self.focus_previous(Input)

    def action_cursor_down(self) -> None:
        self.focus_next(Input)


def suggested(address: str, taken: set[str]) -> str:
    """A name for the server at this address that none of `taken` has; empty where it has no host."""
    match = _HOST.match(address.strip().removeprefix("http://").removeprefix("https://"))
    if match is None:
        return ""
    host, port = match[1].strip(".-"), match[2]
    numeric = re.fullmatch(r"[\d.]+", host) is not None
    stem = host if numeric else host.partition(".")[0]
    if not stem or host in ("localhost", "127.0.0.1"):
        stem = f"local-{port}" if port else "local"
    title, number = stem[:60], 1
    while title in taken:
        number += 1
        title = f"{stem[:60]}-{number}"
    return title
