"""Deletion from the Hugging Face cache: what other revisions share stays, unfinished files go along."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.hub import places
from engine.models.hub_cache import cache_folder
from engine.protocol.errors import fault
from engine.protocol.hub import CachedRevision, Freed


def delete(model: str, revision: str, *, dry: bool) -> Freed:
    """Look at what would be freed, and free it unless `dry`.

    Raises EngineError `cache_model_unknown`, `cache_revision_unknown` or `cache_unwritable`.
    """
    # Here, because the import takes a quarter of a second.
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    repo = places.repo_folder(model)
    try:
        scan = scan_cache_dir(cache_folder())
    except CacheNotFound:
        raise _unknown(model) from None
    known = next((each for each in scan.repos if each.repo_path.name == repo.name), None)
    found = sorted(
        (
            CachedRevision(each.commit_hash, tuple(sorted(each.refs)), each.size_on_disk)
            for each in (known.revisions if known is not None else ())
        ),
        key=lambda each: each.sha,
    )
    picked = [each for each in found if _means(revision, each)] if revision else found
    if revision and not picked:
        raise _no_revision(model, revision, found)
    if not picked and not repo.is_dir():
        raise _unknown(model)
    whole = len(picked) == len(found)
    strategy = scan.delete_revisions(*(each.sha for each in picked))
    loose = _loose(repo) if whole else 0
    freed = Freed(model, tuple(picked), strategy.expected_freed_size + loose, loose)
    if dry:
        return freed
    strategy.execute()
    if whole:
        shutil.rmtree(repo, ignore_errors=True)
        shutil.rmtree(cache_folder() / ".locks" / repo.name, ignore_errors=True)
    left = repo.exists() if whole else any((repo / "snapshots" / each.sha).exists() for each in picked)
    if left:
        raise fault(
            "cache_unwritable",
            f"{model} could not be deleted",
            "Some of its files are still there",
            f"Make {repo} writable, and try again",
        )
    return Freed(model, tuple(picked), freed.size, loose, deleted=True)


def drop_partial(model: str, blobs: tuple[str, ...]) -> None:
    """Remove these blobs, whole or in part, that no snapshot holds; an empty folder goes too."""
    repo = places.repo_folder(model)
    held = _held(repo)
    for blob in blobs:
        (repo / "blobs" / f"{blob}.incomplete").unlink(missing_ok=True)
        if (repo / "blobs" / blob).resolve() not in held:
            (repo / "blobs" / blob).unlink(missing_ok=True)
    if not (repo / "snapshots").is_dir() and not any(_files(repo / "blobs")):
        shutil.rmtree(repo, ignore_errors=True)


def _means(revision: str, cached: CachedRevision) -> bool:
    return revision in cached.refs or (len(revision) >= 5 and cached.sha.startswith(revision))


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file() or path.is_symlink()]
    except OSError:
        return []


def _held(repo: Path) -> set[Path]:
    """Blobs that a snapshot holds."""
    return {path.resolve() for path in (repo / "snapshots").rglob("*") if path.is_symlink()}


def _loose(repo: Path) -> int:
    """Bytes of blobs that no snapshot holds: unfinished files, and whole ones of an unfinished download."""
    held = _held(repo)
    return sum(
        path.stat().st_size
        for path in _files(repo / "blobs")
        if path.is_file() and not path.is_symlink() and path.resolve() not in held
    )


def _unknown(model: str) -> Exception:
    return fault(
        "cache_model_unknown",
        f"{model} is not in the Hugging Face cache",
        remedy="See `qwill models list`",
    )


def _no_revision(model: str, revision: str, found: list[CachedRevision]) -> Exception:
    there = ", ".join(" ".join((each.sha[:12], *each.refs)) for each in found[:8])
    return fault(
        "cache_revision_unknown",
        f"The cache holds no revision {revision[:80]} of {model}",
        f"It holds {there}" if there else "It holds none",
    )
