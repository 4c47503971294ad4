"""What one can do with runs and adapters from the workbench: train, look at runs, activate, undo a start."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from engine.api import EngineError, ErrorInfo, commands, runs
from tui.dirty import Dirty, What
from tui.screens.base import Desk
from tui.widgets.lines import name
from tui.widgets.run_lines import number, shown_run

UNDO = 10.0
"""Seconds for which a start can be undone."""


class RunVerbs(Desk):
    """Verbs on runs and adapters."""

    _started: runs.RunInfo | None = None
    _started_at = 0.0

    def run_command(self, action_id: str, argument: str = "") -> None:
        """Do an action of the table."""
        raise NotImplementedError

    def action_train(self, argument: str = "") -> None:
        self.open_train(runs.TrainSpec(self.state.model_id(), argument))

    def open_train(self, spec: runs.TrainSpec) -> None:
        """The form, filled in with a spec; what the spec leaves open is chosen."""
        from tui.screens.train import Train

        self.app.push_screen(Train(self, spec))

    def action_runs(self, argument: str = "") -> None:
        self.open_runs(argument)

    def open_runs(self, run: str = "") -> None:
        """The runs screen with the cursor on this run, named by id or name."""
        from tui.screens.runs import Runs

        self.app.push_screen(Runs(self, run))

    def read_run(self, run: str, then: Callable[[], None] | None = None) -> None:
        """Read the whole curve of a run from its log, beside everything else."""

        async def read() -> None:
            await self.link.read_run(run)
            if then is not None:
                then()

        self.attempt(read(), failed=lambda info: None)

    def follow_runs(self, dirty: set[Dirty]) -> None:
        """Read what was passed over, tell what ended, and hand the news to the screen on top."""
        for part in dirty:
            if part.what is What.RUN_GAP:
                self.read_run(part.id)
            elif part.what is What.RUN_END:
                self._tell_end(part.id)
        from tui.screens.layer import Layer

        kinds = {part.what for part in dirty}
        for screen in self.app.screen_stack:
            if isinstance(screen, Layer):
                screen.redraw(kinds)

    def read_shown_run(self) -> None:
        """The curve of the run in the right pane, if it is not there yet."""
        run = shown_run(self.state.engine)
        if run is None:
            return
        curve = self.state.engine.curves.get(run.id)
        if curve is None or not curve.whole:
            self.read_run(run.id)

    # --- a start and its undo ---------------------------------------------------------------

    def take_start(self, run: runs.RunInfo) -> None:
        """A run was started here: for a while it can be taken back."""
        self.state.engine.runs.setdefault(run.id, run)
        self.mark(What.RUNS)
        self._started, self._started_at = run, time.monotonic()
        where = " F3 shows it." if self.size.width < 100 else ""
        self.say(f"{name(run.name)} is on its way.{where} Ctrl+Z undoes it.", for_seconds=UNDO)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ctrl+Z is the text field's own unless a run was started a moment ago."""
        if action == "undo_start":
            return self._started is not None and time.monotonic() - self._started_at < UNDO
        return super().check_action(action, parameters)

    def action_undo_start(self, argument: str = "") -> None:
        run, self._started = self._started, None
        if run is not None:
            self.attempt(self._undo_start(run))

    async def _undo_start(self, run: runs.RunInfo) -> None:
        """Stop it without an adapter, wait for its end, and move it to the trash."""
        self.say(f"{name(run.name)} is taken back …", for_seconds=UNDO)
        try:
            await self.link.request(commands.StopRun(run=run.id, save=False))
        except EngineError as error:
            if error.info.code != "run_ended":
                raise
        await self.link.run_ended(run.id)
        await self.link.request(commands.DeleteRun(run=run.id))
        self.say(f"{name(run.name)} is undone.")

    def _tell_end(self, run_id: str) -> None:
        run = self.state.engine.runs.get(run_id)
        if run is None or run.state == "stopped":
            return
        self.app.bell()
        if run.state == "done":
            loss = f" · loss {number(run.loss)}" if run.loss is not None else ""
            words = f"{name(run.name)} is done{loss} · F8 activates it"
        else:
            words = f"{name(run.name)} failed. {run.error.sentence() if run.error else ''} F3 shows it."
        self.say(words, grave=run.state == "failed", for_seconds=15)

    # --- adapters ---------------------------------------------------------------------------

    def action_toggle_adapter(self, argument: str = "") -> None:
        active = self.state.settings().adapter
        if argument:
            self._use_by_word(argument)
            return
        if active:
            self.use_adapter("")
            return
        fitting = self.state.engine.fitting(self.state.model_id())
        if fitting:
            self.use_adapter(fitting[0].id)
        else:
            model = self.state.model()
            title = name(model.name) if model else "this model"
            self.say(f"No adapter fits {title} yet. F4 trains one.")

    def toggle_adapter(self, adapter_id: str) -> None:
        """Activate this adapter in the chat shown; take it off where it is the active one."""
        adapter = self.state.engine.adapters.get(adapter_id)
        if adapter is None:
            self.say("This adapter is not there any more.", grave=True)
        elif self.state.settings().adapter == adapter_id and adapter.base == self.state.model_id():
            self.use_adapter("")
        elif adapter.base != self.state.model_id() or adapter.why:
            self.fail(self._misfit(adapter))
        else:
            self.use_adapter(adapter_id)

    def use_adapter(self, adapter_id: str) -> None:
        """Answer with this adapter from the next message on; empty is the base alone."""
        settings = self.state.settings()
        off = self.state.engine.adapter_name(settings.adapter)
        self.change_settings(msgspec.structs.replace(settings, adapter=adapter_id))
        self.mark(What.ADAPTERS, What.ENGINE)
        if adapter_id:
            words = f"{name(self.state.engine.adapter_name(adapter_id))} answers from the next message on."
        else:
            words = f"{name(off)} is off." if off else "No adapter is active."
        self.say(f"{words} F8 switches back.", for_seconds=5)

    def _use_by_word(self, wanted: str) -> None:
        if wanted.lower() in ("off", "none", "-"):
            self.use_adapter("")
            return
        known = list(self.state.engine.adapters.values())
        known.sort(key=lambda each: (each.base != self.state.model_id(), -each.created))
        exact = [each for each in known if wanted in (each.id, each.name)]
        close = [each for each in known if wanted.lower() in each.name.lower()]
        found = exact or close
        if not found:
            self.say(f"No adapter is called {name(wanted)}. F3 lists the runs.", grave=True)
        elif found[0].base != self.state.model_id() or found[0].why:
            self.fail(self._misfit(found[0]))
        else:
            self.use_adapter(found[0].id)

    def _misfit(self, adapter: runs.AdapterInfo) -> ErrorInfo:
        """Why an adapter cannot answer in this chat."""
        if adapter.why:
            return ErrorInfo("adapter_unusable", f"{adapter.name} cannot be used", adapter.why)
        base, model = self.state.engine.model(adapter.base), self.state.model()
        title = base.name if base else adapter.base_name or "another model"
        return ErrorInfo(
            "adapter_other_base",
            f"{adapter.name} was trained on {title}, not on {model.name if model else self.state.model_id()}",
            "An adapter means nothing on other weights",
            f"Ctrl+L switches the chat to {title}",
        )
