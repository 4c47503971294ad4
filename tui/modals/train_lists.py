"""The list behind the train form: everything that could be its data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.api import runs
from tui.format import plural
from tui.modals.picker import Choice, Picker
from tui.path_search import Found
from tui.widgets.lines import line, name

MARKED = "marked:"
"""What was marked, as a run's data."""
WRITE = "write"
"""Id of the choice that stands for writing pairs by hand."""


def dataset_picker(
    datasets: tuple[runs.Dataset, ...],
    marked: int = 0,
    own: Sequence[str] = (),
    files: Sequence[Found] = (),
) -> Picker:
    """One's own marked replies, if there are any, what was written here, what comes with Qwill, files near
    here, and writing anew; dismisses with an id or a path."""
    return Picker(
        "Datasets",
        [
            *([_marked(marked)] if marked else []),
            *(_file(path, Path(path).stem, "written here") for path in own),
            *(_choice(each) for each in datasets),
            *(_file(each.text, each.text, each.about) for each in files),
            _write(),
        ],
        placeholder="Type to filter; a file of your own goes into the field as a path",
        empty="No dataset matches.",
    )


def _file(path: str, shown: str, about: str) -> Choice:
    right = line((name(about), "$thought"))
    return Choice(path, line(name(shown)), right, f"{path} {shown} {about}")


def _write() -> Choice:
    words = "Write questions and answers …"
    return Choice(WRITE, line(words), line(("a dataset of your own", "$thought")), f"{words} new own")


def _choice(dataset: runs.Dataset) -> Choice:
    right = line((f"{dataset.id}  {plural(dataset.rows, 'row')}", "$thought"))
    return Choice(
        dataset.id, line(name(dataset.title)), right, f"{dataset.title} {dataset.about} {dataset.id}"
    )


def _marked(count: int) -> Choice:
    words = f"My marked replies ({count:,})"
    right = line(("good and edited ones", "$thought"))
    return Choice(MARKED, line((words, "bold")), right, f"{words} good edited")
