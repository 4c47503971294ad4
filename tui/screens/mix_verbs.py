"""Which adapters answer: one, several with their weights added up, or none."""

from __future__ import annotations

from engine.api import ErrorInfo, runs, specs
from tui.dirty import What
from tui.elsewhere import can_train, no_adapters
from tui.screens.base import Desk
from tui.weights import split_mix
from tui.widgets.lines import name

MOST = 4
"""Adapters at once, which is all that the engine takes."""


class MixVerbs(Desk):
    """Verbs that switch adapters of the chat shown."""

    _last: tuple[specs.WeightedAdapter, ...] = ()
    """Those that were switched off last."""

    def action_toggle_adapter(self, argument: str = "") -> None:
        if argument:
            self._use_by_word(argument)
            return
        if self.state.settings().adapter:
            self.use_adapter("")
            return
        model, shown = self.state.model_id(), self.state.model()
        known = self.state.engine.adapters
        if self._last and all(each.id in known and known[each.id].fits(model) for each in self._last):
            self.use_adapters(*self._last)
            return
        fitting = self.state.engine.fitting(model)
        if fitting:
            self.use_adapter(fitting[0].id)
        elif shown is not None and not can_train(shown):
            self.say(no_adapters(shown), for_seconds=10)
        else:
            title = name(shown.name) if shown else "this model"
            self.say(f"No adapter fits {title} yet. F4 trains one.")

    def toggle_adapter(self, adapter_id: str) -> None:
        """Answer with this adapter alone; take it off where it is active, and leave those beside it."""
        adapter = self.state.engine.adapters.get(adapter_id)
        if adapter is None:
            self.say("This adapter is not there any more.", grave=True)
        elif adapter_id in self._active() and adapter.fits(self.state.model_id()):
            self.drop_adapter(adapter_id)
        elif not adapter.fits(self.state.model_id()):
            self.fail(self._misfit(adapter))
        else:
            self.use_adapter(adapter_id)

    def add_adapter(self, adapter_id: str) -> None:
        """Answer with this adapter beside those that are active; take it off where it is one of them."""
        adapter = self.state.engine.adapters.get(adapter_id)
        if adapter is None or adapter_id in self._active() or not adapter.fits(self.state.model_id()):
            self.toggle_adapter(adapter_id)
            return
        self._try(*self.state.settings().adapters, specs.WeightedAdapter(adapter_id))

    def drop_adapter(self, adapter_id: str) -> None:
        """Answer without this adapter."""
        left = [each for each in self.state.settings().adapters if each.id != adapter_id]
        if left:
            self.use_adapters(*left)
        else:
            self.use_adapter("")

    def use_adapter(self, adapter_id: str, weight: float = 1.0) -> None:
        """Answer with this adapter from the next message on; empty is the base alone."""
        self.use_adapters(*([specs.WeightedAdapter(adapter_id, weight)] if adapter_id else []))

    def use_adapters(self, *adapters: specs.WeightedAdapter) -> None:
        """Answer with just these from the next message on; none is the base alone."""
        settings = self.state.settings()
        off = self.state.engine.adapter_label(settings.adapter, settings) if settings.adapter else ""
        if not adapters:
            self._last = settings.adapters
        changed = settings.with_adapters(*adapters)
        self.change_settings(changed)
        self.mark(What.ADAPTERS, What.ENGINE)
        if adapters:
            label = self.state.engine.adapter_label(changed.adapter, changed)
            together = "answer together" if len(adapters) > 1 else "answers"
            words = f"{name(label)} {together} from the next message on."
            for each in adapters:
                known = self.state.engine.adapters.get(each.id)
                if known is not None and known.unverified:
                    words += f" {known.unverified}."
                    break
        elif off:
            words = f"{name(off)} {'are' if len(settings.adapters) > 1 else 'is'} off."
        else:
            words = "No adapter is active."
        self.say(f"{words} F8 switches back.", for_seconds=5)

    def _active(self) -> list[str]:
        return [each.id for each in self.state.settings().adapters]

    def _try(self, *adapters: specs.WeightedAdapter) -> None:
        """Use them, unless they cannot answer together."""
        known = self.state.engine.adapters
        dora = [each for each in adapters if each.id in known and known[each.id].method == "dora"]
        if len(adapters) > MOST:
            self.say(f"At most {MOST} adapters answer together. Enter on one of them takes it off.")
        elif dora and len(adapters) > 1:
            title = name(known[dora[0].id].name)
            self.say(f"{title} is a DoRA adapter, which answers alone: its change cannot be added to others.")
        else:
            self.use_adapters(*adapters)

    def _use_by_word(self, wanted: str) -> None:
        if wanted.lower() in ("off", "none", "-"):
            self.use_adapter("")
            return
        active = self.state.settings().adapters
        parts: dict[str, specs.WeightedAdapter] = {}
        for place, (word, weight) in enumerate(split_mix(wanted)):
            if word:
                found = self._found(word)
                if found is None:
                    return
                parts[found.id] = specs.WeightedAdapter(found.id, weight)
            elif place == 0 and wanted.startswith("+"):
                parts |= {each.id: each for each in active}
            elif active:
                parts[active[0].id] = specs.WeightedAdapter(active[0].id, weight)
            else:
                self.say("No adapter is active. F8 switches one on.")
                return
        self._try(*parts.values())

    def _found(self, wanted: str) -> runs.AdapterInfo | None:
        """The adapter that a word means; where none fits, that is said."""
        known = list(self.state.engine.adapters.values())
        known.sort(key=lambda each: (not each.fits(self.state.model_id()), -each.created))
        exact = [each for each in known if wanted in (each.id, each.name)]
        close = [each for each in known if wanted.lower() in each.name.lower()]
        found = exact or close
        if not found:
            self.say(f"No adapter is called {name(wanted)}. F3 lists the runs.", grave=True)
        elif not found[0].fits(self.state.model_id()):
            self.fail(self._misfit(found[0]))
        else:
            return found[0]
        return None

    def _misfit(self, adapter: runs.AdapterInfo) -> ErrorInfo:
        """Why an adapter cannot answer in this chat."""
        if adapter.why:
            return ErrorInfo("adapter_unusable", f"{adapter.name} cannot be used", adapter.why)
        base, model = self.state.engine.model(adapter.base), self.state.model()
        if model is not None and not can_train(model):
            return ErrorInfo("adapter_other_base", no_adapters(model).rstrip("."))
        title = base.name if base else adapter.base_name or "another model"
        return ErrorInfo(
            "adapter_other_base",
            f"{adapter.name} was trained on {title}, not on {model.name if model else self.state.model_id()}",
            "An adapter means nothing on other weights",
            f"Ctrl+L switches the chat to {title}",
        )
