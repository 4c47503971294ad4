"""What the hub does in its lanes. Imports huggingface_hub there, not when the engine starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.hub import files as rules
from engine.hub.files import RepoFile
from engine.hub.job import Job
from engine.hub.ledger import Entry
from engine.protocol.hub import DownloadInfo, Freed, HubModel, HubRow, SearchHub

if TYPE_CHECKING:
    from engine.hub.look import Repo


def search(command: SearchHub) -> tuple[HubRow, ...]:
    """Rows of a search. Raises EngineError."""
    from engine.hub import look

    return look.asked(lambda web: look.search(web, command))


def model(model: str, revision: str) -> HubModel:
    """One model with its card and files. Raises EngineError."""
    from engine.hub import look

    return look.asked(lambda web: look.model(web, model, revision))


def repo(model: str, revision: str) -> Repo:
    """One commit and its files. Raises EngineError."""
    from engine.hub import look

    return look.asked(lambda web: look.repo(web, model, revision))


def here(info: DownloadInfo, files: tuple[RepoFile, ...]) -> int:
    """Bytes of these files that are on this disk already."""
    return sum(rules.here(info.model, info.sha, file) for file in files)


def work(job: Job) -> DownloadInfo:
    """Run a download to its end."""
    return job.run()


def drop(entry: Entry) -> None:
    """Remove what came of a download's unfinished files."""
    from engine.hub.cache import drop_partial

    drop_partial(entry.info.model, tuple(file.blob for file in entry.files))


def delete(model: str, revision: str, dry: bool) -> Freed:
    """Delete from the cache, or only look."""
    from engine.hub.cache import delete

    return delete(model, revision, dry=dry)
