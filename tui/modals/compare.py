"""What to compare: one row for each kind of difference."""

from __future__ import annotations

from tui.compare import Plan
from tui.modals.picker import Choice, Picker
from tui.widgets.lines import line, name


class ComparePicker(Picker):
    """Dismisses with the id of a plan."""

    def __init__(self, plans: list[Plan]) -> None:
        choices = [_choice(plan) for plan in plans]
        super().__init__(
            "Compare answers to the same question",
            choices,
            placeholder="Type to filter",
            empty="Nothing can be compared here.",
        )


def _choice(plan: Plan) -> Choice:
    labels = ", ".join(name(variant.label) for variant in plan.variants)
    words = f"{len(plan.variants)} columns"
    return Choice(plan.id, line(plan.title), line((words, "$thought")), f"{plan.id} {plan.title} {labels}")
