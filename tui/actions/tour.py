"""The tour, and the card that it is on."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

ACTIONS: tuple[Action, ...] = (
    Action(
        "tour",
        "Tour",
        "Six small steps on the demo model, done by your own keys. `/tour next` skips a step, `/tour again` "
        "begins from the first.",
        "Screen",
        slash="tour",
        takes="[next]",
    ),
    Action(
        "tour_skip",
        "Next step",
        "Skips this step of the tour.",
        "Screen",
        Where.TOUR,
        ("n",),
        hint="skip",
        moments=(Moment.TOUR,),
        palette=False,
    ),
    Action(
        "tour_hide",
        "Hide the tour",
        "Hides the card; `/tour` brings it back where it was.",
        "Screen",
        Where.TOUR,
        ("escape",),
        hint="hide",
        moments=(Moment.TOUR,),
        palette=False,
    ),
)
