"""Completes the name of a file or folder on this machine."""

from __future__ import annotations

from pathlib import Path

from textual.suggester import Suggester


class FileSuggester(Suggester):
    """The first path that begins with what is typed; folders end in a slash."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path, as typed so far; None where nothing fits."""
        head, slash, start = value.rpartition("/")
        if not start:
            return None
        try:
            folder = Path(f"{head}{slash}" or ".").expanduser()
            found = min(
                (entry for entry in folder.iterdir() if entry.name.startswith(start)),
                key=lambda entry: entry.name,
                default=None,
            )
            if found is None or not found.name.isprintable():
                return None
            return f"{head}{slash}{found.name}{'/' if found.is_dir() else ''}"
        except (OSError, RuntimeError, ValueError):
            return None
