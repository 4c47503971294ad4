"""Every race as its file has it. The one place that changes them."""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from engine.lanes import Lane
from engine.protocol.errors import EngineError
from engine.protocol.race import RaceInfo
from engine.runs import race_file

logger = logging.getLogger(__name__)


class RaceBook:
    """Used from the loop's thread; files are touched in the disk lane."""

    def __init__(self, disk: Lane) -> None:
        self._disk = disk
        self._races: dict[str, RaceInfo] = {}

    async def open(self) -> None:
        """Read all files."""
        self._races = {race.group: race for race in await self._disk.run(race_file.load_all)}

    def infos(self) -> tuple[RaceInfo, ...]:
        """The oldest first."""
        return tuple(self._races.values())

    def of(self, group: str) -> RaceInfo | None:
        """None for runs that are in no race."""
        return self._races.get(group)

    def find(self, group: str) -> RaceInfo:
        """By its name, the newest by ""; raises EngineError `race_unknown`."""
        race = self._races.get(group or next(reversed(self._races), ""))
        if race is None:
            raise race_file.unknown(group)
        return race

    async def add(self, race: RaceInfo) -> None:
        """Raises EngineError; then there is no race."""
        await self._disk.run(race_file.save, race)
        self._races[race.group] = race

    async def change(self, group: str, **changes: Any) -> RaceInfo:
        """Some fields; what the disk refuses is known until the engine ends."""
        race = self._races[group] = replace(self._races[group], **changes)
        try:
            await self._disk.run(race_file.save, race)
        except EngineError as error:
            logger.warning("%s", error.info.sentence())
        return race
