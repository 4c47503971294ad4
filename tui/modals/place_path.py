"""Completes a path on the side that it is typed for: this machine, or the one that the engine is on."""

from __future__ import annotations

from textual.suggester import Suggester

from tui import places
from tui.attach import Request
from tui.path_search_there import find_there


class PlaceSuggester(Suggester):
    """The first path that begins with what is typed; folders end in a slash. `here` completes here."""

    def __init__(
        self, here: Suggester, host: str, ask: Request, *, folders: bool = False, side: places.Side = "here"
    ) -> None:
        """`side`: of a path that names none."""
        super().__init__(use_cache=False, case_sensitive=True)
        self._here = here
        self._host = host
        self._ask = ask
        self._folders = folders
        self._side = side

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path, as typed so far; None where nothing fits, or nobody answers."""
        place = places.parse(value, self._host)
        head = value[: len(value) - len(place.path)]
        if (place.side or self._side) == "here":
            found = await self._here.get_suggestion(place.path)
            return f"{head}{found}" if found else None
        completed = await self._there(place.path)
        return f"{head}{completed}" if completed else None

    async def _there(self, path: str) -> str | None:
        if not path.rpartition("/")[2]:
            return None
        found = await find_there(self._ask, path, folders=self._folders)
        return next((each.text for each in found if each.text.startswith(path)), None)
