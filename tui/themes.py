"""The theme of the first paint, in code so that no file is read before it; the rest come from TOML files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.theme import Theme

from tui.paths import data_folder, folders
from tui.remembered import recall

if TYPE_CHECKING:
    from tui.theme_files import ThemeFault, ThemeFile

DEFAULT = "qwill"
COLORS: dict[str, Any] = {
    "primary": "#64c8c0",
    "accent": "#64c8c0",
    "background": "#0f1419",
    "surface": "#141b22",
    "panel": "#1a232c",
    "boost": "#202b35",
    "foreground": "#d5dde5",
    "secondary": "#9db4ce",
    "warning": "#e6b45c",
    "error": "#f07a78",
    "success": "#8fc78a",
}
VARIABLES = {
    "thought": "#8b9bab",
    "rule": "#2d3a45",
    "user": "#9db4ce",
    "border": "#64c8c0",
    "border-blurred": "#2d3a45",
    "text-muted": "#8b9bab",
    "text-disabled": "#72787f",
    "block-cursor-background": "#1f4448",
    "block-cursor-foreground": "#d5dde5",
    "block-cursor-text-style": "bold",
    "block-cursor-blurred-background": "#202b35",
    "block-cursor-blurred-foreground": "#d5dde5",
    "block-hover-background": "#1a232c",
    "button-color-foreground": "#0f1419",
    "button-focus-text-style": "bold underline",
    "footer-background": "#0f1419",
    "footer-foreground": "#d5dde5",
    "footer-key-foreground": "#64c8c0",
    "footer-description-foreground": "#8b9bab",
    "input-selection-background": "#2a5358",
    "input-selection-foreground": "#d5dde5",
    "screen-selection-background": "#2a5358",
    "screen-selection-foreground": "#d5dde5",
    "link-color": "#64c8c0",
    "link-background-hover": "#202b35",
    "link-color-hover": "#64c8c0",
    "scrollbar": "#2d3a45",
    "scrollbar-hover": "#8b9bab",
    "scrollbar-active": "#64c8c0",
    "scrollbar-background": "#0f1419",
    "scrollbar-background-hover": "#0f1419",
    "scrollbar-background-active": "#0f1419",
    "scrollbar-corner-color": "#0f1419",
    "text-primary": "#64c8c0",
    "text-accent": "#64c8c0",
    "text-secondary": "#9db4ce",
    "text-warning": "#e6b45c",
    "text-error": "#f07a78",
    "text-success": "#8fc78a",
    "markdown-h6-color": "#8b9bab",
}


def first_theme() -> Theme:
    """The same theme as themes/qwill.toml."""
    boost = {"boost": COLORS["boost"]}
    return Theme(name=DEFAULT, dark=True, variables={**boost, **VARIABLES}, **COLORS)


def startup_theme() -> Theme:
    """The remembered theme, read from the one file of its name; ours where there is none or it is faulty."""
    wanted = recall("theme") or DEFAULT
    if not wanted.replace("-", "").isalnum():
        return first_theme()
    for folder in reversed(folders("themes", "themes")):
        file = folder / f"{wanted}.toml"
        if wanted == DEFAULT and folder == data_folder("themes"):
            break
        if file.is_file():
            from tui.theme_files import read_theme

            try:
                theme = read_theme(file)
            except ValueError:
                break  # it is reported with the other files, after the first paint
            return theme.to_textual() if theme.name == wanted else first_theme()
    return first_theme()


def all_themes() -> tuple[list[ThemeFile], list[ThemeFault]]:
    """The shipped themes and the user's own, which replace shipped ones of the same name; and every fault."""
    from tui.theme_files import load_themes

    return load_themes(folders("themes", "themes"))
