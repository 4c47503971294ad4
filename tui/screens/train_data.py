"""Where the train form's data comes from: lists, pastes, marked replies, the hub, pairs written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.api import ErrorInfo, commands
from tui.format import plural, size
from tui.outbox import new_id
from tui.places import HERE, label, typed
from tui.screens.train_asks import TICK, TrainAsks
from tui.text import clean
from tui.train_form import HUB
from tui.train_words import usable
from tui.widgets.data_field import PASTE_LIMIT, DataField

NONE_MARKED = commands.MarkedList(replies=())
HUB_ROWS = 1000
"""Rows that are fetched of a dataset of the hub where the form sets no limit."""
PASTED = "pasted"
"""What a dataset made of a paste is called."""


class TrainData(TrainAsks):
    """Whatever the data is, the field ends up with what the engine can read."""

    # --- lists ------------------------------------------------------------------------------

    def action_list_choices(self) -> None:
        """The list behind the field with the focus; of the data where that has none."""
        from tui.modals.models import model_picker

        if self.focused is self.model_field:
            self.app.push_screen(model_picker(self.state), self._take_model)
        else:
            self.desk.ask(
                commands.ListMarked(), self._list_data, failed=lambda info: self._list_data(NONE_MARKED)
            )

    def _list_data(self, found: commands.MarkedList) -> None:
        self.run_worker(self._pick_data(usable(found)))

    async def _pick_data(self, marked: int) -> None:
        from tui.data_files import nearby, own
        from tui.modals.train_lists import dataset_picker

        files, mine = await asyncio.to_thread(lambda: (nearby(), own()))
        if self.app.screen is self:
            self.app.push_screen(dataset_picker(self.datasets, marked, mine, files), self.take_dataset)

    def _take_model(self, model: str | None) -> None:
        if model and model in dict(self.model_field.choices):
            self.model_field.take(model)

    def take_dataset(self, data: str | None) -> None:
        """What was chosen from the list, or made."""
        from tui.modals.train_lists import WRITE

        if data == WRITE:
            self.action_write_pairs()
        elif data:
            self.put_data(data)

    def put_data(self, data: str) -> None:
        """Into the field, with the focus on it."""
        if data != self.data_field.value:
            self.spec = replace(self.spec, columns={})
        self.data_field.value = clean(data)
        self.data_field.focus()
        self.check_soon()

    def tell_failure(self, info: ErrorInfo) -> None:
        """In the bottom line."""
        self.say(info.sentence(), grave=True, for_seconds=8)

    # --- a paste ----------------------------------------------------------------------------

    def on_data_field_pasted(self, event: DataField.Pasted) -> None:
        if len(event.text.encode()) > PASTE_LIMIT:
            self.say("The paste is too large; save it as a file and give its path.", grave=True)
            return
        self.desk.ask(commands.PasteRows(text=event.text), self._take_paste, failed=self.tell_failure)

    def _take_paste(self, found: commands.PastedRows) -> None:
        if not found.pairs:
            why = found.problems[0] if found.problems else "no line has a question and an answer"
            self.say(f"The paste holds no rows: {clean(why)}", grave=True, for_seconds=8)
            return
        left = f", {plural(len(found.problems), 'line')} left out" if found.problems else ""
        self.say(f"Pasted {plural(len(found.pairs), 'pair')}{left}. Ctrl+N changes them.", for_seconds=8)
        self.desk.ask(
            commands.SaveRows(pairs=found.pairs, name=PASTED),
            lambda saved: self.put_data(typed(saved.path, self.host)),
            failed=self.tell_failure,
        )

    # --- pairs by hand ----------------------------------------------------------------------

    def action_write_pairs(self) -> None:
        from tui.data_files import own_name
        from tui.screens.pairs import Pairs

        self.app.push_screen(Pairs(self.desk, own_name(self.data_field.value), self.take_pairs))

    def take_pairs(self, path: str) -> None:
        """Train on what was written; the file may have changed under its name."""
        self.put_data(typed(path, self.host))
        self._seen = self._checked = None
        self.check_soon()

    # --- the hub ----------------------------------------------------------------------------

    def unfetched(self) -> str:
        """What the engine cannot read yet: a dataset of the hub that was not fetched, a file of this side
        that was not sent; else empty."""
        data = self.data_field.value.strip()
        if data.startswith(HUB) and data not in self.fetched:
            return data
        spec, _ = self.read()
        return next((each for each in (spec.data, spec.eval_data) if each.startswith(f"{HERE}:")), "")

    def fetch(self, data: str, then: Callable[[], None] | None = None) -> None:
        """Bring it to where the engine can read it; `then` goes on with a file that was sent."""
        if data.startswith(f"{HERE}:"):
            self.send_file(data.removeprefix(f"{HERE}:"), then or self.check_soon)
        else:
            self.fetch_hub(data)

    def send_file(self, path: str, then: Callable[[], None]) -> None:
        """Send a file to the machine of the engine, by its hash. Esc stops; what came stays there."""
        from engine.api import push
        from tui.modals.working import Ended, Tell, Working

        where = label(self.host)

        async def work(tell: Tell) -> commands.Parcel:
            def told(done: int, total: int) -> None:
                share = done / total if total else 1.0
                tell(share, f"{size(done)} of {size(total)} · {Path(path).name}")

            return await push(self.desk.link, Path(path), told)

        def done(ended: Ended[commands.Parcel] | None) -> None:
            if ended is not None and ended.error is not None:
                self.refuse(ended.error, "data")
            elif ended is not None and ended.result is not None:
                self.sent[path] = ended.result.path
                self._seen = None
                then()

        self.app.push_screen(Working(f"Sending to {where}", work), done)

    def fetch_hub(self, data: str) -> None:
        """Fetch the first rows, then show them. Esc stops waiting."""
        from tui.modals.working import Ended, Tell, Working

        spec, _ = self.read()
        limit = spec.limit or HUB_ROWS

        async def work(tell: Tell) -> commands.DataPreview:
            job, exports = new_id(), self.state.engine.exports
            words = f"Fetching {limit:,} rows of {data}"
            tell(-1, words)
            asked = asyncio.ensure_future(
                self.desk.link.request(commands.FetchData(data=data, limit=limit, job=job))
            )
            try:
                while not (await asyncio.wait({asked}, timeout=TICK))[0]:
                    share, _ = exports.get(job, (-1.0, ""))
                    tell(share, words)
                preview: commands.DataPreview = asked.result()
                return preview
            except asyncio.CancelledError:
                self.desk.ask(commands.StopData(job), failed=lambda info: None)
                raise
            finally:
                asked.cancel()

        def done(ended: Ended[commands.DataPreview] | None) -> None:
            if ended is not None and ended.error is not None:
                self.refuse(ended.error, "data")
            elif ended is not None and ended.result is not None:
                self._take_hub(data, limit, ended.result)

        self.app.push_screen(Working("Dataset of the hub", work), done)

    def _take_hub(self, data: str, limit: int, preview: commands.DataPreview) -> None:
        self.fetched.add(data)
        if not self.text_fields["limit"].value:
            self.text_fields["limit"].value = str(limit)
        self._seen = None
        self.check()
        self.show_data(preview)

    # --- a closer look ----------------------------------------------------------------------

    def action_show_problems(self) -> None:
        if data := self.unfetched():
            self.fetch(data, self.show_data)
        else:
            self.show_data()

    def show_data(self, preview: commands.DataPreview | None = None) -> None:
        """The data screen; it comes back with the columns that were chosen there."""
        from tui.screens.data import DataScreen

        spec, _ = self.read()
        if not spec.data:
            self.say("There is no data to look at yet.")
            return
        self.app.push_screen(DataScreen(self.desk, spec, preview, self.take_columns))

    def take_columns(self, columns: dict[str, str]) -> None:
        """The names of question and answer in the data."""
        self.spec = replace(self.spec, columns=columns)
        self.check_soon()

    def action_preview_mask(self) -> None:
        from tui.screens.mask import Mask

        spec, faults = self.read()
        if faults.get("data") or self.unfetched():
            self.say("There is no data to look at yet.")
        else:
            self.app.push_screen(Mask(self.desk, spec))
