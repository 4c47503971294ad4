"""What the model browser does with servers: name one, change it, ask it again, take it off the list."""

from __future__ import annotations

from engine.api import ErrorInfo, commands
from tui import server_rows
from tui.actions import Moment
from tui.model_rows import Row
from tui.screens.models_base import Browser
from tui.server_rows import ServerLine
from tui.widgets.lines import name


class BrowserServers(Browser):
    """Servers are told by no event: they are read when the browser opens, and after each change."""

    _removed = ""
    """Name of the server that was taken off the list last."""

    def read_servers(self) -> None:
        """What the engine knows of them; none of them is asked."""

        async def read() -> None:
            found = await self.desk.link.request(commands.ListEndpoints())
            if isinstance(found, commands.EndpointList) and self.is_attached:
                self.known.endpoints = found.endpoints
                self.draw()

        self.desk.attempt(read(), failed=self._unread)

    def read_health(self) -> None:
        """What is remembered of the models' replies."""

        async def read() -> None:
            found = await self.desk.link.request(commands.ReadHealth())
            if isinstance(found, commands.HealthReport) and self.is_attached:
                by_model: dict[str, tuple[commands.ModelHealth, ...]] = {}
                for each in found.models:
                    by_model[each.model] = (*by_model.get(each.model, ()), each)
                self.known.health = by_model
                self.draw()

        self.desk.attempt(read(), failed=lambda info: None)

    def _unread(self, info: ErrorInfo) -> None:
        """Settings that cannot be read: the models of servers stay as they were."""
        if info.code == "settings_wrong":
            self.say(info.sentence(), grave=True, for_seconds=10)

    @property
    def server(self) -> commands.EndpointInfo | None:
        """The server under the cursor, or that of the model under it."""
        here = self.table.line_here
        if isinstance(here, ServerLine):
            return here.info
        return self.table.row.server if self.table.row is not None else None

    def server_moment(self) -> Moment | None:
        """What the key hints are for on a server's line, or on that of one of its models; else None."""
        here = self.table.line_here if self.is_mounted else None
        if isinstance(here, ServerLine):
            return Moment.SERVERS
        return Moment.SERVED if isinstance(here, Row) and here.server is not None else None

    def action_server_add(self) -> None:
        self._open_dialog(None)

    def action_server_edit(self) -> None:
        if self.server is None:
            self.say("e changes a server; n adds one.")
        else:
            self._open_dialog(self.server)

    def _open_dialog(self, info: commands.EndpointInfo | None) -> None:
        from tui.modals.endpoint import EndpointDialog

        def closed(kept: bool | None) -> None:
            if kept:
                self._changed()

        self.app.push_screen(EndpointDialog(self.desk.link.request, info), closed)

    def action_server_check(self) -> None:
        if self.server is None:
            self.say("t asks a server again; n adds one.")
        else:
            self.check_server(self.server)

    def check_server(self, info: commands.EndpointInfo) -> None:
        """Ask it now."""
        self.say(f"Asking {name(info.name)} …", for_seconds=60)

        def told(found: commands.EndpointInfo) -> None:
            self.say(server_rows.answer(found), grave=not found.reachable)
            self._changed()

        self.desk.ask(commands.CheckEndpoint(info.name), told, failed=self.failed)

    def remove_server(self, info: commands.EndpointInfo) -> None:
        """Take it off the list; z brings it back."""

        def gone(_: object) -> None:
            self._removed = info.name
            self.say(f"{name(info.name)} is off the list. z brings it back.", for_seconds=10)
            self._changed()

        self.desk.ask(commands.RemoveEndpoint(info.name), gone, failed=self.failed)

    def action_server_undo(self) -> None:
        if not self._removed:
            self.say("No server was taken off the list.")
            return

        def back(info: commands.EndpointInfo) -> None:
            self._removed = ""
            self.table.cursor = f"server:{info.name}"
            self.say(f"{name(info.name)} is back.")
            self._changed()

        self.desk.ask(commands.RemoveEndpoint(self._removed, restore=True), back, failed=self.failed)

    def _changed(self) -> None:
        """Other servers have other models."""
        self.desk.reread_known_models()
        self.read_servers()
