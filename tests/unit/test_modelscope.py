"""ModelScope as another hub, over real sockets: searched, looked at, fetched, resumed, refused, deleted."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.hub import modelscope, places
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from tests.support.fake_hub import FakeHub, FakeModel, fake_hub
from tests.support.fake_modelscope import OLDER, fake_modelscope
from tests.support.hub_bench import ID, WEIGHTS, Bench, reach, stock

THEIRS = f"modelscope:{ID}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Hugging Face's, which nobody is to ask here."""
    with fake_hub() as hub:
        reach(hub, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub
        assert hub.asked == []


@pytest.fixture
def scope(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with fake_modelscope() as scope:
        stock(scope, tmp_path / "tiny")
        scope.models[ID].branch = "master"
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", scope.url)
        yield scope


@pytest.fixture
async def bench(scope: FakeHub) -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


async def test_a_model_is_found_and_looked_at(bench: Bench) -> None:
    [row] = (await bench.hub.search(c.SearchHub("modelscope: tiny"))).rows
    assert (row.id, row.licence, row.parameters, row.downloads) == (THEIRS, "apache-2.0", 600_000_000, 100)
    shown = await bench.hub.show(c.ShowHubModel(THEIRS))
    assert (shown.id, shown.sha, shown.revision) == (THEIRS, "a" * 40, "master")
    assert (shown.licence, shown.downloads, shown.likes) == ("Apache License 2.0", 7, 3)
    assert shown.card == "# Tiny"
    assert {file.name for file in shown.files if file.needed} == {
        "config.json",
        "tokenizer_config.json",
        WEIGHTS,
    }


async def test_it_is_fetched_into_the_cache_and_is_on_the_shelf_beside_the_other_hubs(
    bench: Bench, scope: FakeHub
) -> None:
    scope.cuts[WEIGHTS] = [50_000]
    done = await bench.pull(THEIRS)
    assert (done.state, done.error, done.revision) == ("done", None, "master")
    folder = places.cache_folder() / "models--modelscope--Qwen--Tiny" / "snapshots" / ("a" * 40)
    assert done.folder == str(folder)
    for name in ("config.json", WEIGHTS):
        assert (folder / name).read_bytes() == scope.models[ID].files[name]
    assert scope.ranges_asked(f"{ID}/{WEIGHTS}")[1].startswith("bytes=")
    found = await bench.shelf.find(THEIRS)
    assert (found.name, found.support, found.path) == ("Tiny", "tested", str(folder))
    assert found.source == "folder"
    freed = await bench.hub.delete(c.DeleteCached(THEIRS))
    assert freed.deleted
    assert not folder.exists()


async def test_each_token_goes_to_its_own_hub_alone(
    bench: Bench, scope: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope.token = "ms-secret"
    with pytest.raises(EngineError) as caught:
        await bench.hub.show(c.ShowHubModel(THEIRS))
    assert caught.value.info.code == "hub_not_found"
    assert "No token was sent" in caught.value.info.sentence()
    assert "MODELSCOPE_API_TOKEN" in caught.value.info.remedy
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "ms-secret")
    assert (await bench.pull(THEIRS)).state == "done"
    assert "hf_secret" not in json.dumps(scope.asked)
    on_cdn = [headers for path, headers in scope.asked if path.startswith("/cdn/")]
    assert on_cdn
    assert not any("cookie" in headers or "authorization" in headers for headers in on_cdn)


async def test_what_is_not_there_is_one_sentence(bench: Bench, scope: FakeHub) -> None:
    for model, revision, code, words in (
        ("modelscope:Qwen/None", "", "hub_not_found", "There is no model Qwen/None on 127.0.0.1"),
        (THEIRS, "gone", "hub_refused", "no such revision"),
        ("modelscope:../x", "", "hub_bad_id", "is no id of a model"),
        ("modelscope:Tiny", "", "hub_bad_id", "is no id of a model"),
    ):
        with pytest.raises(EngineError) as caught:
            await bench.hub.start(c.StartDownload(model, revision))
        assert caught.value.info.code == code
        assert words in caught.value.info.sentence()
    scope.models["Qwen/Odd"] = FakeModel({}, siblings=[{"Path": 3, "Revision": "main"}, "text"])  # type: ignore[list-item]
    scope.models["Qwen/Odd"].branch = "master"
    with pytest.raises(EngineError, match="holds no weights"):
        await bench.hub.start(c.StartDownload("modelscope:Qwen/Odd"))


async def test_what_a_hostile_listing_says_stays_in_the_cache(bench: Bench, scope: FakeHub) -> None:
    row = {"Type": "blob", "Size": 3, "Sha256": "b" * 64, "Revision": OLDER, "CommittedDate": 1}
    names = ("../../evil.safetensors", "/etc/passwd", "model-00001-of-00001.safetensors\n", "a/../b.json")
    scope.models[ID].siblings = [row | {"Path": name} for name in names]
    scope.models[ID].siblings += [row | {"Path": "x.safetensors", "Sha256": "../../x"}, row | {"Path": 1}]
    shown = await bench.hub.show(c.ShowHubModel(THEIRS))
    assert {file.name for file in shown.files} == set(scope.models[ID].files)


async def test_a_file_that_is_not_what_was_promised_is_removed(bench: Bench, scope: FakeHub) -> None:
    scope.models[ID].promised["config.json"] = b"x" * len(scope.models[ID].files["config.json"])
    done = await bench.pull(THEIRS)
    assert done.error is not None
    assert (done.state, done.error.code) == ("failed", "wrong_hash")


async def test_the_commands_take_its_ids(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    from tui.cli import hub as cli

    args = argparse.Namespace(id=f"{THEIRS}@master", json=False)
    assert await cli._files(bench, args) == 0  # type: ignore[arg-type]
    told = capsys.readouterr()
    assert f"{THEIRS} at {'a' * 12}, Apache License 2.0" in told.out + told.err


def test_the_endpoint_is_told_as_their_own_programs_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELSCOPE_ENDPOINT", raising=False)
    assert modelscope.endpoint() == "https://www.modelscope.cn"
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "www.modelscope.ai")
    assert modelscope.endpoint() == "https://www.modelscope.ai"
    url = places.file_url("modelscope:a/b", "c" * 40, "sub/x y.json")
    assert url.endswith(f"/api/v1/models/a/b/repo?Revision={'c' * 40}&FilePath=sub%2Fx%20y.json")
