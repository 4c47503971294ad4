"""Finds the data files that ship with Qwill, in a checkout and in an installed wheel, and the user's own."""

from __future__ import annotations

from pathlib import Path

from engine.api import EngineError, config_dir
from tui.places import of_here

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


def whole_path(typed: str) -> Path:
    """A path as a person typed it, from the root on; `~` of somebody who is not known here stays a name."""
    typed = of_here(typed)
    try:
        return Path(typed).expanduser().absolute()
    except RuntimeError:
        return Path(typed).absolute()


def folders(shipped: str, own: str) -> list[Path]:
    """The shipped folder, then the user's own `own` in the config folder, which may not be there yet."""
    found = [data_folder(shipped)]
    try:
        found.append(config_dir() / own)
    except EngineError:
        pass  # what cannot be written may not be read either; the shipped files are enough to go on
    return found


def names(shipped: str, own: str, ending: str) -> list[str]:
    """File names without their ending in both folders, sorted."""
    return sorted({path.stem for folder in folders(shipped, own) for path in folder.glob(f"*{ending}")})
