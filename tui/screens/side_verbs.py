"""What the left pane asks for: its rows opened, and the verbs on them."""

from __future__ import annotations

from tui.screens.adapter_verbs import AdapterVerbs
from tui.screens.run_verbs import RunVerbs
from tui.screens.version_verbs import VersionVerbs
from tui.widgets.side_pane import SidePane


class SideVerbs(VersionVerbs, RunVerbs, AdapterVerbs):
    """Hands each to the verb that does it."""

    def on_side_pane_opened(self, event: SidePane.Opened) -> None:
        if event.row.kind == "chat":
            self.open_chat(event.row.id)
            self.go_to(self.composer)
        elif event.row.kind == "model":
            self.use_model(event.row.id)
        elif event.row.kind == "adapter":
            self.toggle_adapter(event.row.id)
        elif event.row.kind == "place":
            self.run_command("places", event.row.id)
        else:
            self.open_runs(event.row.id)

    def on_side_pane_asked(self, event: SidePane.Asked) -> None:
        row = event.row
        if event.verb == "back":
            self.action_leave()
        elif event.verb == "help":
            self.action_help()
        elif event.verb == "undo":
            self.action_undo_delete()
        elif event.verb == "delete" and row is not None and row.kind == "chat":
            self.delete_chat(row.id)
        elif event.verb in ("unload", "cancel") and row is not None and row.kind == "model":
            self.unload(row.id)
        elif event.verb == "beside" and row is not None and row.kind == "adapter":
            self.add_adapter(row.id)
        elif row is not None and row.kind == "adapter":
            verbs = {
                "heavier": self.action_heavier,
                "lighter": self.action_lighter,
                "prove": self.action_prove_adapter,
                "export": self.action_export_adapter,
            }
            if event.verb in verbs:
                verbs[event.verb]()
