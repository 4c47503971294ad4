"""What the hub says of models, read without trust: rows, files that are needed, cards."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.hub import files as rules
from engine.hub import places
from engine.hub.files import RepoFile
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from tests.support.fake_hub import FakeHub, FakeModel
from tests.support.hub_bench import ID, WEIGHTS, Bench


def listed(*names: str) -> list[RepoFile]:
    return [RepoFile(name, 10 + number, f"{number:040x}") for number, name in enumerate(names)]


def taken(*names: str) -> list[str]:
    return [file.name for file in rules.needed(listed(*names))]


async def test_a_search_gives_rows_with_what_the_hub_knows(bench: Bench, hub: FakeHub) -> None:
    hub.models[ID].extra = {"safetensors": {"parameters": {"BF16": 1000, "F32": 10}, "total": 1010}}
    hub.models["other/model"] = FakeModel({})
    [row] = (await bench.hub.search(c.SearchHub("tiny", limit=5))).rows
    assert (row.id, row.downloads, row.licence, row.parameters, row.size) == (
        ID,
        100,
        "apache-2.0",
        1010,
        2040,
    )
    assert (row.kind, row.gated, row.here, row.updated > 1.7e9) == ("safetensors", False, False, True)


async def test_a_search_passes_over_rows_that_are_no_rows(bench: Bench, hub: FakeHub) -> None:
    for id_ in ("../tiny", "tiny\x1b[2J", "a/b/tiny"):
        hub.models[id_] = FakeModel({})
    hub.models[ID].extra = {
        "downloads": "many",
        "likes": -3,
        "tags": [7, "licence\ud800", "license:\ud800mit"],
        "lastModified": 12,
        "safetensors": [],
        "gguf": {"total": 1 << 90},
    }
    [row] = (await bench.hub.search(c.SearchHub("tiny"))).rows
    assert (row.id, row.downloads, row.likes, row.parameters, row.licence) == (ID, 0, 0, 0, "?mit")


async def test_a_model_is_shown_with_its_card_and_what_is_needed(bench: Bench) -> None:
    model = await bench.hub.show(c.ShowHubModel(ID))
    assert (model.sha, model.revision, model.card, model.kind) == ("a" * 40, "main", "# Tiny", "safetensors")
    needed = [file.name for file in model.files if file.needed]
    assert needed == ["config.json", WEIGHTS, "tokenizer_config.json"]
    assert model.total == sum(file.size for file in model.files if file.needed)
    assert (model.here, model.why, model.choices, model.free > 0) == (0, "", (), True)
    await bench.pull(ID)
    again = await bench.hub.show(c.ShowHubModel(ID))
    assert again.here == again.total == model.total


async def test_a_card_is_cut_where_it_would_not_fit(bench: Bench, hub: FakeHub) -> None:
    hub.models[ID].files["README.md"] = "é".encode() * 300_000
    model = await bench.hub.show(c.ShowHubModel(ID))
    assert (model.card_cut, model.card) == (True, "é" * 100_000)
    hub.models[ID].files["README.md"] = b"\x01" * 190_000
    model = await bench.hub.show(c.ShowHubModel(ID))
    assert model.card_cut
    assert set(model.card) == {"\x01"}


async def test_a_gated_model_is_shown_without_its_card(bench: Bench, hub: FakeHub) -> None:
    hub.models[ID].gated, hub.token = True, "hf_right"
    model = await bench.hub.show(c.ShowHubModel(ID))
    assert (model.gated, model.card, model.page) == (True, "", f"{hub.url}/{ID}")


async def test_pickles_alone_are_not_downloaded_and_it_says_why(bench: Bench, hub: FakeHub) -> None:
    hub.models["old/one"] = FakeModel({"config.json": b"{}", "pytorch_model.bin": b"x"})
    model = await bench.hub.show(c.ShowHubModel("old/one"))
    assert "pickle files, which can run code" in model.why
    with pytest.raises(EngineError, match="pickle files"):
        await bench.hub.start(c.StartDownload("old/one"))


async def test_of_many_gguf_files_one_is_chosen_by_a_part_of_its_name(bench: Bench, hub: FakeHub) -> None:
    names = ["t-Q8_0.gguf", "t-Q4_K_M.gguf", "mmproj-F16.gguf"]
    split = [f"big/t-F16-0000{n}-of-00002.gguf" for n in (1, 2)]
    hub.models["u/t-GGUF"] = FakeModel({name: name.encode() * 3 for name in names + split})
    model = await bench.hub.show(c.ShowHubModel("u/t-GGUF"))
    assert model.choices == ("t-Q8_0.gguf", "t-Q4_K_M.gguf", split[0])
    assert model.kind == "gguf"
    with pytest.raises(EngineError) as caught:
        await bench.hub.start(c.StartDownload("u/t-GGUF"))
    assert caught.value.info.code == "hub_choose_file"
    assert caught.value.info.remedy == "Add --file t-Q4_K_M.gguf"
    done = await bench.pull("u/t-GGUF", "q4_k_m")
    assert (done.state, done.files) == ("done", ("t-Q4_K_M.gguf",))
    whole = await bench.pull("u/t-GGUF", split[0])
    assert (whole.state, list(whole.files)) == ("done", split)
    assert (Path(whole.folder) / split[1]).read_bytes() == split[1].encode() * 3


@pytest.mark.parametrize("body", [b"[", b"null", b'{"sha": "short"}', b'{"sha": 7}', b"[" * 100_000])
async def test_what_is_no_answer_of_a_hub_is_one_sentence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    from engine.hub import web

    monkeypatch.setattr(web, "bounded", lambda *_: (body, False))
    with pytest.raises(EngineError) as caught:
        await bench.hub.start(c.StartDownload(ID))
    assert caught.value.info.code == "hub_odd"


def test_one_whole_set_of_weights_is_taken_with_what_belongs_to_it() -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = "model.safetensors.index.json"
    others = ["consolidated.safetensors", "model.fp16.safetensors", "onnx/model.safetensors", "README.md"]
    assert taken("config.json", *shards, index, *others) == ["config.json", index, *shards]
    assert taken("model.safetensors", *others) == ["model.safetensors"]
    named = [f"model.safetensors-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert taken(*named, *others) == named
    assert taken("consolidated.safetensors") == ["consolidated.safetensors"]
    assert taken("adapter_config.json", "adapter_model.safetensors", "optimizer.pt") == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert taken("one.gguf", "README.md") == ["one.gguf"]
    assert taken("one.gguf", "two.gguf") == []
    assert taken("chat_template.jinja", "additional_chat_templates/tool.jinja", "model.safetensors") == [
        "additional_chat_templates/tool.jinja",
        "chat_template.jinja",
        "model.safetensors",
    ]


def test_code_and_other_formats_have_no_role() -> None:
    for name in (
        "modeling.py",
        "pytorch_model.bin",
        "x.pt",
        "a/b.json",
        "tf_model.h5",
        "model.onnx",
        "run.sh",
    ):
        assert rules.role(name) == "other"


def test_ids_and_names_that_leave_their_folder_are_none() -> None:
    assert places.is_id("Qwen/Qwen3-0.6B")
    assert places.is_id("gpt2")
    for id_ in ("", "..", "a/b/c", "/a", "a/", "a--b/c", "a/..", "-a/b", "a/b?x=1", "a/b\n", "a b/c"):
        assert not places.is_id(id_)
    assert places.safe_name("additional_chat_templates/tool use.jinja")
    for name in ("/a", "a//b", "a/./b", "..", "a\\b", "c:x", "a\x00", "a\u202eb", " a", "n" * 250):
        assert not places.safe_name(name)


def test_an_address_with_a_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@mirror.example:8443/")
    assert places.host() == "mirror.example:8443"
