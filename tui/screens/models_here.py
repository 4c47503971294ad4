"""What the model browser does with models that are on this machine, and with the form they are loaded in."""

from __future__ import annotations

from dataclasses import replace

from engine.api import commands, specs
from tui.forecast import Choice, quants, stepped
from tui.format import plural, size
from tui.model_rows import Row
from tui.screens.models_base import Browser


class BrowserHere(Browser):
    """Load, unload, choose a form, delete, add a folder, look again."""

    def use_here(self, row: Row) -> None:
        """Chat with it: at once where it is loaded, else as soon as it is."""
        model = row.model
        if model is None:
            return
        chosen = self.choices.get(row.key, Choice()).quant
        again = model.state == "ready" and chosen is not None and chosen != model.quant
        self.desk.use_model(model.id, chosen)
        if again:
            self.load_here(row)
        elif model.state == "ready" or row.verdict == "server":
            self.dismiss(None)
        elif model.support != "unsupported":
            self.say(
                f"{self.title_of(row)} answers in the chat as soon as it is loaded. Esc cancels the load."
            )

    def load_here(self, row: Row) -> None:
        """Load it in the chosen form, and stay."""
        if row.model is not None and row.model.state != "loading":
            self.desk.load_model(row.id, self.choices.get(row.key, Choice()).quant)

    def action_model_load(self) -> None:
        row = self.table.row
        if row is None or row.model is None:
            self.say("Only what is on this machine can be loaded. d downloads it." if row else "")
        elif row.verdict == "never":
            self.desk.use_model(row.id)  # which says why not
        else:
            self.load_here(row)

    def action_model_unload(self) -> None:
        row = self.table.row
        if row is not None and row.model is not None:
            self.desk.unload(row.model.id)

    def action_model_quant(self) -> None:
        row = self.table.row
        if row is None or row.forecast is None:
            return
        forms = quants(row.model, self.rules)
        if len(forms) < 2:
            self.say(f"{self.title_of(row)} is held as its file has it.")
            return
        now = self.choices.get(row.key, Choice()).quant
        if now is None:
            now = row.quant if row.quant in forms else ""
        after = forms[(forms.index(now) + 1) % len(forms)] if now in forms else forms[0]
        self._choose(row, quant=after)

    def action_model_more_context(self) -> None:
        self._step_context(1)

    def action_model_less_context(self) -> None:
        self._step_context(-1)

    def _step_context(self, by: int) -> None:
        row = self.table.row
        if row is None or row.forecast is None:
            return
        if not row.forecast.whole:
            self.say(f"The shape of {self.title_of(row)} is not known, so its cache cannot be told.")
        else:
            self._choose(row, context=stepped(row.forecast.context, by, row.context))

    def _choose(self, row: Row, **changes: object) -> None:
        choice = self.choices.get(row.key, Choice(quant=row.quant or None))
        self.choices[row.key] = replace(choice, **changes)  # type: ignore[arg-type]
        self.draw()

    def action_model_keep_free(self) -> None:
        engine, facts = self.state.engine, self.rules.facts
        if facts is None or engine.info is None:
            self.say("The memory was not read yet.")
            return
        from engine.api import kept_free
        from tui.modals.keep_free import KeepFreeDialog, Kept

        def chosen(kept: Kept | None) -> None:
            if kept is not None:
                self.desk.ask(commands.KeepFree(kept.gib), self._keeps_free, failed=self.failed)

        reserve = engine.info.fit.reserve
        now = None if reserve is None else round(reserve / 2**30, 2)
        self.app.push_screen(KeepFreeDialog(facts.total, facts.pool, now, kept_free(facts)), chosen)

    def _keeps_free(self, rules: specs.FitRules) -> None:
        words = "what suits this machine is" if rules.reserve is None else f"{size(rules.reserve)} are"
        self.say(f"From now on {words} kept free.")
        self.rank_anew()

    # --- deleting ---------------------------------------------------------------------------

    def delete_here(self) -> None:
        """Delete the model under the cursor from this machine, after a question."""
        row = self.table.row
        if row is not None and row.model is not None and row.model.runs_on == "server":
            self.say(f"It is on {row.origin}. x on the line of {row.origin} takes that off the list.")
        elif row is None or row.model is None or row.model.source != "hub":
            self.say("Only models of the Hugging Face cache can be deleted here.")
        elif row.model.state == "ready":
            self.say(f"{self.title_of(row)} is loaded; u unloads it first.", grave=True)
        else:
            self.attempt(self._ask_delete(row))

    async def _ask_delete(self, row: Row) -> None:
        freed: commands.Freed = await self.desk.link.request(commands.DeleteCached(model=row.id, dry=True))
        from tui.modals.confirm import Confirm

        whole = sum(revision.size for revision in freed.revisions)
        detail = f"{size(freed.size)} of the disk are free afterwards. It can be downloaded again."
        if whole > freed.size:
            detail += f" {size(whole - freed.size)} more are shared with what stays."
        if len(freed.revisions) > 1:
            detail += f" It is there in {plural(len(freed.revisions), 'revision')}; all of them go."

        def answered(yes: bool | None) -> None:
            if yes:
                self.attempt(self._delete(row))

        question = f"Delete {self.title_of(row)} from this machine?"
        self.app.push_screen(Confirm(question, detail, yes="delete"), answered)

    async def _delete(self, row: Row) -> None:
        freed: commands.Freed = await self.desk.link.request(commands.DeleteCached(model=row.id))
        self.desk.reread_models()
        self.say(f"{self.title_of(row)} is deleted: {size(freed.size)} freed.")

    # --- finding ----------------------------------------------------------------------------

    def action_model_folder(self) -> None:
        from tui.modals.folder import FolderDialog

        def given(path: str | None) -> None:
            if path:
                self.desk.action_add_folder(path)

        if not self.state.engine.host:
            self.app.push_screen(FolderDialog(), given)
            return
        from tui.modals.folder import FolderSuggester, FolderThere
        from tui.modals.place_path import PlaceSuggester

        host, ask = self.state.engine.host, self.desk.link.request
        paths = PlaceSuggester(FolderSuggester(), host, ask, folders=True, side="there")
        self.app.push_screen(FolderThere(host, paths), given)

    def look_again(self) -> None:
        """Read the disk and ask the servers."""
        self.say("Looking …", for_seconds=30)
        self.desk.action_refresh_models()
