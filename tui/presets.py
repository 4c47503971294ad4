"""Presets of a chat's settings: those that come with Qwill, and the user's own as TOML files."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engine.api import EngineError, config_dir, fault, specs, write_atomic
from tui.sampling import NUMBERS, get, parse, put

ENDING = ".toml"
_FLAGS = ("think", "keep_thoughts")
_KEYS = ("title", "about", "overflow", "system", *_FLAGS, *NUMBERS)
_OVERFLOWS = ("drop", "summarise", "stop")
_SLUG = re.compile(r"[\W_]+")
NAME_LIMIT = 40
"""Characters of a preset's name at most."""
FILE_LIMIT = 1 << 20
"""Bytes of a preset's file at most."""


@dataclass(frozen=True)
class Preset:
    """Settings under a name. What it does not name: a sampler goes back to the model, the rest stays."""

    name: str
    """Its file's name without the ending."""
    title: str
    about: str
    values: dict[str, Any]
    path: Path | None = None
    """None for those that come with Qwill."""

    def apply(self, settings: specs.ChatSettings) -> specs.ChatSettings:
        """The settings with this preset taken; the adapter stays."""
        made = msgspec.structs.replace(settings, sampling=specs.Sampling())
        for key, value in self.values.items():
            made = put(made, key, value) if key in NUMBERS else _replaced(made, key, value)
        return made

    def matches(self, settings: specs.ChatSettings) -> bool:
        """Whether taking it would change nothing."""
        return self.apply(settings) == settings


BUILT_IN = (
    Preset("own", "Model's own", "Every sampler as the model's maker set it.", {"think_budget": None}),
    Preset("precise", "Precise", "Facts, extraction, code.", {"temperature": 0.3, "top_p": 0.9, "top_k": 20}),
    Preset("creative", "Creative", "Stories and ideas.", {"temperature": 1.0, "top_p": 0.98, "min_p": 0.05}),
    Preset("quick", "Quick answers", "No thinking, a short reply.", {"think": False, "max_tokens": 400}),
    Preset(
        "long-thinking",
        "Long thinking",
        "Hard problems: no cap, and thoughts stay in the prompt.",
        {"think": True, "think_budget": None, "keep_thoughts": True},
    ),
)


def folder() -> Path:
    """Where the user's own lie. Raises EngineError `state_unwritable`."""
    return config_dir() / "presets"


def load_presets() -> tuple[list[Preset], list[str]]:
    """All presets, the user's own last, sorted by title; and one sentence for each file that is none."""
    own: list[Preset] = []
    faults: list[str] = []
    try:
        files = sorted(folder().glob(f"*{ENDING}"))
    except EngineError:
        files = []  # what cannot be written may not be read either; those that come with Qwill go on
    for path in files:
        try:
            own.append(read_preset(path))
        except ValueError as error:
            faults.append(f"{path.name}: {error}.")
    return [*BUILT_IN, *sorted(own, key=lambda each: each.title.casefold())], faults


def read_preset(path: Path) -> Preset:
    """One file, checked. Raises ValueError that says what is wrong."""
    try:
        if not path.is_file() or path.stat().st_size > FILE_LIMIT:
            raise ValueError("is no small file")
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"is not TOML: {error}") from error
    unknown = next((key for key in table if key not in _KEYS), "")
    if unknown:
        raise ValueError(f"unknown key `{unknown}`; a preset has {', '.join(_KEYS)}")
    values = {key: _checked(key, value) for key, value in table.items() if key not in ("title", "about")}
    title, about = _text("title", table.get("title", path.stem)), _text("about", table.get("about", ""))
    return Preset(path.stem, title, about, values, path)


def save_preset(title: str, settings: specs.ChatSettings) -> Preset:
    """Store what a chat has under a name; a preset of the same name is replaced.

    Raises EngineError `preset_name` for a name without letters, `preset_unwritten`.
    """
    title = " ".join(title.split())[:NAME_LIMIT]
    name = _SLUG.sub("-", title.casefold()).strip("-")
    if not name:
        raise fault("preset_name", "A preset needs a name with letters or digits")
    values = values_of(settings)
    path = folder() / f"{name}{ENDING}"
    table: dict[str, Any] = {"title": title, **values}
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    put_back(path, ("\n".join(lines) + "\n").encode())
    return Preset(name, title, "", values, path)


def delete_preset(preset: Preset) -> bytes:
    """Take one of the user's own away; returns its file, which `put_back` takes.

    Raises EngineError `preset_unwritten`.
    """
    if preset.path is None:
        raise fault("preset_unwritten", f"{preset.title} comes with Qwill and stays")
    try:
        data = preset.path.read_bytes()
        preset.path.unlink()
    except OSError as error:
        raise _unwritten(error) from error
    return data


def put_back(path: Path, data: bytes) -> None:
    """Write a preset's file. Raises EngineError `preset_unwritten`."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise _unwritten(error) from error


def values_of(settings: specs.ChatSettings) -> dict[str, Any]:
    """What a preset of these settings holds: what the chat chose itself, and both switches of thinking."""
    values: dict[str, Any] = {"think": settings.think, "keep_thoughts": settings.keep_thoughts}
    values |= {name: number for name in NUMBERS if (number := get(settings, name)) is not None}
    if settings.overflow != "drop":
        values["overflow"] = settings.overflow
    if settings.system:
        values["system"] = settings.system
    return values


def _replaced(settings: specs.ChatSettings, key: str, value: Any) -> specs.ChatSettings:
    return msgspec.structs.replace(settings, **{key: value})


def _checked(key: str, value: Any) -> Any:
    if key in _FLAGS:
        if not isinstance(value, bool):
            raise ValueError(f"`{key}` must be true or false")
        return value
    if key == "overflow":
        if value not in _OVERFLOWS:
            raise ValueError(f"`overflow` must be one of {', '.join(_OVERFLOWS)}")
        return value
    if key == "system":
        if not isinstance(value, str):
            raise ValueError("`system` must be text in quotes")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"`{key}` must be a number")
    try:
        return parse(key, repr(value))
    except EngineError as error:
        raise ValueError(error.info.title) from error


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"`{key}` must be one line of text in quotes")
    return value


def _toml(value: object) -> str:
    # JSON's strings and numbers are TOML's too, once DEL is escaped.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _unwritten(error: OSError) -> EngineError:
    return fault(
        "preset_unwritten",
        "The preset could not be written",
        error.strerror or str(error),
        "Check the disk and the rights of Qwill's config folder",
    )
