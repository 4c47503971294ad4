"""Hands a run that has ended to a tracker."""

from __future__ import annotations

from engine.protocol.commands import Tracked, TrackRun
from engine.protocol.errors import fault
from engine.protocol.runs import ENDED_STATES
from engine.runs.book import RunBook
from engine.runs.tracking import replay


class Tracking:
    """Answers the command. Used from the loop's thread."""

    def __init__(self, book: RunBook) -> None:
        self._book = book

    async def track(self, command: TrackRun) -> Tracked:
        """Raises EngineError `run_unknown`, `run_not_ended`, `extra_missing`, `tracker_failed`."""
        info = self._book.find(command.run)
        if info.state not in ENDED_STATES:
            raise fault(
                "run_not_ended",
                f"{info.name} has not ended yet",
                remedy="Wait for its end, or name the tracker when a run starts: --tracker",
            )
        said = await replay(info.id, command.tracker)
        return Tracked(str(said["place"]), int(said["points"]))
