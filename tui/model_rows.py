"""One line of the model browser, what the browser knows, and how rows are found and sorted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.api import commands, specs
from tui.server_rows import ServerLine

if TYPE_CHECKING:
    from engine.api import Entry, Estimate, Pick

Section = Literal["here", "catalogue", "hub"]
USES = ("", "chat", "maths", "code", "vision", "small")
"""What the catalogue is narrowed to; empty is everything."""
USE_WORDS = {"": "all", "small": "small devices"}
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
