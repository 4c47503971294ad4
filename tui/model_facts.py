"""What the model browser tells of the model under the cursor: labelled lines of plain words. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.api import commands, runs, specs
from tui import health_words, server_rows
from tui.elsewhere import can_train
from tui.fit import DTYPES
from tui.forecast import measured
from tui.format import parameters, percent, plural, rate, seconds, size
from tui.glyphs import bar
from tui.model_rows import USE_WORDS, Row
from tui.state import EngineState

THINKING = {
    "always": "always",
    "switchable": "yes, and it can be switched off",
    "never": "no",
}
OPEN = {
    "weights": "weights",
    "data": "training data",
    "training": "training code",
    "evaluation": "evaluation code",
}


class Fact(NamedTuple):
    """One labelled line."""

    label: str
    words: str
    grave: bool = False


def progress(row: Row, engine: EngineState) -> Fact | None:
    """The load or the download under way, and how to stop it; why the last download failed."""
    model, fetch = row.model, row.download
    if model is not None and model.state == "loading":
        phase = engine.phases.get(model.id, "")
        parts = [f"{bar(model.progress, 12)} {percent(model.progress)}", phase, "Esc cancels"]
        return Fact("loading", " · ".join(part for part in parts if part))
    if fetch is None:
        return None
    share = fetch.done / fetch.total if fetch.total else 0.0
    if fetch.state in ("cancelled", "failed"):
        why = (
            _sentence(fetch.error.sentence())
            if fetch.error
            else f"{size(fetch.done)} of {size(fetch.total)} came."
        )
        return Fact("stopped", f"{why} d goes on", grave=fetch.state == "failed")
    parts = [f"{bar(share, 12)} {percent(share)}", f"{size(fetch.done)} of {size(fetch.total)}"]
    if fetch.state == "waiting" and fetch.error is not None:
        parts.append(f"waits: {fetch.error.title}")
    elif fetch.speed:
        parts.append(f"{size(round(fetch.speed))}/s")
    parts += [f"{seconds(fetch.eta_s)} left"] if fetch.eta_s else []
    return Fact("download", " · ".join([*parts, "d stops it"]))


def trouble(row: Row) -> Fact | None:
    """Why it cannot be used, or not yet be trusted."""
    model, server = row.model, row.server
    if server is not None and server.reachable is False:
        return Fact("silent", _sentence(server_rows.answer(server)), grave=True)
    if server is not None and server.warning:
        return Fact("privacy", _sentence(server.warning), grave=True)
    if model is not None and model.support != "tested" and model.why:
        return Fact(
            "not usable" if model.support == "unsupported" else "untested", _sentence(model.why), grave=True
        )
    if row.entry is not None and not row.entry.implemented:
        return Fact("not usable", "Qwill's transformers does not know its architecture yet.", grave=True)
    gated = (row.entry is not None and row.entry.gated) or (row.hit is not None and row.hit.gated)
    if model is None and gated:
        return Fact("gated", "The hub asks for a token, and that you accept its licence there.", grave=True)
    return None


def speed(row: Row, engine: EngineState) -> str:
    """Predicted and measured tokens/s."""
    parts = []
    if row.forecast is not None and row.forecast.tokens_per_s:
        kind = row.forecast.kind
        parts.append(f"at most {rate(row.forecast.tokens_per_s)} as {DTYPES.get(kind, kind)}")
    quick, count = measured(engine, row.id)
    if count and not row.health:
        parts.append(f"{rate(quick)} measured over {f'{count} replies' if count > 1 else 'one reply'}")
    return " · ".join(parts)


def facts(row: Row, engine: EngineState) -> list[Fact]:
    """What the model is, what matters most first."""
    told = [*_health(row), Fact("size", _size(row))]
    if row.why and row.entry is not None:
        told.insert(0, Fact("why", _sentence(row.why.removesuffix(f"; {row.entry.strengths}"))))
    model, entry, hit = row.model, row.entry, row.hit
    if row.context:
        told.append(Fact("context", plural(row.context, "token")))
    if model is not None and row.verdict != "never":
        told.append(Fact("thinks", THINKING[model.thinking]))
        if not model.chat:
            told.append(Fact("chats", "no: it carries your text on (completion mode)"))
        elif model.vision:
            told.append(Fact("sees", "images"))
    elif entry is not None:
        told.append(Fact("thinks", THINKING[entry.thinking]))
    if entry is not None:
        told += _of_catalogue(row)
    elif hit is not None and hit.licence:
        told.append(Fact("licence", hit.licence))
    if hit is not None:
        told.append(Fact("hub", f"{plural(hit.downloads, 'download')} a month · {plural(hit.likes, 'like')}"))
    if model is not None and row.section == "here":
        told += _of_here(model, engine)
    return told


def _health(row: Row) -> list[Fact]:
    """Averages of the last ten replies by form, and what is slow or high about them."""
    told = []
    for each in row.health:
        told.append(Fact(health_words.form(each), health_words.averages(each)))
        told += [Fact(label, words, grave=True) for label, words in map(health_words.finding, each.findings)]
        told += [Fact("tip", health_words.tip(each))] if health_words.tip(each) else []
    return told


def of_server(info: commands.EndpointInfo) -> list[Fact]:
    """What is known of a server."""
    told = [Fact("answers", server_rows.answer(info), grave=info.reachable is False)]
    told.append(Fact("privacy", server_rows.privacy(info), bool(info.warning)))
    told += [Fact("program", server_rows.kind(info))] if server_rows.kind(info) else []
    told.append(Fact("key", server_rows.KEYS[info.key]))
    if info.models:
        told.append(Fact("models", ", ".join(info.models)))
    return told


def _size(row: Row) -> str:
    parts = [f"{parameters(row.parameters)} parameters" if row.parameters else ""]
    active = (row.entry.active if row.entry else 0) or (row.model.active if row.model else 0)
    parts.append(f"{parameters(active)} of them active" if active and active != row.parameters else "")
    served = row.model is not None and row.model.runs_on == "server"
    disk = "on the server" if served else "on this disk" if row.model is not None else "to download"
    parts.append(f"{size(row.size)} {disk}" if row.size else "")
    return " · ".join(part for part in parts if part) or "not known"


def _of_catalogue(row: Row) -> list[Fact]:
    entry = row.entry
    if entry is None:
        return []
    told = [
        Fact("good at", ", ".join(USE_WORDS.get(use, use) for use in entry.use)),
        Fact("known for", entry.strengths),
        Fact("licence", entry.licence),
        Fact("open", ", ".join(OPEN[part] for part in entry.open)),
    ]
    if entry.languages:
        count = f"{entry.languages}, by its makers' count" if entry.languages.isdigit() else entry.languages
        told.append(Fact("languages", count))
    return [*told, Fact("by", f"{entry.maker}, {entry.released}")]


def _of_here(model: specs.ModelInfo, engine: EngineState) -> list[Fact]:
    told = []
    if model.support != "unsupported":
        defaults = _defaults(model.defaults)
        told += [Fact("defaults", defaults)] if defaults else []
        fitting = engine.fitting(model.id)
        told += [Fact("adapters", _adapters(fitting))] if can_train(model) else []
    if model.path:
        told.append(Fact("address" if model.runs_on == "server" else "folder", _folder(model.path)))
    return told


def _defaults(sampling: specs.Sampling) -> str:
    """The model's own generation_config; Qwill's defaults fill what it leaves open."""
    if sampling.temperature == 0:
        return "greedy, as its generation_config says"
    told = msgspec.structs.asdict(sampling).items()
    return " · ".join(f"{field} {value:g}" for field, value in told if value is not None)


def _adapters(fitting: list[runs.AdapterInfo]) -> str:
    if not fitting:
        return "none yet; F4 trains one"
    return " · ".join(_adapter(adapter) for adapter in fitting)


def _adapter(adapter: runs.AdapterInfo) -> str:
    parts = [f"rank {adapter.rank}"] if adapter.rank else []
    if adapter.loss is not None:
        parts.append(f"loss {adapter.loss:.2f}")
    return f"{adapter.name} ({', '.join(parts)})" if parts else adapter.name


def _folder(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(home + "/") else path


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
