"""What one can do with an adapter beside switching it: weigh it, prove that it is active, export it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.api import EngineError, ErrorInfo, commands, runs, specs
from tui.dirty import What
from tui.format import size
from tui.screens.base import Desk
from tui.weights import HEAVIEST
from tui.widgets.lines import name

if TYPE_CHECKING:
    from tui.modals.place_path import PlaceSuggester

STEP = 0.1
POLL = 0.1
"""Seconds between two looks at how far an export is."""


class AdapterVerbs(Desk):
    """Verbs on one adapter: the one under the cursor, else the active one."""

    def marked_adapter(self) -> str:
        """Id of the adapter under the side pane's cursor, while that has the focus."""
        row = self.side.row if self.focused is self.side else None
        return row.id if row is not None and row.kind == "adapter" else ""

    # --- the weight -------------------------------------------------------------------------

    def action_heavier(self, argument: str = "") -> None:
        self.weigh_by(STEP)

    def action_lighter(self, argument: str = "") -> None:
        self.weigh_by(-STEP)

    def weigh_by(self, change: float) -> None:
        """More or less of the active adapter, from the next message on; of several, the marked one."""
        meant = self._weighed()
        if meant is None:
            self.weigh(1.0)
            return
        self.weigh(change + meant.weight)

    def weigh(self, weight: float) -> None:
        """Answer with so much of the active adapter, of several the marked one; 0 is as without it."""
        settings, meant = self.state.settings(), self._weighed()
        if meant is None:
            self.say("No adapter is active. F8 switches one on.")
            return
        adapter = self.state.engine.adapters.get(meant.id)
        if adapter is not None and adapter.method == "dora":
            self.say(f"{name(adapter.name)} is a DoRA adapter, which cannot be weighted.")
            return
        weight = round(min(HEAVIEST, max(0.0, weight)), 2)
        changed = [
            msgspec.structs.replace(each, weight=weight) if each.id == meant.id else each
            for each in settings.adapters
        ]
        self.change_settings(settings.with_adapters(*changed))
        self.mark(What.ADAPTERS, What.ENGINE)
        title = name(self.state.engine.adapter_name(meant.id))
        self.say(f"{title} counts ×{weight:g} from the next message on.")

    def _weighed(self) -> specs.WeightedAdapter | None:
        """The active adapter whose weight is meant: the one under the cursor, else the first."""
        active = self.state.settings().adapters
        marked = self.marked_adapter()
        return next((each for each in active if each.id == marked), active[0] if active else None)

    def _weight_of(self, adapter_id: str) -> float:
        """That it counts with in the chat shown; 1 where it is not active."""
        active = {each.id: each.weight for each in self.state.settings().adapters}
        return active.get(adapter_id, 1.0)

    # --- the proof --------------------------------------------------------------------------

    def action_prove_adapter(self, argument: str = "") -> None:
        adapter = self._meant_adapter(argument)
        if adapter is None:
            return
        from tui.modals.proof import ProofDialog
        from tui.modals.working import Ended, Tell, Working

        weight = self._weight_of(adapter.id)
        model = self.state.model_id() if adapter.fits(self.state.model_id()) else ""

        async def work(tell: Tell) -> commands.Proof:
            tell(-1.0, "asking the model with and without it …")
            asked = commands.ProveAdapter(adapter.id, model, weight=weight)
            proof: commands.Proof = await self.link.request(asked)
            return proof

        def ended(how: Ended[commands.Proof] | None) -> None:
            if how is None:
                self.say("Stopped.")
            elif how.error is not None:
                self.fail(how.error)
            elif how.result is not None:
                self.app.push_screen(ProofDialog(adapter.name, how.result))

        self.app.push_screen(Working("Is it active?", work), ended)

    # --- the export -------------------------------------------------------------------------

    def action_export_adapter(self, argument: str = "") -> None:
        adapter = self._meant_adapter(argument)
        if adapter is None:
            return
        from tui.modals.export_adapter import AdapterExport, ExportAdapterDialog

        def chosen(export: AdapterExport | None) -> None:
            if export is not None:
                self._export_adapter(adapter, export.form, export.gguf, export.path, bring=export.bring)

        host = self.state.engine.host
        paths = self._paths_there() if host else None
        self.app.push_screen(ExportAdapterDialog(adapter, host, paths), chosen)

    def _paths_there(self) -> PlaceSuggester:
        from tui.modals.folder import FolderSuggester
        from tui.modals.place_path import PlaceSuggester

        return PlaceSuggester(FolderSuggester(), self.state.engine.host, self.link.request, folders=True)

    def _export_adapter(
        self,
        adapter: runs.AdapterInfo,
        form: str,
        gguf: str,
        path: str,
        *,
        replace: bool = False,
        bring: bool = False,
    ) -> None:
        """`bring`: the path is one of this machine, and the engine is on another."""
        from engine.api import collect, waiting
        from tui.modals.working import Ended, Tell, Working

        try:
            target = waiting(Path(path)) if bring and path else path
        except EngineError as error:
            self.fail(error.info)
            return
        command = commands.ExportAdapter(
            adapter.id,
            form,  # type: ignore[arg-type]
            target,
            self.state.model_id() if adapter.fits(self.state.model_id()) else "",
            self._weight_of(adapter.id),
            gguf,  # type: ignore[arg-type]
            replace=replace,
            job=uuid.uuid4().hex,
        )

        async def work(tell: Tell) -> commands.Exported:
            asked = asyncio.ensure_future(self.link.request(command))
            try:
                while not (await asyncio.wait({asked}, timeout=POLL))[0]:
                    tell(*self.state.engine.exports.get(command.job, (-1.0, "beginning …")))
            except asyncio.CancelledError:
                self.attempt(self._stop_export(command.job))
                raise
            exported: commands.Exported = asked.result()
            if target == path or not exported.path:
                return exported

            def told(done: int, total: int) -> None:
                tell(done / total if total else 1.0, f"fetching {size(done)} of {size(total)}")

            return await collect(self.link, exported, Path(path), told)

        def ended(how: Ended[commands.Exported] | None) -> None:
            self.state.engine.exports.pop(command.job, None)
            if how is None:
                self.say("Stopped; nothing was written.")
            elif how.error is not None and how.error.code == "target_not_empty":
                self._ask_to_replace(how.error, adapter, command)
            elif how.error is not None:
                self.fail(how.error)
            elif how.result is not None:
                self._tell_export(how.result)

        self.app.push_screen(Working(f"Export {name(adapter.name)}", work), ended)

    async def _stop_export(self, job: str) -> None:
        with contextlib.suppress(EngineError):
            await self.link.request(commands.StopExport(job))

    def _ask_to_replace(
        self, info: ErrorInfo, adapter: runs.AdapterInfo, command: commands.ExportAdapter
    ) -> None:
        from tui.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                self._export_adapter(adapter, command.form, command.gguf, command.target, replace=True)

        question = f"{info.title}. Take its place? What is there is kept beside."
        self.app.push_screen(Confirm(question, yes="replace"), answered)

    def _tell_export(self, exported: commands.Exported) -> None:
        from tui.modals.proof import ExportReport

        def answered(undo: bool | None) -> None:
            if undo:
                self.ask(commands.UndoExport(exported.job), lambda _: self.say("The export is taken back."))

        self.app.push_screen(ExportReport(exported), answered)

    def _meant_adapter(self, wanted: str) -> runs.AdapterInfo | None:
        """The adapter of this name, else the one under the cursor, the active one, the newest that fits."""
        engine = self.state.engine
        known = list(engine.adapters.values())
        if wanted:
            found = [each for each in known if wanted in (each.id, each.name)]
        else:
            ids = [each for each in (self.marked_adapter(), self.state.settings().adapter) if each]
            found = [engine.adapters[each] for each in ids if each in engine.adapters]
            found += engine.fitting(self.state.model_id())
        if found:
            return found[0]
        missing = f"No adapter is called {name(wanted)}." if wanted else "There is no adapter yet."
        self.say(f"{missing} F4 trains one.")
        return None
