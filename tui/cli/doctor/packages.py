"""Python and the packages, each against the least version that works and is safe. Imports none of them."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import NamedTuple

from tui.cli.doctor.finding import Finding

AREA = "Python and packages"
PYTHON = (3, 11)
PARTS = 4
"""Numbers of a release that are compared."""


class Floor(NamedTuple):
    """The least version of a package."""

    name: str
    least: str
    below: str
    """What is wrong with older ones."""


WORKS = "Qwill is not tested with older ones"
FLOORS = (
    Floor("torch", "2.6", "CVE-2025-32434: a pickled file could run code although weights_only was set"),
    Floor(
        "transformers",
        "5.3",
        "CVE-2026-4372 and CVE-2026-5241: a model's config.json could run code with trust_remote_code off",
    ),
    Floor("peft", "0.17", WORKS),
    Floor("safetensors", "0.5", WORKS),
    Floor("tokenizers", "0.22", WORKS),
    Floor("huggingface-hub", "1.16.1", "the file with the access token was readable by other users"),
    Floor("jinja2", "3.1.6", "CVE-2025-27516: a chat template could leave the sandbox"),
    Floor("textual", "8.2.8", WORKS),
    Floor("rich", "14", WORKS),
    Floor("msgspec", "0.19", WORKS),
    Floor("platformdirs", "4", WORKS),
    Floor("psutil", "6", WORKS),
)


def check_packages() -> list[Finding]:
    """Python first, then what is missing or too old, then the rest in one line each."""
    return [_python(), *(judged(floor, _installed(floor.name)) for floor in FLOORS)]


def judged(floor: Floor, found: str | None) -> Finding:
    """One package; `found` is its version, None when it is not installed."""
    if found is None:
        return Finding(AREA, "problem", f"{floor.name} is not installed", "Run `make setup` again")
    if version(found) < version(floor.least):
        what = f"{floor.name} {found} is older than {floor.least}: {floor.below}"
        return Finding(AREA, "problem", what, "Run `make setup` again; it installs the tested versions")
    return Finding(AREA, "ok", f"{floor.name} {found} (at least {floor.least})")


def version(text: str) -> tuple[int, ...]:
    """The release to compare by: `2.13.0+cpu` is as good as `2.13`, `5.0.0rc3` comes before `5.0.0`."""
    release = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    early = re.match(r"[\d.]+(?:a|b|rc|dev)", text)
    return (*(numbers + [0] * PARTS)[:PARTS], -1 if early else 0)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, PYTHON))
    if sys.version_info[:2] >= PYTHON:
        return Finding(AREA, "ok", f"Python {found} (at least {wanted})")
    return Finding(AREA, "problem", f"Python {found} is older than {wanted}", "Install a newer Python")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
