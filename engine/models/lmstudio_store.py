"""LM Studio's models, read in place: PUBLISHER/REPOSITORY/FILE.gguf below its folder."""

from __future__ import annotations

from pathlib import Path

POINTER_LIMIT = 4096
"""Bytes of the file that names LM Studio's home."""


def lmstudio_stores() -> list[Path]:
    """Where LM Studio keeps models, now and in its earlier versions."""
    homes = [Path("~/.lmstudio").expanduser(), Path("~/.cache/lm-studio").expanduser()]
    pointed = _pointed(Path("~/.lmstudio-home-pointer").expanduser())
    if pointed is not None:
        homes.insert(0, pointed)
    return list(dict.fromkeys(home / "models" for home in homes))


def _pointed(pointer: Path) -> Path | None:
    """The home that a person moved elsewhere."""
    try:
        if not pointer.is_file() or pointer.stat().st_size > POINTER_LIMIT:
            return None
        text = pointer.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(text) if text.startswith("/") and "\x00" not in text else None
