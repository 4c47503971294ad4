"""What one can do with models: switch, load, unload, look for more."""

from __future__ import annotations

from msgspec.structs import replace

from engine.api import ErrorInfo, commands, specs
from tui.paths import whole_path
from tui.reduce import What
from tui.screens.base import Desk
from tui.widgets.lines import name


class ModelVerbs(Desk):
    """Verbs on models."""

    def action_pick_model(self, argument: str = "") -> None:
        if argument:
            self._use_by_name(argument)
            return
        from tui.modals.models import model_picker

        def picked(model: str | None) -> None:
            if model:
                self.use_model(model)

        self.app.push_screen(model_picker(self.state), picked)

    def use_model(self, model_id: str) -> None:
        """Answer with this model from now on in the chat shown, and load it."""
        model = self.state.engine.model(model_id)
        if model is not None and model.support == "unsupported":
            self.fail(
                ErrorInfo(
                    "model_unsupported", f"{model.name} cannot be loaded", model.why, "Choose another model"
                )
            )
            return
        if self.state.chat:
            settings = self._settings_on(model_id)
            change = commands.ChangeChat(chat=self.state.chat, model=model_id, settings=settings)
            self.ask(change, self.link.take_chat)
        else:
            self.state.blank = self._settings_on(model_id) or self.state.blank
            self.state.blank_model = model_id
            self.mark(What.ENGINE)
        self.warm(model_id)

    def _settings_on(self, model_id: str) -> specs.ChatSettings | None:
        """The chat's settings without an adapter that was made for another model; None: nothing changes."""
        settings = self.state.settings()
        adapter = self.state.engine.adapters.get(settings.adapter)
        if adapter is None or adapter.base == model_id:
            return None
        self.say(f"{name(adapter.name)} is off: it was trained on another model.")
        return replace(settings, adapter="")

    def warm(self, model_id: str, *, evict: bool = False) -> None:
        """Load a model unless it is loaded or loading."""
        model = self.state.engine.model(model_id)
        if model is None or model.state == "available":
            self.ask(
                commands.LoadModel(model=model_id, evict=evict),
                failed=lambda info: self._not_loaded(model_id, info),
            )

    def action_unload_model(self, argument: str = "") -> None:
        self.unload(self.state.model_id())

    def unload(self, model_id: str) -> None:
        """Free a model's memory, or cancel its load."""
        model = self.state.engine.model(model_id)
        if model is None or model.state == "available":
            self.say("It is not loaded.")
            return
        word = "The load is cancelled." if model.state == "loading" else f"{name(model.name)} is unloaded."
        self.ask(commands.UnloadModel(model=model_id), lambda _: self.say(word))

    def action_refresh_models(self, argument: str = "") -> None:
        self.ask(commands.ListModels(refresh=True), self._take_models)

    def action_add_folder(self, argument: str = "") -> None:
        if not argument:
            self.composer.put("/folder ")
            self.composer.focus()
            self.say("/folder takes the path of a folder with models.")
            return
        path = str(whole_path(argument))
        self.ask(commands.AddFolder(path=path), self._take_models)

    def _take_models(self, found: commands.ModelList) -> None:
        self.state.engine.models = {model.id: model for model in found.models}
        self.mark(What.MODELS)
        self.say(f"{len(found.models)} models found.")

    def _use_by_name(self, wanted: str) -> None:
        models = list(self.state.engine.models.values())
        exact = [model for model in models if wanted in (model.id, model.name)]
        close = [model for model in models if wanted.lower() in model.name.lower()]
        found: list[specs.ModelInfo] = exact or close
        if len(found) == 1:
            self.use_model(found[0].id)
        elif not found:
            self.say(f"No model is called {name(wanted)}. Ctrl+L lists them.", grave=True)
        else:
            self.action_pick_model()

    def _not_loaded(self, model_id: str, info: ErrorInfo) -> None:
        """What would push another model out is asked; everything else is told."""
        if info.code != "would_evict":
            if info.code != "cancelled":
                self.fail(info)
            return
        from tui.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                self.warm(model_id, evict=True)

        self.app.push_screen(Confirm(f"{info.title}. Unload it?", yes="unload"), answered)
