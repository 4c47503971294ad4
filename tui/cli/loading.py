"""Get a model ready, with its progress on a terminal, and ask before another one has to go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from engine.api import Client, EngineError, ErrorInfo, commands, events, specs
from tui.cli import output
from tui.cli.progress_line import following
from tui.format import percent
from tui.paths import whole_path

T = TypeVar("T")


def model_name(text: str) -> str:
    """What the engine should look for: it runs elsewhere, so a folder named from here becomes absolute."""
    path = whole_path(text)
    named_as_path = text.startswith((".", "/", "~"))
    return str(path) if named_as_path or (path / "config.json").is_file() else text


async def load(
    client: Client, model: str, *, dtype: str, evict: bool, quant: specs.Quant | None = None
) -> specs.ModelInfo:
    """Load this model (id, name or folder) unless it is ready; returns it as it stands then.

    Raises EngineError: `model_not_found`, `would_evict` when nobody agreed, and all that fails a load.
    """
    found: specs.ModelInfo = await client.request(commands.ShowModel(model))

    def words(body: Any) -> str:
        if isinstance(body, events.ModelLoading) and body.model == found.id:
            return f"loading {found.name} · {percent(body.progress)} {body.phase}"
        return ""

    async def attempt(evict: bool) -> specs.ModelInfo:
        async with following(client, words):
            ready: specs.ModelInfo = await client.request(commands.LoadModel(found.id, dtype, evict, quant))
        return ready

    return await may_evict(attempt, evict=evict)


async def may_evict(attempt: Callable[[bool], Awaitable[T]], *, evict: bool) -> T:
    """Run `attempt(evict)`; when it would evict a model, ask on a terminal and run it again."""
    try:
        return await attempt(evict)
    except EngineError as error:
        if error.info.code != "would_evict":
            raise
        if not await asyncio.to_thread(_agreed, error.info):
            raise EngineError(_with_remedy(error.info)) from error
    return await attempt(True)


def _agreed(info: ErrorInfo) -> bool:
    """Ask on the terminal; False where nobody sits."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    question = output.line(ErrorInfo(info.code, info.title, info.detail).sentence())
    print(f"{question} Let it go? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _with_remedy(info: ErrorInfo) -> ErrorInfo:
    return ErrorInfo(info.code, info.title, info.detail, "Add --evict to let it go", info.retryable)
