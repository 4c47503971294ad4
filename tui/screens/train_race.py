"""The train form's run in several variations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import ErrorInfo, commands, runs
from tui import train_draft
from tui.race_line import Asked
from tui.screens.train_data import TrainData

if TYPE_CHECKING:
    from tui.modals.race_line import RaceLine


class TrainRace(TrainData):
    """Asks for the line, starts the race, and hands it to the workbench."""

    _asking: RaceLine | None = None

    def action_race_runs(self, said: str = "") -> None:
        from tui.modals.race_line import RaceLine

        if self.starting:
            return
        spec, faults = self.read()
        self.show_faults(faults)
        if faults:
            self.focus_fault(next(iter(faults)))
            self.say("This field needs a look before a race.", grave=True)
            return
        one_s = self.estimate.seconds if self.estimate is not None else None
        first = said or self.desk.race_line

        def asked(found: Asked | None) -> None:
            self._asking = None
            if found is not None:
                self.starting = True
                self.desk.attempt(self._race(found), failed=self._not_started)

        self._asking = RaceLine(first, one_s)
        self.app.push_screen(self._asking, asked)

    def take_estimate(self, estimate: runs.Estimate) -> None:
        super().take_estimate(estimate)
        if self._asking is not None and estimate.seconds is not None:
            self._asking.learn(estimate.seconds)

    def _not_started(self, info: ErrorInfo) -> None:
        """A start was refused."""
        raise NotImplementedError

    async def _race(self, asked: Asked) -> None:
        await self.ready.wait()
        spec, _ = self.read()
        race: commands.RaceInfo = await self.desk.link.request(
            commands.StartRace(spec, asked.expression, turns=asked.turns, keep=asked.keep, turn=asked.turn)
        )
        self.desk.race_line = asked.expression
        self.starting = self.touched = False
        train_draft.forget()
        if self.is_attached:
            self.dismiss()
        self.desk.take_race(race)
