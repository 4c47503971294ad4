"""The presets of the train form: how a spec is changed by one, and which one a spec is. Pure."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from engine.api import PRESET_LINES, PRESETS, runs

OWN = ""
"""Stands for a form that is no preset."""


def choices() -> list[tuple[str, str]]:
    """Values with their words."""
    return [*((preset, preset) for preset in PRESETS), (OWN, "own")]


def about(preset: str) -> str:
    """What it is for, in one line."""
    return PRESET_LINES.get(preset, "As set below")


def apply(preset: str, spec: runs.TrainSpec) -> runs.TrainSpec:
    """The spec with what the preset says; alpha and rate are chosen by themselves again."""
    values: dict[str, Any] = {"alpha": 0, "rate": 0.0, **PRESETS.get(preset, {})}
    return replace(spec, **values) if preset in PRESETS else spec


def preset_of(spec: runs.TrainSpec) -> str:
    """The preset that the spec is as, else OWN."""
    for preset, values in PRESETS.items():
        if all(getattr(spec, key) == value for key, value in values.items()):
            return preset
    return OWN
