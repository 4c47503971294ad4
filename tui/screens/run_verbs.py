"""What one can do with runs from the workbench: train, look at runs, undo a start."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.api import EngineError, commands, runs
from tui.dirty import Dirty, What
from tui.elsewhere import can_train, no_training
from tui.screens.copy_verbs import CopyVerbs
from tui.screens.mix_verbs import MixVerbs
from tui.widgets.lines import name
from tui.widgets.run_lines import number, shown_run

if TYPE_CHECKING:
    from tui.run_picks import Picks
    from tui.switching import Where

UNDO = 10.0
"""Seconds for which a start can be undone."""


class RunVerbs(MixVerbs, CopyVerbs):
    """Verbs on runs, and on the adapters that they make."""

    _started: runs.RunInfo | None = None
    _started_at = 0.0
    _picks: Picks | None = None
    race_line = ""
    """What a race varied last, for the next time."""

    def run_command(self, action_id: str, argument: str = "") -> None:
        """Do an action of the table."""
        raise NotImplementedError

    def action_train(self, argument: str = "") -> None:
        model = self.state.model()
        if not argument and self._open_draft():
            return
        if model is None or can_train(model):
            self.open_train(runs.TrainSpec(self.state.model_id(), argument))
            return
        bases = [each for each in self.state.engine.models.values() if can_train(each) and each.chat]
        bases.sort(key=lambda each: each.state != "ready")
        if bases:
            self.open_train(runs.TrainSpec(bases[0].id, argument))
        self.say(no_training(model), for_seconds=10)

    def open_train(self, spec: runs.TrainSpec, said: dict[str, str] | None = None) -> None:
        """The form, filled in with a spec; what the spec leaves open is chosen. `said`: what its fields
        said when it was left."""
        from tui.screens.train import Train

        self.show_layer(Train(self, spec, said))

    def action_race(self, argument: str = "") -> None:
        """The form, and on it the question what a race should vary."""
        from tui.screens.train import Train

        self.action_train()

        async def ask() -> None:
            form = self.app.screen
            if isinstance(form, Train):
                await form.ready.wait()  # it chooses its data then
                form.action_race_runs(argument)

        self.app.call_after_refresh(lambda: self.attempt(ask()))

    def take_race(self, race: commands.RaceInfo) -> None:
        """A race was started here: the runs screen draws its members together."""
        picks = self.run_picks()
        picks.chosen.clear()
        picks.take([member.run for member in race.members])
        picks.metric = "eval"
        from tui.screens.runs import Runs

        screen = Runs(self, race.members[0].run)
        self.show_layer(screen)
        words = f"{name(race.group)}: {len(race.members)} runs are on their way. T shows its table."
        self.app.call_after_refresh(lambda: screen.say(words, for_seconds=10))

    def _open_draft(self) -> bool:
        """The form as it was left, where its base is still here."""
        from tui import train_draft

        draft = train_draft.recall()
        model = self.state.engine.model(draft.spec.model) if draft is not None else None
        if draft is None or model is None or not can_train(model):
            return False
        self.open_train(draft.spec, draft.said)
        return True

    def elsewhere(self) -> list[Where]:
        """The runs of the other places that are open."""
        from tui.app import QwillApp

        opened = self.app.opened_places() if isinstance(self.app, QwillApp) else None
        return opened.elsewhere() if opened is not None else []

    def action_runs(self, argument: str = "") -> None:
        self.open_runs(argument)

    def open_runs(self, run: str = "") -> None:
        """The runs screen with the cursor on this run, named by id or name."""
        from tui.screens.runs import Runs

        self.show_layer(Runs(self, run))

    def run_picks(self) -> Picks:
        """What is selected and how it is drawn in the runs screen; the same until the program ends."""
        if self._picks is None:
            from tui.run_picks import Picks

            self._picks = Picks()
        return self._picks

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
            elif part.what is What.RUN_CALLS:
                self._tell_call(part.id)
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
        if run.state == "done":
            self._last = ()  # F8 takes the new one now
            loss = f" · loss {number(run.loss)}" if run.loss is not None else ""
            words = f"{name(run.name)} is done{loss} · F8 activates it"
        else:
            words = f"{name(run.name)} failed. {run.error.sentence() if run.error else ''} F3 shows it."
        self._call(words, grave=run.state == "failed")

    def _tell_call(self, run_id: str) -> None:
        """A run stands still and needs somebody, or a finding came."""
        run = self.state.engine.runs.get(run_id)
        if run is None:
            return
        if run.state == "paused" and run.error is not None:
            self._call(f"{name(run.name)} needs you. {run.error.sentence()} F3 shows it.", grave=True)
        elif run.findings and run.state not in runs.ENDED_STATES:
            from tui.widgets.run_health import finding_words

            self.say(f"{name(run.name)} {finding_words(run.findings[-1])}", for_seconds=15)

    def _call(self, words: str, *, grave: bool) -> None:
        """Say it, and ring or notify whoever looks elsewhere."""
        from tui.alert import call

        call(self.app, words)
        self.say(words, grave=grave, for_seconds=15)
