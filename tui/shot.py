"""A picture of the screen: renders the running app as SVG, for scripts and for the README."""

from __future__ import annotations

from pathlib import Path

from tui.app import QwillApp


def save(app: QwillApp, path: Path, *, title: str = "Qwill") -> None:
    """Write the present screen of a running app to `path`. Raises OSError."""
    path.write_text(app.export_screenshot(title=title), encoding="utf-8")
