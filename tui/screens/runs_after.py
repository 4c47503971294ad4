"""What one does with a run's result and with what it is called."""

from __future__ import annotations

from engine.api import ErrorInfo, commands, runs
from tui.modals.one_line import OneLine
from tui.screens.runs_base import RunsBase
from tui.widgets.lines import name


class RunsAfter(RunsBase):
    """Verbs on adapters and checkpoints, names, tags, notes, the log and the trash."""

    _trash: list[runs.RunInfo]

    # --- its adapter ------------------------------------------------------------------------

    def _with_adapter(self) -> runs.RunInfo | None:
        run = self.here()
        if run is not None and not run.adapter:
            self.say(f"{name(run.name)} has no adapter{'' if run.ended else ' yet'}.")
            return None
        return run

    def action_use_run(self) -> None:
        run = self._with_adapter()
        if run is not None:
            self.desk.toggle_adapter(run.adapter)

    def action_chat_run(self) -> None:
        run = self.table.run
        if run is not None and not run.adapter and not run.whole:
            self.action_list_checkpoints()  # what it has learnt so far
        elif run is not None and run.whole:
            self.say(f"{name(run.name)} is a whole model: Ctrl+L chats with it.")
        elif self.here() is not None and run is not None:
            self.chat_with(run.adapter)

    def chat_with(self, adapter: str) -> None:
        """Switch an adapter on where it is not, and leave for the chat."""
        if adapter not in [each.id for each in self.state.settings().adapters]:
            known = self.state.engine.adapters.get(adapter)
            if known is None or not known.fits(self.state.model_id()):
                self.desk.toggle_adapter(adapter)  # which says why not
                return
            self.desk.use_adapter(adapter)
        self.dismiss()

    def action_compare_run(self) -> None:
        run = self._with_adapter()
        if run is None:
            return
        adapter = self.state.engine.adapters.get(run.adapter)
        if adapter is None or not adapter.fits(self.state.model_id()):
            self.desk.toggle_adapter(run.adapter)
            return
        if run.adapter not in [each.id for each in self.state.settings().adapters]:
            self.desk.use_adapter(run.adapter)
        self.dismiss()
        self.desk.run_command("compare", "adapter")

    def action_list_checkpoints(self) -> None:
        run = self.here()
        if run is None:
            return

        def read(found: commands.CheckpointList) -> None:
            if not found.checkpoints:
                self.say(f"{name(run.name)} has no checkpoint{'' if run.ended else ' yet'}.")
                return
            from tui.modals.run_lists import CheckpointPicker

            self.app.push_screen(CheckpointPicker(found), lambda step: self._chat_at(found, step))

        self.ask(commands.ListCheckpoints(run=run.id), read)

    def _chat_at(self, found: commands.CheckpointList, step: str | None) -> None:
        """Chat with the adapter of one checkpoint."""
        chosen = next((each for each in found.checkpoints if str(each.step) == step), None)
        if chosen is None:
            return
        if chosen.why or not chosen.adapter:
            self.say(chosen.why or "This checkpoint has no adapter of its own.", grave=True)
        elif found.run.spec.model != self.state.model_id():
            self.say(f"{name(found.run.name)} belongs to another model. Ctrl+L switches.", grave=True)
        else:
            self.desk.use_adapter(chosen.adapter)
            self.dismiss()

    # --- what it is called ------------------------------------------------------------------

    def action_rename_run(self) -> None:
        run = self.here()
        if run is None:
            return

        def typed(words: str | None) -> None:
            if words and words != run.name:
                self.ask(commands.ChangeRun(run=run.id, name=words), lambda _: self.say("Renamed."))

        words = "Its adapter is called so too; the ids stay."
        self.app.push_screen(OneLine("Rename the run", run.name, words=words, limit=60), typed)

    def action_tag_run(self) -> None:
        meant = self.meant()
        if not meant:
            return
        shared = [tag for tag in meant[0].tags if all(tag in run.tags for run in meant)]

        def typed(words: str | None) -> None:
            if words is None:
                return
            wanted = list(dict.fromkeys(words.replace(",", " ").replace("#", " ").split()))
            for run in meant:
                own = [tag for tag in run.tags if tag not in shared and tag not in wanted]
                tags = (*own, *wanted)
                if tags != run.tags:
                    self.ask(commands.ChangeRun(run=run.id, tags=tags))

        title = f"Tags of {len(meant)} runs" if len(meant) > 1 else f"Tags of {name(meant[0].name)}"
        words = "Words with spaces between them. The filter finds them: tag:legal"
        self.app.push_screen(OneLine(title, " ".join(shared), placeholder="legal keep", words=words), typed)

    def action_note_run(self) -> None:
        run = self.here()
        if run is None:
            return

        def typed(words: str | None) -> None:
            if words is not None and words != run.note:
                self.ask(commands.ChangeRun(run=run.id, note=words))

        dialog = OneLine(
            f"Note to {name(run.name)}", run.note, placeholder="What was tried, and why", limit=4000
        )
        self.app.push_screen(dialog, typed)

    # --- what became of it ------------------------------------------------------------------

    def action_show_report(self) -> None:
        run = self.here()
        if run is None:
            return
        from tui.modals.run_report import RunReportDialog

        def chosen(what: str | None) -> None:
            if what == "chat":
                self.table.go(run.id)
                self.action_chat_run()
            elif what == "discard":
                self.table.go(run.id)
                self.action_delete_run()

        def read(page: commands.RunPage) -> None:
            if page.report is None:
                words = "it failed or was stopped before" if run.ended else "it comes at the end"
                self.say(f"{name(run.name)} has no report: {words}.")
            else:
                self.app.push_screen(RunReportDialog(run.name, page.report), chosen)

        self.ask(commands.ReadRun(run=run.id, since=0, limit=1), read)

    def action_prune_runs(self) -> None:
        from tui.format import plural, size

        def pruned(done: commands.Pruned) -> None:
            self.say(f"{size(done.bytes_on_disk)} are free again.")

        def looked(found: commands.Pruned) -> None:
            if not found.items:
                self.say("There is nothing to tidy up.")
                return
            from tui.modals.confirm import Confirm

            kinds = [each.kind for each in found.items]
            parts = [
                plural(kinds.count("checkpoint"), "old checkpoint"),
                plural(kinds.count("trash"), "deleted run"),
            ]
            question = (
                f"Delete {' and '.join(part for part in parts if part[0] != '0') or 'leftovers'} for good?"
            )
            detail = f"It frees {size(found.bytes_on_disk)}. Adapters and best checkpoints stay."

            def answered(yes: bool | None) -> None:
                if yes:
                    self._trash.clear()
                    self.ask(commands.PruneRuns(dry_run=False), pruned)

            self.app.push_screen(Confirm(question, detail, "delete"), answered)

        self.ask(commands.PruneRuns(dry_run=True), looked)

    # --- the log and the trash --------------------------------------------------------------

    def action_open_log(self) -> None:
        run = self.table.run
        if run is None:
            return
        from tui.modals.run_log import RunLog

        def read(page: commands.RunPage) -> None:
            self.app.push_screen(RunLog(page))

        self.ask(commands.ReadRun(run=run.id, since=max(0, run.step - 200)), read)

    def action_delete_run(self) -> None:
        run = self.table.run
        if run is None:
            return
        if run.state not in runs.ENDED_STATES:
            self.say(f"{name(run.name)} is under way; S stops it first.", grave=True)
            return

        def deleted(_: object) -> None:
            self._trash.append(run)
            self.say(f"Deleted {name(run.name)} and its adapter. z brings them back.", for_seconds=10)

        if run.adapter and run.adapter in [each.id for each in self.state.settings().adapters]:
            self.desk.drop_adapter(run.adapter)
        self.ask(commands.DeleteRun(run=run.id), deleted)

    def action_undo_run(self) -> None:
        if not self._trash:
            self.say("No run was deleted here.")
            return
        run = self._trash.pop()

        def restored(_: object) -> None:
            self.table.go(run.id)
            self.say(f"{name(run.name)} is back.")

        def refused(info: ErrorInfo) -> None:
            self._trash.append(run)
            self.failed(info)

        self.ask(commands.DeleteRun(run=run.id, restore=True), restored, refused)
