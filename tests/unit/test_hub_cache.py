"""Deletion from the cache: shared files stay, sizes are what the disk has more, nothing in use goes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.hub import places
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import DownloadGone, ModelGone
from tests.support.fake_hub import FakeHub
from tests.support.hub_bench import ID, WEIGHTS, Bench, came, snapshot


def on_disk() -> int:
    """Bytes of all blobs of the cache."""
    cache = places.cache_folder()
    return sum(path.stat().st_size for path in cache.rglob("blobs/*") if not path.is_symlink())


async def code_of(bench: Bench, command: c.DeleteCached) -> str:
    with pytest.raises(EngineError) as caught:
        await bench.hub.delete(command)
    return caught.value.info.code


async def test_a_look_tells_the_size_and_takes_nothing(bench: Bench) -> None:
    done = await bench.pull(ID)
    looked = await bench.hub.delete(c.DeleteCached(ID, dry=True))
    assert (looked.deleted, looked.size, looked.size) == (False, done.total, on_disk())
    assert [(each.sha, each.refs) for each in looked.revisions] == [("a" * 40, ("main",))]
    assert (snapshot() / WEIGHTS).is_file()


async def test_all_of_a_model_goes_from_the_disk_and_from_the_shelf(bench: Bench) -> None:
    await bench.pull(ID)
    freed = await bench.hub.delete(c.DeleteCached(ID))
    assert (freed.deleted, on_disk()) == (True, 0)
    assert not places.repo_folder(ID).exists()
    assert ID not in {model.id for model in bench.shelf.infos()}
    told = await bench.news()
    assert ModelGone(ID) in told
    assert any(isinstance(body, DownloadGone) for body in told)
    assert await code_of(bench, c.DeleteCached(ID)) == "cache_model_unknown"


async def test_what_another_revision_shares_stays(bench: Bench, hub: FakeHub) -> None:
    await bench.pull(ID)
    model = hub.models[ID]
    model.sha = "b" * 40
    model.files["config.json"] = model.files["config.json"] + b"\n"
    await bench.pull(ID)
    before = on_disk()
    freed = await bench.hub.delete(c.DeleteCached(ID, "aaaaaaa"))
    assert freed.size == before - on_disk() == len(model.files["config.json"]) - 1
    assert not snapshot().exists()
    assert (snapshot(sha="b" * 40) / WEIGHTS).read_bytes() == model.files[WEIGHTS]
    assert await code_of(bench, c.DeleteCached(ID, "aaaaaaa")) == "cache_revision_unknown"
    assert (await bench.hub.delete(c.DeleteCached(ID, "main"))).deleted
    assert on_disk() == 0


async def test_what_was_left_unfinished_is_counted_and_goes_along(bench: Bench, hub: FakeHub) -> None:
    hub.holds[WEIGHTS] = 80_000
    info = await bench.hub.start(c.StartDownload(ID))
    await bench.until(lambda: came(hub) >= 80_000)
    assert await code_of(bench, c.DeleteCached(ID)) == "download_under_way"
    hub.go.set()
    await bench.hub.cancel(c.CancelDownload(info.id))
    await bench.until(lambda: not bench.hub.at_work)
    looked = await bench.hub.delete(c.DeleteCached(ID, dry=True))
    assert looked.size == looked.partial == on_disk() > 80_000
    await bench.hub.delete(c.DeleteCached(ID))
    assert on_disk() == 0
    assert bench.hub.infos() == ()


async def test_a_model_that_is_loaded_or_trained_on_stays(bench: Bench) -> None:
    await bench.pull(ID)
    model = await bench.shelf.find(ID)
    bench.shelf._models[ID] = replace(model, state="ready")
    assert await code_of(bench, c.DeleteCached(ID)) == "model_in_use"
    bench.shelf._models[ID] = model
    bench.shelf.trained = lambda: ID
    assert await code_of(bench, c.DeleteCached(ID)) == "model_in_use"
    assert (await bench.hub.delete(c.DeleteCached(ID, dry=True))).size > 0
    assert (snapshot() / WEIGHTS).is_file()


async def test_names_that_leave_the_cache_are_refused(bench: Bench) -> None:
    for model in ("../../x", "/tmp", "a/b/c", ""):
        assert await code_of(bench, c.DeleteCached(model)) == "hub_bad_id"
    assert await code_of(bench, c.DeleteCached("Qwen/Nope")) == "cache_model_unknown"
