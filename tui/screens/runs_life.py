"""What one can do with a run while it lives: pause, stop, its place in the queue, do it again."""

from __future__ import annotations

from engine.api import commands, runs
from tui.screens.pausing import ask_how
from tui.screens.runs_base import RunsBase
from tui.widgets.lines import name

AGAIN = ("stopped", "failed")
"""Ended states from which a run can go on where it was saved."""


class RunsLife(RunsBase):
    """Verbs on runs that are under way or wait."""

    def action_pause_run(self) -> None:
        run = self.here()
        if run is None:
            return
        if run.state == "paused" or run.state in AGAIN:
            words = f"{name(run.name)} goes on."
            self.ask(commands.ResumeRun(run=run.id), lambda _: self.say(words))
        elif run.state == "queued":
            words = f"{name(run.name)} is held back; p lets it into the queue again."
            self.ask(commands.PauseRun(run=run.id, mode="park"), lambda _: self.say(words))
        elif run.state == "running":
            ask_how(self, run)
        else:
            self.say(f"{name(run.name)} is done. R does it again, t with other settings.")

    def action_stop_run(self) -> None:
        run = self.table.run
        if run is None or run.state in runs.ENDED_STATES:
            self.say("Only a run that is under way can be stopped.")
            return
        from tui.modals.stop_run import StopRun

        def answered(save: bool | None) -> None:
            if save is not None:
                command = commands.StopRun(run=run.id, save=save)
                self.ask(command, lambda _: self.say(f"{name(run.name)} stops."))

        self.app.push_screen(StopRun(run), answered)

    def action_queue_up(self) -> None:
        self._move(-1)

    def action_queue_down(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        run = self.here()
        if run is None:
            return
        if run.state != "queued" or not run.place:
            self.say(f"{name(run.name)} does not wait in the queue.")
            return
        place = max(1, run.place + by)

        def moved(info: runs.RunInfo) -> None:
            self.say(f"{name(run.name)} is number {info.place} in the queue.")

        self.ask(commands.MoveRun(run=run.id, place=place), moved)

    def action_train_now(self) -> None:
        run = self.here()
        if run is None:
            return
        if run.state != "queued":
            self.say(f"{name(run.name)} does not wait in the queue.")
            return
        self.ask(commands.RunNow(run=run.id), lambda _: self.say(f"{name(run.name)} trains next."))

    def action_train_again(self) -> None:
        run = self.here()
        if run is not None:
            self.dismiss()
            self.desk.open_train(run.spec)

    def action_rerun(self) -> None:
        run = self.here()
        if run is None:
            return

        def queued(again: commands.Rerun) -> None:
            self.table.go(again.run.id)
            if again.unmatched:
                reasons = " ".join(f"{name(reason).rstrip('.')}." for reason in again.unmatched)
                self.say(f"Queued, but not all can be the same: {reasons}", grave=True, for_seconds=15)
            else:
                self.say(f"{name(again.run.name)} is queued: same settings, data, seeds and versions.")

        self.ask(commands.RerunRun(run=run.id), queued)
