"""Lists over runs: how to pause, what to sort by, how to copy, and a run's checkpoints."""

from __future__ import annotations

from engine.api import commands, runs
from tui.format import size
from tui.modals.picker import Choice, Picker
from tui.run_diff import label
from tui.run_values import KEYS, loss, shown, value
from tui.text import clean_name
from tui.widgets.lines import line, name

PAUSES: dict[str, tuple[str, str]] = {
    "hold": ("Hold", "stands still and keeps its memory; goes on at once"),
    "yield": ("Yield", "lends the GPU's memory to the chat, keeps all in RAM"),
    "park": ("Park", "leaves a checkpoint on disk and frees all memory"),
}


class PausePicker(Picker):
    """Dismisses with a pause mode; the one that suits the run's device is first."""

    def __init__(self, run: runs.RunInfo) -> None:
        first = "yield" if run.device.startswith("cuda") else "hold"
        modes = [first, *(mode for mode in PAUSES if mode != first)]
        choices = [
            Choice(mode, line((PAUSES[mode][0], "bold"), f"  {PAUSES[mode][1]}"), line(""), mode)
            for mode in modes
        ]
        super().__init__(
            f"Pause {name(run.name)}", choices, placeholder="Type to filter", empty="No such way."
        )


class SortPicker(Picker):
    """Dismisses with a key of `run_values`, or with `-`: newest first."""

    def __init__(self, found: list[runs.RunInfo]) -> None:
        keys = [key for key in KEYS if any(value(run, key) not in (None, "", ()) for run in found)]
        keys.sort(key=lambda key: len({shown(key, value(run, key)) for run in found}) < 2)
        choices = [Choice("-", line("newest first"), line(("those under way on top", "$thought")), "newest")]
        for key in keys:
            example = clean_name(shown(key, value(found[0], key)))[:28]
            words = f"{key} {label(key)}"
            choices.append(Choice(key, line(label(key)), line((example, "$thought")), words))
        super().__init__("Sort by", choices, placeholder="Any metric or setting", empty="No run has that.")


class CopyPicker(Picker):
    """Dismisses with one of run_export.FORMS."""

    def __init__(self, words: str) -> None:
        choices = [
            Choice("markdown", line("Markdown"), line(("for notes and issues", "$thought")), "markdown md"),
            Choice("csv", line("CSV"), line(("every digit, for a spreadsheet", "$thought")), "csv"),
            Choice("latex", line("LaTeX"), line(("a tabular, for a paper", "$thought")), "latex tex"),
        ]
        super().__init__(f"Copy {words}", choices, placeholder="Type to filter", empty="No such form.")


class CheckpointPicker(Picker):
    """Dismisses with the step of a checkpoint."""

    def __init__(self, found: commands.CheckpointList) -> None:
        choices = [_checkpoint(each) for each in found.checkpoints]
        total = sum(each.bytes_on_disk for each in found.checkpoints)
        super().__init__(
            f"Checkpoints of {name(found.run.name)} · {size(total)}",
            choices,
            placeholder="Enter chats with one",
            empty="It has no checkpoint.",
        )


def _checkpoint(found: commands.Checkpoint) -> Choice:
    words = f"step {found.step:,}"
    left = line((words, "bold"), ("  best" if found.best else "", "$accent"))
    if found.why:
        left += line((f"  {name(found.why)}", "$warning"))
    told = f"eval {loss(found.eval_loss)}   " if found.eval_loss is not None else ""
    return Choice(str(found.step), left, line((f"{told}{size(found.bytes_on_disk)}", "$thought")), words)
