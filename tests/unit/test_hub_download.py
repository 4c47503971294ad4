"""Downloads from a hub on loopback, over real sockets: cut, resumed, refused, damaged, cancelled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.hub import faults, job, ledger, places
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import DownloadChanged, DownloadProgress, ModelChanged
from tests.support.fake_hub import FakeHub, git_hash
from tests.support.full_disk import file_limit
from tests.support.hub_bench import ID, WEIGHTS, Bench, came, partial, snapshot


async def refused(bench: Bench, *files: str, model: str = ID, revision: str = "") -> str:
    """The sentence with which a download does not even start."""
    with pytest.raises(EngineError) as caught:
        await bench.hub.start(c.StartDownload(model, revision, files))
    assert bench.hub.infos() == ()
    return caught.value.info.code + ": " + caught.value.info.sentence()


async def test_a_model_is_fetched_as_huggingface_hub_lays_it_out_and_is_on_the_shelf(
    bench: Bench, hub: FakeHub
) -> None:
    done = await bench.pull(ID)
    assert (done.state, done.error, done.files_done) == ("done", None, 3)
    assert done.done == done.total
    assert done.folder == str(snapshot())
    names = {path.name for path in snapshot().iterdir()}
    assert names == {"config.json", "tokenizer_config.json", WEIGHTS}
    for name in names:
        assert (snapshot() / name).read_bytes() == hub.models[ID].files[name]
        assert (snapshot() / name).is_symlink()
    config = hub.models[ID].files["config.json"]
    assert (snapshot() / "config.json").resolve().name == git_hash(config)
    assert (places.repo_folder(ID) / "refs" / "main").read_text() == "a" * 40
    assert (await bench.shelf.find(ID)).support == "tested"
    told = await bench.news()
    assert any(isinstance(body, ModelChanged) and body.model.id == ID for body in told)
    states = [body.download.state for body in told if isinstance(body, DownloadChanged)]
    assert states[0] == "queued"
    assert states[-1] == "done"
    assert "running" in states
    assert ledger.load() == ()


async def test_huggingface_hub_itself_finds_the_files(bench: Bench) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    await bench.pull(ID)
    cache = places.cache_folder()
    assert try_to_load_from_cache(ID, WEIGHTS, cache_dir=cache) == str(snapshot() / WEIGHTS)
    [repo] = scan_cache_dir(cache).repos
    assert (repo.repo_id, repo.nb_files, len(repo.refs)) == (ID, 3, 1)


async def test_a_cut_line_is_taken_up_where_it_broke(bench: Bench, hub: FakeHub) -> None:
    hub.cuts[WEIGHTS] = [50_000, 70_000]
    done = await bench.pull(ID)
    assert done.state == "done"
    assert (snapshot() / WEIGHTS).read_bytes() == hub.models[ID].files[WEIGHTS]
    starts = [int(each.removeprefix("bytes=").split("-")[0]) for each in hub.ranges_asked(f"{ID}/{WEIGHTS}")]
    assert starts == [0, 50_000, 120_000]
    waits = [b.download for b in await bench.news() if isinstance(b, DownloadChanged) and b.download.error]
    assert {each.state for each in waits} == {"waiting"}
    assert waits[0].error is not None
    assert waits[0].error.code == "hub_unreachable"
    assert waits[0].retry_at > 0


async def test_a_server_without_ranges_sends_it_again_from_the_start(bench: Bench, hub: FakeHub) -> None:
    hub.ranges = False
    hub.cuts[WEIGHTS] = [50_000]
    done = await bench.pull(ID)
    assert done.state == "done"
    assert (snapshot() / WEIGHTS).read_bytes() == hub.models[ID].files[WEIGHTS]


async def test_the_next_engine_goes_on_with_what_this_one_left(bench: Bench, hub: FakeHub) -> None:
    hub.holds[WEIGHTS] = 80_000
    info = await bench.hub.start(c.StartDownload(ID))
    kept = json.loads(ledger.ledger_path().read_text())["downloads"]
    assert [each["info"]["model"] for each in kept] == [ID]
    await bench.until(lambda: came(hub) >= 80_000)
    await bench.close()
    assert not snapshot().exists()
    hub.go.set()
    following = Bench()
    await following.hub.open()
    done = await following.ended(info)
    await following.close()
    assert (done.state, done.id, done.sha) == ("done", info.id, "a" * 40)
    assert (snapshot() / WEIGHTS).read_bytes() == hub.models[ID].files[WEIGHTS]
    begin = hub.ranges_asked(f"{ID}/{WEIGHTS}")[-1].removeprefix("bytes=").split("-")[0]
    assert int(begin) >= 80_000


async def test_an_engine_that_is_told_to_stay_offline_keeps_the_list_and_asks_nobody(
    bench: Bench, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.holds[WEIGHTS] = 0
    info = await bench.hub.start(c.StartDownload(ID))
    await bench.until(hub.reached.is_set)
    await bench.close()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(hub.asked)
    following = Bench()
    await following.hub.open()
    [left] = following.hub.infos()
    assert (left.id, left.state) == (info.id, "failed")
    assert left.error is not None
    assert left.error.code == "hub_offline"
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE is set"):
        await following.hub.search(c.SearchHub("qwen"))
    await following.close()
    assert len(hub.asked) == asked
    assert [entry.info.live for entry in ledger.load()] == [True]


async def test_cancel_keeps_what_came_and_a_new_start_goes_on_with_it(bench: Bench, hub: FakeHub) -> None:
    hub.holds[WEIGHTS] = 80_000
    info = await bench.hub.start(c.StartDownload(ID))
    await bench.until(lambda: came(hub) >= 80_000)
    cancelled = await bench.hub.cancel(c.CancelDownload(ID))
    assert (cancelled.state, bench.hub.busy) == ("cancelled", False)
    hub.go.set()
    assert came(hub) >= 80_000
    assert not snapshot().exists()
    again = await bench.hub.start(c.StartDownload(ID))
    assert (again.id, again.done >= 80_000) == (info.id, True)
    assert (await bench.ended(again)).state == "done"
    assert (snapshot() / WEIGHTS).read_bytes() == hub.models[ID].files[WEIGHTS]


async def test_cancel_without_keeping_leaves_nothing(bench: Bench, hub: FakeHub) -> None:
    hub.holds[WEIGHTS] = 80_000
    await bench.hub.start(c.StartDownload(ID))
    await bench.until(lambda: came(hub) >= 80_000)
    hub.go.set()
    await bench.hub.cancel(c.CancelDownload(ID, keep=False))
    assert bench.hub.infos() == ()
    assert not partial(hub).exists()
    assert ledger.load() == ()


def test_a_hub_says_how_long_to_wait() -> None:
    busy = faults.refused("a/b", 429, {"retry-after": "7"}, token=False)
    assert isinstance(busy, faults.Passing)
    assert busy.wait == 7.0
    for headers, wait in (
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=9;t=55'}, 0.0),
        ({"retry-after": "1e999"}, faults.LONGEST_WAIT),
        ({"retry-after": "Wed, 21 Oct 2026"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
    ):
        passing = faults.refused("a/b", 503, headers, token=False)
        assert isinstance(passing, faults.Passing)
        assert passing.wait == wait


async def test_a_download_of_the_same_is_joined(bench: Bench, hub: FakeHub) -> None:
    hub.holds[WEIGHTS] = 0
    first = await bench.hub.start(c.StartDownload(ID))
    second = await bench.hub.start(c.StartDownload(ID))
    assert (second.id, len(bench.hub.infos())) == (first.id, 1)
    hub.go.set()
    assert (await bench.ended(first)).state == "done"


async def test_a_file_with_another_hash_is_removed_and_the_model_is_not_there(
    bench: Bench, hub: FakeHub
) -> None:
    data = hub.models[ID].files[WEIGHTS]
    hub.models[ID].promised[WEIGHTS] = data[:-1] + b"!"
    failed = await bench.pull(ID)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.code == "wrong_hash"
    assert "was removed" in failed.error.sentence()
    blobs = {path.name for path in (places.repo_folder(ID) / "blobs").iterdir()}
    assert len(blobs) == 2
    assert not any(name.endswith(".incomplete") for name in blobs)
    assert not snapshot().exists()
    del hub.models[ID].promised[WEIGHTS]
    assert (await bench.pull(ID)).state == "done"


async def test_a_small_file_is_checked_too(bench: Bench, hub: FakeHub) -> None:
    hub.models[ID].promised["config.json"] = b"{}"
    failed = await bench.pull(ID)
    assert failed.error is not None
    assert failed.error.code == "wrong_hash"


async def test_a_gated_model_names_the_page_and_the_token(bench: Bench, hub: FakeHub) -> None:
    hub.models[ID].gated, hub.token = True, "hf_right"
    failed = await bench.pull(ID)
    assert failed.error is not None
    assert failed.error.code == "hub_gated"
    sentence = failed.error.sentence()
    assert f"{hub.url}/{ID}" in sentence
    assert "hf auth login" in sentence
    assert "HF_TOKEN" in sentence


async def test_the_token_goes_to_the_hub_and_never_to_where_it_redirects(
    bench: Bench, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.models[ID].gated, hub.token = True, "hf_right"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert (await bench.pull(ID)).state == "done"
    sent = {path: headers.get("authorization", "") for path, headers in hub.asked}
    assert sent[f"/{ID}/resolve/{'a' * 40}/{WEIGHTS}"] == "Bearer hf_right"
    assert sent[f"/cdn/{ID}/{WEIGHTS}"] == ""


async def test_an_unknown_model_and_a_revision_that_is_gone_are_told_apart(bench: Bench) -> None:
    assert (await refused(bench, model="Qwen/Nope")).startswith("hub_not_found: ")
    assert (await refused(bench, revision="v9")).startswith("hub_revision_gone: ")
    assert (await refused(bench, model="../../etc")).startswith("hub_bad_id: ")
    assert (await refused(bench, revision="../../x")).startswith("hub_revision_gone: ")


async def test_a_commit_that_vanishes_mid_way_fails_in_one_sentence(bench: Bench, hub: FakeHub) -> None:
    hub.holds[WEIGHTS], hub.cuts[WEIGHTS] = 0, [20_000]
    info = await bench.hub.start(c.StartDownload(ID))
    await bench.until(hub.reached.is_set)
    hub.models[ID].sha = "b" * 40
    hub.go.set()
    failed = await bench.ended(info)
    assert failed.error is not None
    assert failed.error.code == "hub_revision_gone"


async def test_a_pinned_commit_is_what_is_fetched(bench: Bench, hub: FakeHub) -> None:
    done = await bench.pull(ID, revision="a" * 40)
    assert (done.state, done.sha, done.revision) == ("done", "a" * 40, "a" * 40)
    assert not (places.repo_folder(ID) / "refs").exists()
    assert (await bench.shelf.find(ID)).id == ID


async def test_a_hub_in_trouble_is_tried_again(bench: Bench, hub: FakeHub) -> None:
    hub.statuses = [503, 500, 429, 502]
    done = await bench.pull(ID)
    assert done.state == "done"
    words = [
        b.download.error.title
        for b in await bench.news()
        if isinstance(b, DownloadChanged) and b.download.error
    ]
    assert len(words) == 4
    assert "asked too often" in words[2]
    assert "status 503" in words[0]


async def test_a_hub_that_stays_in_trouble_is_given_up_with_what_came_kept(
    bench: Bench, hub: FakeHub
) -> None:
    hub.statuses = [503] * 100
    failed = await bench.pull(ID)
    assert failed.error is not None
    assert failed.error.code == "hub_busy"
    assert failed.error.retryable
    assert [entry.info.state for entry in ledger.load()] == ["failed"]


async def test_nobody_there_is_one_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert (await refused(bench)).startswith("hub_unreachable: 127.0.0.1:9 does not answer")


async def test_a_disk_without_room_is_told_before_anything_is_fetched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "RESERVE", 1 << 62)
    assert (await refused(bench)).startswith("disk_full: The disk has no room: ")
    assert not places.repo_folder(ID).exists()


async def test_a_disk_that_fills_up_on_the_way_keeps_what_came(bench: Bench, hub: FakeHub) -> None:
    with file_limit(100_000):
        failed = await bench.pull(ID)
    assert failed.error is not None
    assert failed.error.code == "disk_full"
    assert partial(hub).stat().st_size == 100_000
    assert (await bench.pull(ID)).state == "done"
    assert hub.ranges_asked(f"{ID}/{WEIGHTS}")[-1].startswith("bytes=100000-")


async def test_names_that_leave_the_folder_are_never_written(bench: Bench, hub: FakeHub, home: Path) -> None:
    lfs = {"sha256": "0" * 64, "size": 4}
    names = [
        "../evil.safetensors",
        "/evil.safetensors",
        "a/../../evil.json",
        "x\x1b[2J.safetensors",
        "..",
        "",
    ]
    names += ["model\\..\\evil.safetensors", "n" * 300 + ".safetensors", "\ud800.safetensors"]
    hub.models[ID].siblings = [{"rfilename": name, "size": 4, "lfs": lfs} for name in names]
    hub.models[ID].siblings += [
        {"rfilename": "tokenizer.json", "size": 4, "blobId": "../../../evil"},
        {"rfilename": "vocab.json", "size": -4, "blobId": "0" * 40},
        {"rfilename": 7},
        {"rfilename": "merges.txt", "size": 1 << 70, "blobId": "0" * 40},
    ]
    done = await bench.pull(ID)
    assert done.state == "done"
    assert len(done.files) == 3
    assert not [path for path in home.rglob("*evil*")]
    for name in names:
        assert not places.safe_name(name) if "\ud800" not in name else True


async def test_a_file_longer_than_promised_is_cut_off(bench: Bench, hub: FakeHub) -> None:
    hub.ranges = False
    sibling = {"rfilename": "tokenizer.json", "size": 4, "blobId": git_hash(b"true")}
    hub.models[ID].files["tokenizer.json"] = b"x" * 200_000
    hub.models[ID].siblings = [sibling]
    failed = await bench.pull(ID)
    assert failed.error is not None
    assert "longer than it was said to be" in failed.error.detail


async def test_code_and_pickles_are_refused_by_name(bench: Bench) -> None:
    assert (await refused(bench, "modeling_tiny.py")).startswith("hub_file_unsafe: ")
    assert (await refused(bench, "pytorch_model.bin")).startswith("hub_file_unsafe: ")
    assert (await refused(bench, "nope.safetensors")).startswith("hub_file_gone: ")


async def test_progress_is_told_with_speed_and_the_bytes_on_the_disk(
    bench: Bench, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "TOLD_SECONDS", 0.0)
    hub.models[ID].files[WEIGHTS] += bytes(4 << 20)
    hub.holds[WEIGHTS] = 2 << 20
    info = await bench.hub.start(c.StartDownload(ID))
    await bench.until(hub.reached.is_set)
    held = await bench.until(lambda: bench.find(info.id).done >= 2 << 20 and bench.find(info.id))
    assert held.speed > 0
    assert held.eta_s is not None
    hub.go.set()
    done = await bench.ended(info)
    told = [body.download for body in await bench.news() if isinstance(body, DownloadProgress)]
    assert all(each.done <= done.total for each in told)
