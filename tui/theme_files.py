"""Reads themes from TOML files, one a theme; a faulty file is reported and skipped, never fatal."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.theme import Theme

COLORS = (
    "primary",
    "secondary",
    "accent",
    "background",
    "surface",
    "panel",
    "boost",
    "foreground",
    "warning",
    "error",
    "success",
)
"""Every key of `[colors]`; a theme sets them all."""

OUR_VARIABLES = ("thought", "rule", "user")
"""What Qwill adds to Textual's variables: text of thinking, thin rules, the user's mark."""

_TEXTUAL_NAMES = """
    ansi-background ansi-foreground background-muted
    block-cursor-background block-cursor-foreground block-cursor-text-style
    block-cursor-blurred-background block-cursor-blurred-foreground block-cursor-blurred-text-style
    block-hover-background border border-blurred
    button-color-foreground button-focus-text-style button-foreground
    footer-background footer-description-background footer-description-foreground
    footer-foreground footer-item-background footer-key-background footer-key-foreground
    foreground-disabled foreground-muted
    input-cursor-background input-cursor-foreground input-cursor-text-style
    input-selection-background input-selection-foreground
    link-background link-background-hover link-color link-color-hover link-style link-style-hover
    markdown-h1-background markdown-h1-color markdown-h1-text-style
    markdown-h2-background markdown-h2-color markdown-h2-text-style
    markdown-h3-background markdown-h3-color markdown-h3-text-style
    markdown-h4-background markdown-h4-color markdown-h4-text-style
    markdown-h5-background markdown-h5-color markdown-h5-text-style
    markdown-h6-background markdown-h6-color markdown-h6-text-style
    primary-muted secondary-muted accent-muted warning-muted error-muted success-muted
    screen-selection-background screen-selection-foreground
    scrollbar scrollbar-active scrollbar-background scrollbar-background-active
    scrollbar-background-hover scrollbar-corner-color scrollbar-hover surface-active
    text text-accent text-disabled text-error text-muted text-primary text-secondary text-success text-warning
"""
TEXTUAL_VARIABLES = frozenset(_TEXTUAL_NAMES.split())
"""The variables of Textual's colour system that a theme may set (its shades are derived, not set)."""

_TOP = ("name", "dark", "colors", "variables")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HEX = r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})"
_ANSI = "ansi_(?:default|(?:bright_)?(?:black|red|green|yellow|blue|magenta|cyan|white))"
_COLOR = re.compile(f"{_HEX}|{_ANSI}")
_PAINT = re.compile(rf"(?:{_HEX}|#[0-9a-fA-F]{{8}}|{_ANSI})(?: (?:100|\d{{1,2}})%)?|transparent")
_AUTO = re.compile(r"auto(?: (?:100|\d{1,2})%)?")
_FLAG = "(?:not )?(?:bold|dim|italic|overline|reverse|strike|underline)"
_STYLE = re.compile(rf"none|{_FLAG}(?: {_FLAG})*")


@dataclass(frozen=True)
class ThemeFile:
    """One theme as its file gives it."""

    path: Path
    name: str
    dark: bool
    colors: Mapping[str, str]
    """Every name in COLORS, as #rgb, #rrggbb or ansi_NAME."""
    variables: Mapping[str, str]
    """Names in TEXTUAL_VARIABLES and OUR_VARIABLES, as far as the file sets them."""

    @property
    def ansi(self) -> bool:
        """True when the theme follows the terminal's own 16 colours."""
        return self.colors["background"].startswith("ansi_")

    def all_variables(self) -> dict[str, str]:
        """The file's variables and each of ours: what the file leaves out follows from its colours."""
        text, ground, accent = self.colors["foreground"], self.colors["background"], self.colors["accent"]
        if self.ansi:
            derived = {"thought": text, "rule": "ansi_bright_black"}
        else:
            boost = self.colors["boost"]
            derived = {"thought": _blend(text, ground, 0.3), "rule": _blend(text, ground, 0.8)}
            # Textual 8.2.8 drops a theme's boost when it also has a panel; as a variable it counts.
            derived |= {"boost": boost, "block-hover-background": boost}
        return {"user": accent} | derived | dict(self.variables)

    def to_textual(self) -> Theme:
        """The theme as Textual registers it."""
        from textual.theme import Theme

        colors: dict[str, Any] = {**self.colors}
        return Theme(
            name=self.name,
            dark=self.dark,
            ansi=self.ansi,
            variables=self.all_variables(),
            **colors,
        )


@dataclass(frozen=True)
class ThemeFault:
    """A file that is no theme, and why."""

    path: Path
    sentence: str
    """One line for a person: the file's name, the line where known, the key, what would be right."""


def load_themes(folders: list[Path]) -> tuple[list[ThemeFile], list[ThemeFault]]:
    """Every theme in these folders by name, sorted, and every fault.

    A later folder's theme replaces an earlier one of the same name; twice the same name in one folder is a
    fault of the later file. A folder that is not there holds nothing.
    """
    themes: dict[str, ThemeFile] = {}
    faults: list[ThemeFault] = []
    for folder in folders:
        here: dict[str, ThemeFile] = {}
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = read_theme(path)
                if theme.name in here:
                    other = here[theme.name].path.name
                    raise _Wrong(f"the name `{theme.name}` is taken by {other}; choose another", "name")
            except _Wrong as wrong:
                faults.append(ThemeFault(path, wrong.sentence(path)))
            else:
                here[theme.name] = theme
        themes |= here
    return [themes[name] for name in sorted(themes)], faults


def read_theme(path: Path) -> ThemeFile:
    """One file, checked. Raises a ValueError that says what is wrong."""
    if not path.is_file():
        raise _Wrong("is not a file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except OSError as error:
        raise _Wrong(f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _Wrong("is not UTF-8 text; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _Wrong(f"is not valid TOML: {error}") from error
    except RecursionError as error:
        raise _Wrong("is nested too deeply") from error
    try:
        return _checked(path, table)
    except _Wrong as wrong:
        wrong.line = _line_of(text, wrong.key, wrong.section)
        raise


class _Wrong(ValueError):
    """What is wrong with a file, and at which key."""

    def __init__(self, what: str, key: str = "", section: str = "") -> None:
        super().__init__(what)
        self.what, self.key, self.section = what, key, section
        self.line = 0

    def sentence(self, path: Path) -> str:
        place = f"{path.name}, line {self.line}" if self.line else path.name
        return f"{place}: {self.what}."


def _checked(path: Path, table: dict[str, Any]) -> ThemeFile:
    for key in table:
        if key not in _TOP:
            raise _Wrong(f"unknown key `{key}`; a theme has {', '.join(_TOP)}", key)
    name, dark = table.get("name"), table.get("dark")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _Wrong("`name` must be small letters, digits and `-`, like `night-sea`", "name")
    if not isinstance(dark, bool):
        raise _Wrong("`dark` must be true or false", "dark")
    colors = _colors(_section(table, "colors"))
    variables = _variables(_section(table, "variables"))
    return ThemeFile(path, name, dark, colors, variables)


def _section(table: dict[str, Any], name: str) -> dict[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, dict):
        raise _Wrong(f"`{name}` must be a table, [{name}]", name)
    return section


def _colors(section: dict[str, Any]) -> dict[str, str]:
    for key in COLORS:
        if key not in section:
            raise _Wrong(f"[colors] lacks `{key}`", "colors")
    for key, value in section.items():
        if key not in COLORS:
            raise _Wrong(f"unknown colour `{key}`; [colors] has {', '.join(COLORS)}", key, "colors")
        if not isinstance(value, str) or not _COLOR.fullmatch(value):
            raise _Wrong(f"`{key}` is no colour; write #rgb, #rrggbb or ansi_cyan", key, "colors")
        if value.startswith("ansi_") != str(section["background"]).startswith("ansi_"):
            raise _Wrong(f"`{key}` mixes ansi_ colours with others; use one kind in [colors]", key, "colors")
    return dict(section)


def _variables(section: dict[str, Any]) -> dict[str, str]:
    for key, value in section.items():
        if key not in TEXTUAL_VARIABLES and key not in OUR_VARIABLES:
            raise _Wrong(f"unknown variable `{key}`", key, "variables")
        if not isinstance(value, str):
            raise _Wrong(f"`{key}` must be text in quotes", key, "variables")
        if "style" in key:
            if not _STYLE.fullmatch(value):
                raise _Wrong(
                    f"`{key}` is no text style; write none, or like `bold underline`", key, "variables"
                )
        elif not _is_paint(key, value):
            raise _Wrong(f"`{key}` is no colour; write #rrggbb or ansi_cyan", key, "variables")
    return dict(section)


def _is_paint(key: str, value: str) -> bool:
    if key in OUR_VARIABLES:
        return _COLOR.fullmatch(value) is not None
    # A style sheet that puts `auto` on a ground or a border does not parse, and the program would not start.
    is_text = key.partition("-")[0] == "text"
    return bool(_PAINT.fullmatch(value) or (is_text and _AUTO.fullmatch(value)))


def _line_of(text: str, key: str, section: str) -> int:
    """The line of `key = …` in the section (or at the top), else of the header `[key]`; 0 for neither."""
    inside = ""
    wanted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]*)\]", line)
        inside = header[1].strip() if header else inside
        found = inside == key if header else inside == section and wanted.match(line)
        if key and found:
            return number
    return 0


def _blend(one: str, other: str, share: float) -> str:
    """The colour that lies `share` (0 to 1) of the way from one to the other, as #rrggbb."""
    pairs = zip(_rgb(one), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _rgb(color: str) -> tuple[int, int, int]:
    digits = color.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
