"""Looking into a reply's tokens."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where


def _inside(action_id: str, label: str, help_text: str, keys: tuple[str, ...], hint: str = "") -> Action:
    """An action of the inspector."""
    moments = (Moment.INSPECTOR,) if hint else ()
    return Action(
        action_id,
        label,
        help_text,
        "Tokens",
        Where.INSPECTOR,
        keys,
        hint=hint,
        moments=moments,
        palette=False,
    )


ACTIONS: tuple[Action, ...] = (
    Action(
        "inspect",
        "Inspect tokens",
        "Shows what the model thought likely at each word of the selected or newest reply.",
        "Reading",
        Where.TRANSCRIPT,
        ("i",),
        slash="inspect",
        hint="inspect",
        moments=(Moment.TRANSCRIPT,),
    ),
    _inside("token_right", "Token after", "Goes to the next token.", ("right", "l"), "token"),
    _inside("token_left", "Token before", "Goes to the token before.", ("left", "h")),
    _inside("choice_down", "Less likely", "Chooses the alternative below.", ("down", "j"), "choose"),
    _inside("choice_up", "Likelier", "Chooses the alternative above.", ("up", "k")),
    _inside(
        "branch",
        "Branch",
        "Writes a new version of the reply that takes the chosen alternative here and goes on from it.",
        ("enter",),
        "branch",
    ),
    _inside(
        "next_uncertain",
        "Next uncertain",
        "Goes to the next token at which others were likely too.",
        ("n",),
        "uncertain",
    ),
    _inside("previous_uncertain", "Uncertain before", "Goes to the uncertain token before.", ("N",)),
    _inside(
        "least_certain",
        "Least certain",
        "Goes to the token at which the model was least certain; again, to the next of them.",
        ("m",),
        "least certain",
    ),
    _inside("token_first", "First token", "Goes to the first token.", ("home", "g")),
    _inside("token_last", "Last token", "Goes to the last token.", ("end", "G")),
    _inside("token_page_up", "Page up", "Goes up by a screenful of lines.", ("pageup",)),
    _inside("token_page_down", "Page down", "Goes down by a screenful of lines.", ("pagedown",)),
    _inside("token_help", "Help", "Shows every key and command.", ("question_mark",)),
)
