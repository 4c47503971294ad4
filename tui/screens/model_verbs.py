"""What one can do with models: switch, load, unload, look for more."""

from __future__ import annotations

import asyncio
from functools import partial

from engine.api import ErrorInfo, commands, specs
from tui.paths import whole_path
from tui.places import label, parse
from tui.reduce import Dirty, What
from tui.screens.base import Desk
from tui.widgets.lines import name

ADVISE_TRIES, ADVISE_AGAIN = 20, 0.25
"""How often, and every how many seconds, the first reading of the memory is waited for."""


class ModelVerbs(Desk):
    """Verbs on models."""

    _awaited: dict[str, specs.Quant | None]
    """Models to chat with once they have been downloaded, by hub id."""
    _ends_told: dict[str, str]
    """Ends of downloads that were told."""

    def action_pick_model(self, argument: str = "") -> None:
        if argument:
            self._use_by_name(argument)
            return
        from tui.modals.models import model_picker

        def picked(model: str | None) -> None:
            if model:
                self.use_model(model)

        self.app.push_screen(model_picker(self.state), picked)

    def use_model(self, model_id: str, quant: specs.Quant | None = None) -> None:
        """Answer with this model from now on in the chat shown, and load it, packed as `quant`."""
        model = self.state.engine.model(model_id)
        if model is not None and model.support == "unsupported":
            self.fail(
                ErrorInfo(
                    "model_unsupported", f"{model.name} cannot be loaded", model.why, "Choose another model"
                )
            )
            return
        self.change_settings(self._settings_on(model_id), model=model_id)
        self.warm(model_id, quant=quant)

    def _settings_on(self, model_id: str) -> specs.ChatSettings:
        """The chat's settings without an adapter that was made for another model."""
        settings = self.state.settings()
        known = self.state.engine.adapters
        off = [
            each.id for each in settings.adapters if each.id in known and not known[each.id].fits(model_id)
        ]
        for each in off:
            self.say(f"{name(known[each].name)} is off: it was trained on another model.")
        if not off:
            return settings
        return settings.with_adapters(*(each for each in settings.adapters if each.id not in off))

    def warm(self, model_id: str, *, evict: bool = False, quant: specs.Quant | None = None) -> None:
        """Load a model unless it is loaded or loading."""
        model = self.state.engine.model(model_id)
        if model is None or model.state == "available":
            self.load_model(model_id, quant, evict=evict)

    def load_model(self, model_id: str, quant: specs.Quant | None = None, *, evict: bool = False) -> None:
        """Load a model in this form; one that is loaded in another is loaded anew."""
        self.ask(
            commands.LoadModel(model=model_id, evict=evict, quant=quant),
            failed=lambda info: self._not_loaded(model_id, info, quant),
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
        host = self.state.engine.host
        place = parse(argument.strip(), host)
        if host and place.side == "here":
            self.say(f"The engine of {label(host)} cannot reach a folder of this machine.", grave=True)
            return
        path = place.path if host else str(whole_path(place.path))
        self.ask(commands.AddFolder(path=path), self._take_models)

    def _take_models(self, found: commands.ModelList) -> None:
        self.state.engine.models = {model.id: model for model in found.models}
        self.mark(What.MODELS)
        self.say(f"{len(found.models)} models found.")

    def reread_models(self) -> None:
        """Look at the disk again, quietly."""
        self.ask(commands.ListModels(refresh=True), self._put_models)

    def _put_models(self, found: commands.ModelList) -> None:
        self.state.engine.models = {model.id: model for model in found.models}
        self.mark(What.MODELS)

    def reread_known_models(self) -> None:
        """What the engine knows by now, quietly; neither the disk nor a server is asked."""
        self.ask(commands.ListModels(), self._put_models, failed=lambda info: None)

    def action_endpoint(self, argument: str = "") -> None:
        from tui.modals.endpoint import EndpointDialog

        def closed(kept: bool | None) -> None:
            if kept:
                self.reread_known_models()
                self.say("F2 lists what it has.")

        self.app.push_screen(EndpointDialog(self.link.request, address=argument), closed)

    def action_health(self, argument: str = "") -> None:
        from tui.modals.health import HealthDialog

        def told(report: commands.HealthReport) -> None:
            self.app.push_screen(HealthDialog(report))

        self.ask(commands.ReadHealth(argument), told)

    # --- downloads --------------------------------------------------------------------------

    def use_when_here(self, model_id: str, quant: specs.Quant | None) -> None:
        """Chat with this model as soon as its download is done."""
        self._awaited[model_id] = quant

    def follow_downloads(self, dirty: set[Dirty]) -> None:
        """Tell which downloads came to an end, and use what was waited for."""
        for part in dirty:
            fetch = self.state.engine.downloads.get(part.id) if part.what is What.DOWNLOADS else None
            if fetch is None or fetch.live or self._ends_told.get(fetch.id) == fetch.state:
                continue
            self._ends_told[fetch.id] = fetch.state
            if fetch.state == "done":
                self.ask(commands.ListModels(refresh=True), partial(self._came, fetch.model))
            elif fetch.state == "failed" and fetch.error is not None:
                self._awaited.pop(fetch.model, None)
                self.say(f"{name(fetch.model)}: {fetch.error.sentence()}", grave=True, for_seconds=10)
            else:
                self._awaited.pop(fetch.model, None)

    def _came(self, model_id: str, found: commands.ModelList) -> None:
        """A download is done: its model answers from now on, if somebody waits for it."""
        self._put_models(found)
        self.app.bell()
        title = name(model_id.rpartition("/")[2])
        if model_id in self._awaited:
            quant = self._awaited.pop(model_id)
            self.say(f"{title} is here; it answers as soon as it is loaded.", for_seconds=8)
            self.use_model(model_id, quant)
        else:
            self.say(f"{title} is here. F2 shows it.", for_seconds=8)

    # --- the first start --------------------------------------------------------------------

    async def advise(self) -> None:
        """Where nothing but the demo can answer: say which model would suit this machine. Once."""
        from tui.recommend import advice

        if self.state.advice or self.state.model_id() != "demo":
            return
        for _ in range(ADVISE_TRIES):
            if self.state.engine.monitor is not None:
                break
            await asyncio.sleep(ADVISE_AGAIN)
        self.state.recommended, self.state.advice = await asyncio.to_thread(advice, self.state.engine)
        if self.state.advice:
            self.mark(What.ENGINE)

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

    def _not_loaded(self, model_id: str, info: ErrorInfo, quant: specs.Quant | None = None) -> None:
        """What would push another model out is asked; everything else is told."""
        if info.code != "would_evict":
            if info.code != "cancelled":
                self.fail(info)
            return
        from tui.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                self.load_model(model_id, quant, evict=True)

        self.app.push_screen(Confirm(f"{info.title}. Unload it?", yes="unload"), answered)
