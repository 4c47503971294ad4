"""What the model browser does with the hub: search it, fetch from it, and only when a key says so."""

from __future__ import annotations

from engine.api import ErrorInfo, commands
from tui.format import size
from tui.model_rows import Door, Row
from tui.screens.models_base import Browser
from tui.widgets.lines import line, name


class BrowserHub(Browser):
    """Search, download, stop a download."""

    def search_hub(self, words: str) -> None:
        """Ask the hub; the hits stand below what is here and the catalogue."""
        self.say("Asking the hub …", for_seconds=60)
        self.attempt(self._search(words))

    async def _search(self, words: str) -> None:
        found: commands.HubRows = await self.desk.link.request(commands.SearchHub(query=words))
        self.known.hits, self.known.asked = list(found.rows), words
        self.say("")
        if found.rows:
            self.table.cursor = f"hub:{found.rows[0].id}"
        self.draw()

    def enter_door(self, door: Door) -> None:
        """A line that is no model."""
        if door.key == "more":
            self.known.every = True
            self.draw()
        elif door.key == "search":
            self.search_hub(self.filter.value.strip())
        else:
            self.open_hub()

    def open_hub(self) -> None:
        """Type words for the hub."""
        raise NotImplementedError

    # --- downloads --------------------------------------------------------------------------

    def action_model_download(self) -> None:
        row = self.table.row
        if row is None:
            return
        if row.download is not None and row.download.live:
            stop = commands.CancelDownload(download=row.download.id)
            words = f"The download of {self.title_of(row)} stops. d goes on with it."
            self.desk.ask(stop, lambda _: self.say(words), failed=self.failed)
        elif row.section == "here" and (
            row.model is None or row.model.source != "hub" or row.download is None
        ):
            self.say(f"{self.title_of(row)} is here already.")
        else:
            self.fetch(row, chat=False)

    def fetch(self, row: Row, *, chat: bool) -> None:
        """Download it after one question; with `chat` it answers here once it has come."""
        if row.entry is not None and not row.entry.implemented:
            why = "The transformers that Qwill goes by does not know its architecture yet."
            self.desk.fail(ErrorInfo("model_unsupported", f"{self.title_of(row)} cannot be loaded", why))
            return
        if row.download is not None and row.download.live:
            self.desk.use_when_here(row.id, row.quant)
            self.say(f"{self.title_of(row)} answers here as soon as it has come. d stops the download.")
            return
        self.say("Asking the hub …", for_seconds=60)
        self.attempt(self._ask_fetch(row, chat))

    async def _ask_fetch(self, row: Row, chat: bool) -> None:
        model: commands.HubModel = await self.desk.link.request(commands.ShowHubModel(id=row.id))
        self.say("")
        if model.choices:
            self._pick_file(row, model, chat)
        elif not model.total:
            why = model.why or "It holds no weights that Qwill opens"
            self.desk.fail(
                ErrorInfo("hub_nothing_to_fetch", f"{self.title_of(row)} cannot be downloaded", why)
            )
        else:
            self._confirm(row, model, (), model.total - model.here, chat)

    def _pick_file(self, row: Row, model: commands.HubModel, chat: bool) -> None:
        """Of several GGUF files one is taken."""
        from tui.modals.picker import Choice, Picker

        sizes = {file.name: file.size for file in model.files}
        rows = [
            Choice(each, line(name(each)), line((size(sizes.get(each, 0)), "$thought")), each)
            for each in model.choices
        ]

        def picked(file: str | None) -> None:
            if file is not None:
                self._confirm(row, model, (file,), sizes.get(file, 0), chat)

        title = f"Which file of {self.title_of(row)}?"
        self.app.push_screen(Picker(title, rows, placeholder="Type to filter", empty="No such file."), picked)

    def _confirm(
        self, row: Row, model: commands.HubModel, files: tuple[str, ...], left: int, chat: bool
    ) -> None:
        from tui.modals.confirm import Confirm

        if left > model.free > 0:
            title = f"{self.title_of(row)} does not fit on the disk"
            detail = f"It needs {size(left)}, and {size(model.free)} are free"
            self.desk.fail(ErrorInfo("disk_full", title, detail, "x deletes a model that is not needed"))
            return
        begun = f", {size(model.here)} of it are here already" if model.here and not files else ""
        detail = f"{size(left)} to download{begun} · {size(model.free)} free on the disk"
        if row.verdict == "no" and row.forecast is not None:
            detail += f"\nIt needs {size(row.forecast.need)} of memory: more than is free here."
        detail += "\nThe hub asks you to accept its licence there first." if model.gated else ""

        def answered(yes: bool | None) -> None:
            if yes:
                self.attempt(self._fetch(row, model, files, chat))

        verb = f"Download {self.title_of(row)}{' and chat with it' if chat else ''}?"
        self.app.push_screen(Confirm(verb, detail, yes="download"), answered)

    async def _fetch(self, row: Row, model: commands.HubModel, files: tuple[str, ...], chat: bool) -> None:
        started: commands.DownloadInfo = await self.desk.link.request(
            commands.StartDownload(model=row.id, revision=model.revision, files=files)
        )
        self.state.engine.downloads.setdefault(started.id, started)
        if chat:
            self.desk.use_when_here(row.id, row.quant)
        self.say(f"{self.title_of(row)} is on its way. d stops it; it goes on while you chat.", for_seconds=8)
        self.draw()
