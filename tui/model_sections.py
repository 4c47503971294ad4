"""The lines of the model browser, in its sections: here, the servers, the catalogue, the hub. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.api import commands, specs
from tui import server_rows
from tui.forecast import Choice, Rules, measured, of_model, of_size
from tui.format import plural
from tui.model_rows import USE_WORDS, Door, Heading, Item, Known, Row, entry_for, matches, sorted_rows
from tui.server_rows import ServerLine
from tui.state import EngineState

if TYPE_CHECKING:
    from engine.api import Entry, Pick, Size

BEST = 10
"""Models of the catalogue that are listed before one asks for all of them."""


def items(
    engine: EngineState, known: Known, rules: Rules, words: str, choices: dict[str, Choice]
) -> list[Item]:
    """All lines of the browser, in order."""
    wanted = words.lower().split()
    rows = list(here_rows(engine, known, rules, choices))
    shown = sorted_rows([row for row in rows if matches(row, wanted)], known)
    here = [row for row in shown if not _served(row)]
    whole = sum(not _served(row) for row in rows)
    listed: list[Item] = [Heading("here", "HERE", _counted(len(here), whole), "from"), *here]
    listed += _servers(engine, known, [row for row in shown if _served(row)], wanted)
    listed += _catalogue(engine, known, rules, wanted, choices)
    return listed + _hub(engine, known, rules, words, choices)


def here_rows(engine: EngineState, known: Known, rules: Rules, choices: dict[str, Choice]) -> Iterable[Row]:
    """Every model that the engine found."""
    for model in engine.models.values():
        entry = entry_for(model.id, model.name, known)
        choice = choices.get(f"here:{model.id}", Choice())
        yield Row(
            "here",
            model.id,
            model.name,
            model,
            entry,
            download=_download(engine, model.id),
            forecast=of_model(_shaped(model, entry), engine, rules, choice),
            quant=choice.quant or "",
            speed=measured(engine, model.id)[0] or _speed(known.health.get(model.id, ()), model, choice),
            server=_server(model, known),
            health=known.health.get(model.id, ()),
        )


def size_of(row_name: str, entry: Entry | None, parameters: int, context: int) -> Size | None:
    """What an estimate needs: of the catalogue, or the bare count; None where neither is known."""
    from engine.api import Size

    if entry is not None:
        return entry.size
    return Size(row_name, parameters, context=context) if parameters else None


def _shaped(model: specs.ModelInfo, entry: Entry | None) -> specs.ModelInfo:
    """Where its files do not tell the shape, the catalogue's stands in."""
    if model.shape is not None or entry is None or entry.shape is None:
        return model
    return replace(model, shape=entry.shape, active=entry.active, experts=entry.experts)


def _speed(health: tuple[commands.ModelHealth, ...], model: specs.ModelInfo, choice: Choice) -> float:
    """Tokens/s of the last replies in the form that a load would take, or that is loaded."""
    held = model.quant if choice.quant is None and model.state == "ready" else choice.quant or ""
    if model.runs_on != "torch":
        return health[0].tokens_per_s if health else 0.0
    return next((each.tokens_per_s for each in health if each.quant == held), 0.0)


def _served(row: Row) -> bool:
    return row.model is not None and row.model.runs_on == "server"


def _server(model: specs.ModelInfo, known: Known) -> commands.EndpointInfo | None:
    title = model.id.partition("/")[0] if model.runs_on == "server" else ""
    return next((info for info in known.endpoints or () if info.name == title), None)


def _servers(engine: EngineState, known: Known, rows: list[Row], wanted: list[str]) -> list[Item]:
    """Each server with its models below it; nothing where there is none."""
    servers = server_rows.listed(known.endpoints, engine.models.values())
    listed: list[Item] = []
    for info in servers:
        models = [row for row in rows if row.origin == info.name]
        if models or not wanted:
            listed += [ServerLine(info), *models]
    if not listed:
        return []
    return [Heading("here", "SERVERS", plural(len(servers), "server"), "server"), *listed]


def _catalogue(
    engine: EngineState, known: Known, rules: Rules, wanted: list[str], choices: dict[str, Choice]
) -> list[Item]:
    title = f"CATALOGUE · {USE_WORDS.get(known.use, known.use)}" if known.use else "CATALOGUE"
    if known.picks is None:
        return [Heading("catalogue", title, "reading …")]
    absent = [pick for pick in known.picks if pick.entry.id not in engine.models]
    rows = [_picked(pick, engine, rules, choices) for pick in absent]
    rows = [row for row in rows if matches(row, wanted)]
    shown = rows if wanted or known.every else [row for row in rows if row.verdict == "fits"][:BEST]
    words = "best first" if shown and shown[0].verdict == "fits" else "nothing fits" if not shown else ""
    listed: list[Item] = [Heading("catalogue", title, words, "good at"), *shown]
    if len(shown) < len(rows):
        fitting = sum(row.verdict == "fits" for row in rows)
        listed.append(Door("more", f"all {len(rows)}: {fitting} fit here, {len(rows) - fitting} do not", "↵"))
    return listed


def _picked(pick: Pick, engine: EngineState, rules: Rules, choices: dict[str, Choice]) -> Row:
    entry = pick.entry
    choice = choices.get(f"catalogue:{entry.id}", Choice())
    kind = pick.estimate.kind
    quant = choice.quant if choice.quant is not None else _quant(kind)
    forecast = pick.estimate if choice == Choice() else of_size(entry.size, rules, quant, choice.context)
    download = _download(engine, entry.id)
    return Row(
        "catalogue",
        entry.id,
        entry.name,
        entry=entry,
        download=download,
        forecast=forecast,
        quant=quant,
        why=pick.why,
    )


def _quant(kind: str) -> specs.Quant:
    return kind if kind in ("int8", "int4", "nf4", "bnb8") else ""  # type: ignore[return-value]


def _hub(
    engine: EngineState, known: Known, rules: Rules, words: str, choices: dict[str, Choice]
) -> list[Item]:
    """Nothing is asked of the network until somebody enters the door."""
    listed: list[Item] = [Heading("hub", "HUB", f"“{known.asked}”" if known.hits is not None else "", "by")]
    for hit in known.hits or []:
        listed.append(_hit(hit, engine, known, rules, choices))
    if known.hits == []:
        listed.append(Door("none", "nothing found: other words may do"))
    if words.strip() and words.strip() != known.asked:
        listed.append(Door("search", f"search the hub for “{words.strip()}”", "↵"))
    else:
        listed.append(Door("ask", "search the hub", "h"))
    return listed


def _hit(
    hit: commands.HubRow, engine: EngineState, known: Known, rules: Rules, choices: dict[str, Choice]
) -> Row:
    entry = entry_for(hit.id, "", known)
    choice = choices.get(f"hub:{hit.id}", Choice())
    title = hit.id.rpartition("/")[2]
    forecast = None
    size = size_of(title, entry, hit.parameters, 0)
    if size is not None and hit.kind != "gguf":
        forecast = of_size(size, rules, choice.quant or "", choice.context)
    return Row(
        "hub",
        hit.id,
        title,
        engine.model(hit.id),
        entry,
        hit,
        _download(engine, hit.id),
        forecast,
        choice.quant or "",
    )


def _download(engine: EngineState, model: str) -> commands.DownloadInfo | None:
    """The newest download of a model that is still to be told of."""
    found = [each for each in engine.downloads.values() if each.model == model and each.state != "done"]
    return max(found, key=lambda each: each.created, default=None)


def _counted(shown: int, known: int) -> str:
    return plural(known, "model") if shown == known else f"{shown} of {plural(known, 'model')}"
