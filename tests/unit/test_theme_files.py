"""The shipped themes are legible, and a faulty theme file is named and skipped."""

from __future__ import annotations

import colorsys
import os
import re
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.color import Color
from textual.theme import BUILTIN_THEMES
from textual.widgets import Static

from tui.paths import data_folder
from tui.theme_files import COLORS, OUR_VARIABLES, TEXTUAL_VARIABLES, ThemeFile, load_themes

SHIPPED, SHIPPED_FAULTS = load_themes([data_folder("themes")])
TRUE_COLOR = [theme for theme in SHIPPED if not theme.ansi]

GROUNDS = ("background", "surface", "panel")
TEXTS = (
    *("foreground", "primary", "secondary", "accent", "warning", "error", "success", "text", "text-muted"),
    *("text-primary", "text-secondary", "text-accent", "text-warning", "text-error", "text-success"),
    *("thought", "user"),
)
PAIRS = [(text, ground) for text in TEXTS for ground in GROUNDS] + [
    ("foreground", "boost"),
    ("foreground", "block-hover-background"),
    ("block-cursor-foreground", "block-cursor-background"),
    ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
    ("footer-key-foreground", "footer-background"),
    ("footer-description-foreground", "footer-background"),
    ("input-cursor-foreground", "input-cursor-background"),
    ("input-selection-foreground", "input-selection-background"),
    ("screen-selection-foreground", "screen-selection-background"),
    ("link-color", "background"),
    ("link-color-hover", "link-background-hover"),
    ("markdown-h1-color", "background"),
    ("markdown-h6-color", "background"),
    ("button-color-foreground", "primary"),
    ("button-color-foreground", "success"),
    ("button-color-foreground", "warning"),
    ("button-color-foreground", "error"),
]

GOOD = """name = "mine"
dark = true

[colors]
primary = "#88aaff"
secondary = "#88aaff"
accent = "#88aaff"
background = "#101010"
surface = "#181818"
panel = "#202020"
boost = "#282828"
foreground = "#eee"
warning = "#ffcc66"
error = "#ff8888"
success = "#88cc88"

[variables]
border = "#88aaff 60%"
link-style = "bold not underline"
"""


def luminance(color: Color) -> float:
    """WCAG 2.2 relative luminance, 0 to 1."""
    parts = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(text: Color, ground: Color) -> float:
    """WCAG 2.2 contrast ratio, 1 to 21."""
    high, low = sorted((luminance(text), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def painted(value: str, ground: Color) -> Color:
    """The colour a variable's value has on a ground, `auto 87%` and opacity included."""
    name, _, percent = value.partition(" ")
    share = int(percent.rstrip("%")) / 100 if percent else 1.0
    color = ground.get_contrast_text(1.0) if name == "auto" else Color.parse(name)
    return ground.blend(color.with_alpha(1.0), share * color.a, alpha=1.0)


def css_variables(theme: ThemeFile) -> dict[str, str]:
    """What a style sheet sees while the theme is on."""
    textual = theme.to_textual()
    return {**textual.to_color_system().generate(), **textual.variables}


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_themes_load() -> None:
    assert SHIPPED_FAULTS == []
    names = {theme.name for theme in SHIPPED}
    assert {"qwill", "paper", "dawn", "contrast", "terminal", "moss", "ember", "night-sea"} <= names
    assert all(theme.path.stem == theme.name for theme in SHIPPED)
    assert {theme.name for theme in TRUE_COLOR if not theme.dark} == {"paper", "dawn"}
    assert {theme.name for theme in SHIPPED if theme.ansi} == {"terminal", "terminal-light"}


@pytest.mark.parametrize("theme", TRUE_COLOR, ids=lambda theme: theme.name)
def test_text_stands_out_from_its_ground(theme: ThemeFile) -> None:
    """WCAG AA (4.5:1) for every text a theme colours, AAA (7:1) in `contrast`."""
    least = 7.0 if theme.name == "contrast" else 4.5
    values = css_variables(theme)
    page = Color.parse(values["background"])
    weak = []
    for text, ground in PAIRS:
        under = painted(values[ground], page)
        ratio = contrast(painted(values[text], under), under)
        if ratio < least:
            weak.append(f"{text} on {ground}: {ratio:.2f}")
    assert weak == []


@pytest.mark.parametrize("theme", TRUE_COLOR, ids=lambda theme: theme.name)
def test_dark_says_what_the_ground_is(theme: ThemeFile) -> None:
    assert (Color.parse(theme.colors["background"]).brightness < 0.5) == theme.dark


@pytest.mark.parametrize("theme", TRUE_COLOR, ids=lambda theme: theme.name)
def test_rules_focus_and_placeholders_can_be_seen(theme: ThemeFile) -> None:
    page = Color.parse(theme.colors["background"])
    values = theme.all_variables()
    least = 4.5 if theme.name == "contrast" else 1.25
    assert contrast(Color.parse(values["rule"]), page) >= least
    assert contrast(Color.parse(values["border"]), page) >= 3
    assert contrast(Color.parse(values["text-disabled"]), page) >= 3


@pytest.mark.parametrize("theme", TRUE_COLOR, ids=lambda theme: theme.name)
def test_warning_is_not_the_accent(theme: ThemeFile) -> None:
    """The two hues lie at least 20 degrees apart."""

    def hue(name: str) -> float:
        return colorsys.rgb_to_hls(*Color.parse(theme.colors[name]).normalized)[0] * 360

    apart = abs(hue("accent") - hue("warning"))
    assert min(apart, 360 - apart) >= 20


def test_terminal_theme_names_only_the_terminals_colours() -> None:
    theme = next(theme for theme in SHIPPED if theme.name == "terminal")
    assert theme.to_textual().ansi
    paints = [value for key, value in theme.all_variables().items() if "style" not in key]
    assert [value for value in [*theme.colors.values(), *paints] if not value.startswith("ansi_")] == []
    assert not set(paints) & {"ansi_bright_black"} - {theme.variables["rule"]}
    assert theme.variables["thought"] == "ansi_default"


async def test_every_theme_paints_a_running_app() -> None:
    """Each shipped theme can be switched to, and the style sheet finds our variables in it."""

    class Sample(App[None]):
        CSS = "Static { color: $thought; background: $boost; border: solid $rule; } #user { color: $user; }"

        def __init__(self) -> None:
            super().__init__()
            for theme in SHIPPED:
                self.register_theme(theme.to_textual())
            self.theme = SHIPPED[0].name

        def compose(self) -> ComposeResult:
            yield Static("thinking", id="thought")
            yield Static("You", id="user")

    app = Sample()
    async with app.run_test(size=(30, 10)) as pilot:
        for theme in SHIPPED:
            app.theme = theme.name
            await pilot.pause()
            values = theme.all_variables()
            assert app.query_one("#thought").styles.color == Color.parse(values["thought"])
            assert app.query_one("#user").styles.color == Color.parse(values["user"])
            if not theme.ansi:
                assert app.query_one("#user").styles.background == Color.parse(theme.colors["boost"])


def test_variables_are_textuals() -> None:
    """The list of names kept here is the one of the pinned Textual."""
    systems = [BUILTIN_THEMES[name].to_color_system().generate() for name in ("nord", "ansi-dark")]
    known = {name for system in systems for name in system if not re.search(r"-(lighten|darken)-\d$", name)}
    misspelt_there = {"surface-actrive"}
    derived = {"primary-background", "secondary-background"}
    assert known - set(COLORS) - misspelt_there - derived == TEXTUAL_VARIABLES


def test_a_theme_without_our_variables_gets_them(tmp_path: Path) -> None:
    write(tmp_path, "mine.toml", GOOD)
    [theme], faults = load_themes([tmp_path])
    assert faults == []
    values = theme.all_variables()
    assert values.keys() >= {*OUR_VARIABLES}
    assert values["user"] == theme.colors["accent"]
    assert values["thought"] not in (theme.colors["foreground"], theme.colors["background"])
    assert values["border"] == "#88aaff 60%"


def test_a_users_theme_replaces_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "other.toml", GOOD.replace('"mine"', '"qwill"'))
    themes, faults = load_themes([data_folder("themes"), tmp_path])
    assert faults == []
    assert len(themes) == len(SHIPPED)
    assert next(theme for theme in themes if theme.name == "qwill").path == tmp_path / "other.toml"


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert load_themes([tmp_path / "none"]) == ([], [])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("dark = true", "dark = 1"), "bad.toml, line 2: `dark` must be true or false."),
        (GOOD.replace('"mine"', '"My Theme"'), "bad.toml, line 1: `name` must be"),
        (GOOD.replace('name = "mine"\n', ""), "bad.toml: `name` must be"),
        (GOOD.replace("#88aaff", "blueish", 1), "bad.toml, line 5: `primary` is no colour"),
        (GOOD.replace('panel = "#202020"\n', ""), "bad.toml, line 4: [colors] lacks `panel`."),
        (GOOD.replace("panel =", "pannel ="), "bad.toml, line 4: [colors] lacks `panel`."),
        (GOOD.replace("[variables]", 'glow = "#fff"\n[variables]'), "line 17: unknown colour `glow`"),
        (GOOD.replace('"#ffcc66"', '"ansi_yellow"'), "line 13: `warning` mixes ansi_ colours"),
        (GOOD + 'bordr = "#fff"\n', "bad.toml, line 20: unknown variable `bordr`."),
        (GOOD + 'rule = "#fff; } * { display: none"\n', "bad.toml, line 20: `rule` is no colour"),
        (GOOD + 'link-color = "#fff 400%"\n', "bad.toml, line 20: `link-color` is no colour"),
        (GOOD + "rule = 3\n", "bad.toml, line 20: `rule` must be text in quotes."),
        (GOOD + 'markdown-h1-text-style = "loud"\n', "line 20: `markdown-h1-text-style` is no text style"),
        (GOOD + 'link-style-hover = "bold none"\n', "line 20: `link-style-hover` is no text style"),
        (GOOD + 'scrollbar-background = "auto 60%"\n', "line 20: `scrollbar-background` is no colour"),
        ("colour = 1\n" + GOOD, "bad.toml, line 1: unknown key `colour`"),
        (GOOD.split("[colors]")[0] + "colors = 3\n", "bad.toml, line 4: `colors` must be a table"),
        (GOOD.replace("dark = true", "dark = "), "bad.toml: is not valid TOML: "),
        ("x = " + "[" * 5000, "bad.toml: is "),
        ("", "bad.toml: `name` must be"),
    ],
)
def test_a_faulty_file_is_named_and_skipped(tmp_path: Path, text: str, says: str) -> None:
    bad = write(tmp_path, "bad.toml", text)
    write(tmp_path, "good.toml", GOOD.replace('"mine"', '"good"'))
    themes, [fault] = load_themes([tmp_path])
    assert [theme.name for theme in themes] == ["good"]
    assert fault.path == bad
    assert says in fault.sentence
    assert "\n" not in fault.sentence
    assert str(tmp_path) not in fault.sentence


def test_what_is_no_text_is_named_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b'name = "\xff"')
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    themes, faults = load_themes([tmp_path])
    assert themes == []
    assert [fault.sentence for fault in faults] == [
        "bytes.toml: is not UTF-8 text; save it as UTF-8.",
        "folder.toml: is not a file.",
        "pipe.toml: is not a file.",
    ]


def test_a_name_twice_in_one_folder_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", GOOD)
    write(tmp_path, "b.toml", GOOD)
    [theme], [fault] = load_themes([tmp_path])
    assert theme.path.name == "a.toml"
    assert fault.sentence == "b.toml: the name `mine` is taken by a.toml; choose another."


def test_crlf_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    [theme], faults = load_themes([tmp_path])
    assert (theme.name, faults) == ("mine", [])


def test_data_folder_says_what_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match="`nonesuch` is missing"):
        data_folder("nonesuch")


def test_an_installed_package_prefers_its_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `themes` folder beside an installed package may be anybody's."""
    monkeypatch.setattr("tui.paths._PACKAGE", tmp_path / "tui")
    (tmp_path / "themes").mkdir()
    assert data_folder("themes") == tmp_path / "themes"
    (tmp_path / "tui" / "_data" / "themes").mkdir(parents=True)
    assert data_folder("themes") == tmp_path / "tui" / "_data" / "themes"
