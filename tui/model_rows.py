"""What the model browser lists, in its three sections: here, the catalogue, the hub. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from engine.api import commands, specs
from tui import server_rows
from tui.forecast import Choice, Rules, measured, of_model, of_size
from tui.format import plural
from tui.server_rows import ServerLine
from tui.state import EngineState

if TYPE_CHECKING:
    from engine.api import Entry, Estimate, Pick, Size

Section = Literal["here", "catalogue", "hub"]
USES = ("", "chat", "maths", "code", "vision", "small")
"""What the catalogue is narrowed to; empty is everything."""
USE_WORDS = {"": "all", "small": "small devices"}
BEST = 10
"""Models of the catalogue that are listed before one asks for all of them."""
FROM = {"demo": "built in", "hub": "hub", "folder": "folder", "ollama": "Ollama", "lmstudio": "LM Studio"}
SORTS = ("name", "size", "speed")
"""What `s` goes round; numbers begin with the largest."""


@dataclass(frozen=True)
class Row:
    """One model: where it is known from, and what is reckoned for it."""

    section: Section
    id: str
    name: str
    model: specs.ModelInfo | None = None
    entry: Entry | None = None
    hit: commands.HubRow | None = None
    download: commands.DownloadInfo | None = None
    forecast: Estimate | None = None
    quant: specs.Quant = ""
    """The form that a load would pack it into."""
    why: str = ""
    """The catalogue's sentence on why it ranks where it does."""
    speed: float = 0.0
    """Measured tokens/s; 0: no reply of it is known."""
    server: commands.EndpointInfo | None = None
    """The server that it answers from, once the engine has told of it."""
    health: tuple[commands.ModelHealth, ...] = ()
    """Averages of its last replies, by the form that its weights were held in."""

    @property
    def key(self) -> str:
        """Names the row over all sections."""
        return f"{self.section}:{self.id}"

    @property
    def verdict(self) -> str:
        """`held`, `server`, `down` where its server does not answer, `never`, or the forecast's."""
        if self.model is not None:
            if self.model.state == "ready" and self.model.runs_on != "server":
                return "held"
            if self.model.support == "unsupported":
                return "never"
            if self.model.runs_on == "server":
                down = self.server is not None and self.server.reachable is False
                return "down" if down else "server"
        return self.forecast.verdict if self.forecast is not None else "unknown"

    @property
    def size(self) -> int:
        """Bytes on the disk, or of the download; 0 is unknown."""
        if self.model is not None:
            return self.model.bytes_on_disk
        if self.hit is not None and (self.hit.size or self.hit.kind == "gguf"):
            return self.hit.size
        return 2 * self.parameters

    @property
    def parameters(self) -> int:
        counts = (each.parameters for each in (self.model, self.entry, self.hit) if each is not None)
        return next((count for count in counts if count), 0)

    @property
    def context(self) -> int:
        """Tokens that it can see at most; 0 is unknown."""
        return (self.model.context if self.model else 0) or (self.entry.context if self.entry else 0)

    @property
    def origin(self) -> str:
        """Where it was found, in a word or two."""
        if self.model is None:
            return "catalogue" if self.section == "catalogue" else "the hub"
        if self.model.runs_on == "server":
            return self.model.id.partition("/")[0]
        return FROM.get(self.model.source, self.model.source)


@dataclass(frozen=True)
class Heading:
    """The first line of a section."""

    section: Section
    title: str
    words: str = ""
    third: str = ""
    """What the column beside the name tells in this section."""


@dataclass(frozen=True)
class Door:
    """A line that is no model but can be entered."""

    key: str
    words: str
    hint: str = ""


Item = Row | Heading | Door | ServerLine


@dataclass
class Known:
    """What the browser knows beside the engine's state: it belongs to the screen that shows it."""

    picks: list[Pick] | None = None
    """The catalogue, ranked; None: not read yet."""
    entries: dict[str, Entry] | None = None
    """By id in lower case, and by name."""
    endpoints: tuple[commands.EndpointInfo, ...] | None = None
    """All servers; None: the engine has not told of them yet."""
    health: dict[str, tuple[commands.ModelHealth, ...]] = field(default_factory=dict)
    """What is known of the replies of each model."""
    hits: list[commands.HubRow] | None = None
    """What the hub answered; None: not asked yet."""
    asked: str = ""
    """The words that the hub was asked for."""
    use: str = ""
    every: bool = False
    """Whether all of the catalogue is listed."""
    sort: str = SORTS[0]
    turned: bool = False


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


def matches(row: Row, wanted: list[str]) -> bool:
    """Whether the row holds every word; `fits` asks for the room that it takes."""
    text = haystack(row)
    return all(
        row.verdict in ("fits", "held", "server") if word == "fits" else word in text for word in wanted
    )


def haystack(row: Row) -> str:
    """What the filter looks in: names, use, licence, openness, languages, thinking, where it was found."""
    parts = [row.name, row.id, row.origin]
    model, entry, hit = row.model, row.entry, row.hit
    if model is not None:
        parts += [model.family, model.support, model.state, model.quant, model.runs_on]
        parts += ["vision"] if model.vision else []
    if entry is not None:
        parts += [entry.family, entry.maker, *(USE_WORDS.get(use, use) for use in entry.use), entry.strengths]
        parts += [entry.licence, entry.languages, *(f"open {part}" for part in entry.open)]
    thinking = model.thinking if model is not None else entry.thinking if entry is not None else "never"
    parts += ["thinking" if thinking != "never" else "", "gated" if entry and entry.gated else ""]
    if hit is not None:
        parts += [hit.licence, *hit.tags]
    return " ".join(parts).lower()


def sorted_rows(rows: list[Row], known: Known) -> list[Row]:
    """In the order asked for; what cannot be loaded stands last in any."""
    keys: dict[str, Callable[[Row], Any]] = {
        "name": lambda row: row.name.lower(),
        "size": lambda row: row.size,
        "speed": lambda row: row.speed or (row.forecast.tokens_per_s if row.forecast else 0.0),
    }
    rows.sort(key=keys["name"])
    rows.sort(key=keys[known.sort], reverse=(known.sort != "name") != known.turned)
    return sorted(rows, key=lambda row: row.verdict in ("never", "down"))


def entry_for(model: str, title: str, known: Known) -> Entry | None:
    """The catalogue's entry of a model, by its hub id, or by a name that is the same."""
    entries = known.entries or {}
    return entries.get(model.lower()) or entries.get(title.lower())


def by_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by id and by name, in lower case."""
    table: dict[str, Entry] = {}
    for entry in entries:
        table[entry.id.lower()] = entry
        table.setdefault(entry.name.lower(), entry)
    return table


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
