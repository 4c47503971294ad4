"""How the screen reaches its engine: of this machine, of this process, or of a host over ssh."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tui.link import Wire
from tui.text import clean_name

if TYPE_CHECKING:
    from textual.app import App

    from engine.api import Line


class Dial:
    """Call it for a client. The first ways (a started engine, an open line) are used once."""

    def __init__(
        self,
        *,
        in_process: bool = False,
        started: int | None = None,
        host: str = "",
        line: Line | None = None,
    ) -> None:
        self.host = host
        self.line = line
        self._in_process = in_process
        self._started = started

    @property
    def called(self) -> str:
        """What the host is called on the screen; empty is this machine."""
        if not self.host:
            return ""
        from tui import hosts  # only where there is one

        return hosts.called(self.host)

    async def __call__(self) -> Wire:
        """Raises what `connect` raises. On the way to a host nobody is asked for anything."""
        from engine.api import Target, connect

        parent, self._started = self._started, None
        line, self.line = self.line, None
        target = Target(in_process=self._in_process, host=self.host, person=False)
        return await connect(target, workbench=True, started=parent, line=line)


def aside(app: App[None], dial: Dial) -> str:
    """Let ssh have the terminal until it has reached the host; returns what went wrong, in one sentence."""
    from textual.app import SuspendNotSupported

    from engine.api import QwillError, call_blocking

    trouble = ""
    try:
        with app.suspend():
            tell(dial.host)
            try:
                dial.line = call_blocking(dial.host, person=True)
            except QwillError as error:  # here: an error that passes `suspend` leaves the terminal so
                trouble = error.info.sentence()
    except SuspendNotSupported:
        return "This terminal cannot be handed to ssh."
    return clean_name(trouble)


def tell(host: str) -> None:
    """Say whom ssh asks for, before it does."""
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write(f"Connecting to {clean_name(host)} …\n")
        sys.stderr.flush()
