"""The runs screen: its table, its charts, and what one can do with a run."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where


def _key(name: str, label: str, help_: str, *keys: str, hint: str = "") -> Action:
    """An action of the runs screen; one with a hint stands among the key hints."""
    moments = (Moment.RUNS,) if hint else ()
    return Action(name, label, help_, "Training", Where.RUNS, keys, hint=hint, moments=moments, palette=False)


TABLE = (
    _key("run_up", "Run above", "Goes to the run above.", "up", "k"),
    _key("run_down", "Run below", "Goes to the run below.", "down", "j"),
    _key("run_first", "First run", "Goes to the first run.", "home"),
    _key("run_last", "Last run", "Goes to the last run.", "end"),
    _key(
        "pick_run",
        "Select",
        "Selects the run for the overlay, or lets it go; Esc lets all go.",
        "space",
        hint="select",
    ),
    _key(
        "pick_group",
        "Select its group",
        "Selects the runs that were started together with this one, or, where it has no group, all that are "
        "shown; again lets them go.",
        "g",
    ),
    _key(
        "filter_runs",
        "Filter",
        "Narrows the table: `tag:legal eval<2 method:dora lr>=1e-4 -state:failed or name~old`.",
        "slash",
        hint="filter",
    ),
    _key("sort_runs", "Sort by", "Sorts by any metric or setting; the same one again turns it round.", "o"),
    _key("turn_runs", "Turn the order", "Sorts the other way round.", "O"),
)
CHART = (
    _key("enlarge", "Page", "Gives the charts all the room, or takes it back.", "enter", hint="page"),
    _key(
        "next_metric",
        "Next metric",
        "Draws loss, eval loss, learning rate, gradient norm, tokens/s, memory, or what the objective "
        "measures.",
        "m",
        hint="metric",
    ),
    _key("previous_metric", "Metric before", "Draws the metric before.", "M"),
    _key("next_axis", "X axis", "Draws by step, epoch, tokens or time.", "x", hint="axis"),
    _key("smooth_more", "Smooth", "Smooths the lines, with the raw ones behind; again, more; then not.", "s"),
    _key("log_axis", "Log axis", "Draws on a logarithmic axis, or not.", "l"),
    _key("zoom_in", "Zoom in", "Shows half of the x axis, around the crosshair.", "plus", "equals_sign"),
    _key("zoom_out", "Zoom out", "Shows twice as much of the x axis.", "minus"),
    _key("zoom_all", "Whole axis", "Shows the whole x axis, and takes the crosshair away.", "0"),
    _key("pan_left", "Look left", "Moves the zoomed window to the left.", "comma", "shift+left"),
    _key("pan_right", "Look right", "Moves the zoomed window to the right.", "full_stop", "shift+right"),
    _key("cross_left", "Crosshair left", "Moves the crosshair: each run's value, and how far from the first.",
         "left"),
    _key("cross_right", "Crosshair right", "Moves the crosshair to the right.", "right"),
    _key(
        "show_differences",
        "What differs",
        "Lists the settings that differ between the selected runs, and says what changed.",
        "v",
        hint="what differs",
    ),
    _key("copy_runs", "Copy the table", "Copies the selected runs, or all shown, as Markdown, CSV or LaTeX.",
         "y"),
)  # fmt: skip
LIFE = (
    _key(
        "pause_run",
        "Pause, go on",
        "Pauses the run: hold keeps its memory, yield lends it to the chat, park leaves it on disk. A "
        "paused, stopped or failed one goes on.",
        "p",
        hint="pause",
    ),
    _key("stop_run", "Stop the run", "Ends the run after its present step; asks whether to keep the adapter.",
         "S", hint="stop"),
    _key("queue_up", "Earlier in the queue", "Lets a waiting run train earlier.", "K", "shift+up"),
    _key("queue_down", "Later in the queue", "Lets a waiting run train later.", "J", "shift+down"),
    _key("train_now", "Train now", "Lets a waiting run train next; the one that trains is parked for it.",
         "f"),
    _key("train_again", "Duplicate and change", "Opens the form with the run's settings.", "t", hint="again"),
    _key("rerun", "Do it again", "Queues a run of the same settings and seeds, and says what cannot be "
         "matched here.", "R"),
)  # fmt: skip
AFTER = (
    _key("chat_run", "Chat with it", "Switches the run's adapter on and goes to the chat.", "c", hint="chat"),
    _key("use_run", "Use its adapter", "Switches the run's adapter on or off in the chat.", "a"),
    _key("compare_run", "Before and after", "Compares the model alone with the run's adapter, on the chat's "
         "last question.", "b"),
    _key("show_report", "What became of it", "Shows answers before and after, repetition and what was "
         "forgotten; from there the run can be discarded.", "w", hint="result"),
    _key("prune_runs", "Tidy up", "Says what old checkpoints and deleted runs take, and deletes them "
         "for good.", "X"),
    _key("list_checkpoints", "Checkpoints", "Lists the run's checkpoints; Enter chats with one.", "C"),
    _key("rename_run", "Rename", "Gives the run another name.", "r"),
    _key("tag_run", "Tags", "Changes the tags of the run, or of all selected.", "number_sign"),
    _key("note_run", "Note", "Writes a note to the run.", "n"),
    _key("open_log", "Log", "Shows the path of the run's log and its end.", "e"),
    _key("delete_run", "Delete the run", "Moves the run and its adapter to the trash; z brings them back.",
         "d", "delete", hint="delete"),
    _key("undo_run", "Undo the deletion", "Brings the run deleted last back.", "z"),
    _key("runs_help", "Help", "Shows every key and command.", "question_mark"),
)  # fmt: skip
ACTIONS: tuple[Action, ...] = (*TABLE, *CHART, *LIFE, *AFTER)
