"""Finds the data files that ship with Qwill, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The shipped folder `themes` or `sample_prompts`.

    A wheel carries it inside the package (`tui/_data/NAME`); that is looked at first, because what lies
    beside an installed package belongs to others. A checkout has it beside the package. Raises
    FileNotFoundError.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"Qwill's folder `{name}` is missing here. Install Qwill again.")
