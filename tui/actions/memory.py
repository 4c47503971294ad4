"""The memory screen: its time axis, the run over it, and what makes room."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where


def _key(name: str, label: str, help_: str, *keys: str, hint: str = "") -> Action:
    moments = (Moment.MEMORY,) if hint else ()
    return Action(
        f"memory_{name}", label, help_, "Memory", Where.MEMORY, keys, hint=hint, moments=moments,
        palette=False,
    )  # fmt: skip


ACTIONS: tuple[Action, ...] = (
    Action(
        "show_memory",
        "Memory",
        "Shows where every byte is: pools, what holds them, and memory, speed and loss over time.",
        "Screen",
        keys=("f5",),
        slash="memory",
        takes="[RUN]",
        hint="memory",
        moments=(Moment.COMPOSER,),
    ),
    Action(
        "toggle_monitor",
        "Right pane",
        "Opens or closes the pane with speed, context and memory.",
        "Screen",
        keys=("alt+m",),
        slash="pane",
    ),
    _key("track", "What is shown", "Shows the engine since its start, or a run's record.", "r", hint="run"),
    _key(
        "against",
        "Lay a run over it",
        "Lays another run's record over this one, such as 4 bits over full precision: both peaks, and how "
        "many times less; again takes it off.",
        "v",
        hint="against a run",
    ),
    _key("sources", "Where from", "Says where each number comes from, or not.", "w", hint="where from"),
    _key("enlarge", "Page", "Gives the charts all the room, or takes it back.", "enter", hint="page"),
    _key("cross_left", "Crosshair left", "Moves the crosshair: what was measured then.", "left"),
    _key("cross_right", "Crosshair right", "Moves the crosshair to the right.", "right"),
    _key("zoom_in", "Zoom in", "Shows half of the time, around the crosshair or the newest.", "plus",
         "equals_sign", hint="zoom"),
    _key("zoom_out", "Zoom out", "Shows twice as much of the time.", "minus"),
    _key("zoom_all", "All of it", "Shows all of the time, and takes the crosshair away.", "0"),
    _key("pan_left", "Look left", "Moves the zoomed window to the left.", "comma", "shift+left"),
    _key("pan_right", "Look right", "Moves the zoomed window to the right.", "full_stop", "shift+right"),
    _key("up", "Up", "Scrolls the numbers up.", "up", "k"),
    _key("down", "Down", "Scrolls the numbers down.", "down", "j"),
    _key("page_up", "Page up", "Scrolls the numbers a page up.", "pageup"),
    _key("page_down", "Page down", "Scrolls the numbers a page down.", "pagedown"),
    _key("pause", "Pause the run", "Pauses the run under way, so that it holds less; a paused one goes on.",
         "p", hint="pause the run"),
    _key("unload", "Unload a model", "Frees the memory of a loaded model.", "u", hint="unload"),
    _key("help", "Help", "Shows every key, and what each pool means on this machine.", "question_mark"),
)  # fmt: skip
