"""Train a chat's system prompt into an adapter: sample replies under it, then open the train form on them."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import msgspec

from engine.api import EngineError, commands, runs
from tui.screens.run_verbs import RunVerbs

POLL = 0.1
"""Seconds between two looks at how far it is."""
COUNT = 40
MOST = 256
"""Questions that are asked, and at most."""


class BakeVerbs(RunVerbs):
    """`/bake`."""

    def action_bake(self, argument: str = "") -> None:
        settings = self.state.settings()
        if not settings.system.strip():
            self.say("There is no system prompt to bake. `/system TEXT` sets one.")
            return
        count = argument.strip() or str(COUNT)
        if not count.isdecimal() or not 2 <= int(count) <= MOST:
            self.say(f"`/bake` takes how many questions are asked, from 2 to {MOST}.", grave=True)
            return
        self._bake(commands.StartBake("", settings.system, self.state.model_id(), int(count)))

    def _bake(self, wanted: commands.StartBake) -> None:
        from tui.modals.working import Ended, Tell, Working

        command = msgspec.structs.replace(wanted, job=uuid.uuid4().hex)

        async def work(tell: Tell) -> commands.Baked:
            asked = asyncio.ensure_future(self.link.request(command))
            try:
                while not (await asyncio.wait({asked}, timeout=POLL))[0]:
                    tell(*self.state.engine.exports.get(command.job, (-1.0, "beginning …")))
            except asyncio.CancelledError:
                self.attempt(self._stop_bake(command.job))
                raise
            baked: commands.Baked = asked.result()
            return baked

        def ended(how: Ended[commands.Baked] | None) -> None:
            self.state.engine.exports.pop(command.job, None)
            if how is None:
                self.say("Stopped; nothing was written.")
            elif how.error is not None:
                self.fail(how.error)
            elif how.result is not None:
                self._train_on(how.result)

        self.app.push_screen(Working("Replies under the system prompt", work), ended)

    def _train_on(self, baked: commands.Baked) -> None:
        left = f" {baked.left_out} did not come to an end." if baked.left_out else ""
        self.open_train(runs.TrainSpec(baked.model, baked.path, name=baked.name))
        self.say(f"{baked.rows} replies are ready to train on.{left}", for_seconds=10)

    async def _stop_bake(self, job: str) -> None:
        with contextlib.suppress(EngineError):
            await self.link.request(commands.StopBake(job))
