"""Named servers, servers that are found, and the engine around them."""

from __future__ import annotations

import asyncio
import io
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.client import Client
from engine.connect import Target, connect
from engine.paths import config_dir
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import ReplyDone
from engine.protocol.specs import ChatSettings, Message
from engine.servers import kinds, saved
from engine.servers.endpoint import Endpoint, checked, clean_url
from engine.servers.known import Known
from engine.servers.look import thinking_by_name
from engine.settings import settings_path
from tests.support.fake_server import FakeServer, chunk, end, endless, fake_server, status, stream
from tests.support.server_chat import known_server
from tui.cli.main import main

SECONDS = 20.0
CHAT = "/v1/chat/completions"


# --- the settings -----------------------------------------------------------------------------


def test_a_server_is_added_to_the_settings_and_taken_out_and_the_rest_stays() -> None:
    settings_path().write_text("# mine\n[engine]\nkept_free = 2\n\n[endpoints.old]\nurl = 'http://a:1/v1'\n")
    before = settings_path().read_text()
    box = Endpoint("box.1", "http://b:2/v1", kind="vllm", timeout=60.0, models=('é"\\', "m"), saved=True)
    saved.save(box)
    assert [each.name for each in saved.load()] == ["old", "box.1"]
    assert saved.load()[1] == box
    assert settings_path().read_text().startswith("# mine\n[engine]\nkept_free = 2")
    saved.save(replace(box, url="https://c/v1"))
    assert saved.load()[1].url == "https://c/v1"
    saved.remove(box)
    assert settings_path().read_text().strip() == before.strip()
    assert stat.S_IMODE(settings_path().stat().st_mode) == 0o600


def test_a_key_lies_in_a_file_of_its_own_that_goes_with_its_server() -> None:
    box = saved.save(Endpoint("box", "http://b:2/v1", saved=True), "sk-123")
    path = config_dir() / "keys" / "box"
    assert box.secret() == "sk-123"
    assert "sk-123" not in settings_path().read_text() + repr(box)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved.remove(box)
    assert not path.exists()


def test_settings_that_cannot_be_changed_line_by_line_are_left_alone() -> None:
    text = "endpoints = { box = { url = 'http://a/v1' } }\n"
    settings_path().write_text(text)
    with pytest.raises(EngineError) as caught:
        saved.remove(saved.load()[0])
    assert caught.value.info.code == "settings_unsaved"
    assert settings_path().read_text() == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("http://box:8000/v1/", "http://box:8000/v1"),
        ("https://box/api/v1/chat/completions", "https://box/api/v1"),
        ("http://[::1]:1234", "http://[::1]:1234/v1"),
    ],
)
def test_an_address_is_taken_as_people_write_it(text: str, expected: str) -> None:
    assert clean_url("box", text) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://box"},
        {"url": "http://user:pass@box"},
        {"url": "http://box/v1?key=1"},
        {"url": "http://box:99999"},
        {"name": "a/b"},
        {"timeout": 0.0},
        {"key": "a", "key_env": "B"},
    ],
)
def test_what_cannot_be_a_server_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(EngineError) as caught:
        checked(replace(Endpoint("box", "http://box"), **changes))
    assert caught.value.info.code == "endpoint_wrong"


def test_http_to_another_machine_is_warned_of() -> None:
    assert "not encrypted" in Endpoint("b", "http://192.168.1.2:8000/v1").warning
    for url in (
        "https://example.org/v1",
        "http://127.0.0.1:1/v1",
        "http://localhost:1/v1",
        "http://[::1]/v1",
    ):
        assert Endpoint("b", url).warning == ""


def test_a_key_that_is_missing_or_cannot_be_sent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError) as caught:
        Endpoint("b", "http://b/v1", key_env="NOT_THERE").secret()
    assert caught.value.info.code == "key_missing"
    monkeypatch.setenv("MY_KEY", " sk-1\n")
    assert Endpoint("b", "http://b/v1", key_env="MY_KEY").secret() == "sk-1"
    with pytest.raises(EngineError) as caught:
        Endpoint("b", "http://b/v1", key="two words\r\nX: y").secret()
    assert caught.value.info.code == "key_unusable"
    assert "two words" not in caught.value.info.sentence()


# --- what servers say of themselves -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen3-8B", "switchable"),
        ("qwen3:8b", "switchable"),
        ("Qwen3.5-4B", "switchable"),
        ("Qwen3-4B-Instruct-2507", "never"),
        ("Qwen3-4B-Thinking-2507", "always"),
        ("Qwen3-Coder-30B", "never"),
        ("deepseek-r1:7b", "always"),
        ("Qwen2.5-7B-Instruct", "never"),
    ],
)
def test_thinking_is_known_by_the_name(name: str, expected: str) -> None:
    assert thinking_by_name(name) == expected


@pytest.mark.parametrize(
    ("kind", "path", "answer"),
    [
        ("ollama", "/api/version", {"version": "0.13"}),
        ("vllm", "/version", {"version": "0.12"}),
        ("lmstudio", "/api/v0/models", {"data": []}),
        ("sglang", "/server_info", {"tp_size": 1, "version": "0.5"}),
        ("llama.cpp", "/props", {"default_generation_settings": {"n_ctx": 2048}, "build_info": "b1"}),
        ("foundry", "/openai/status", {"endpoints": [], "modelDirPath": "x"}),
        ("transformers", "/openapi.json", {"paths": {"/load_model": {}}}),
        ("other", "/nothing", {}),
    ],
)
def test_each_kind_is_known_by_what_only_it_answers(kind: str, path: str, answer: object) -> None:
    with fake_server("m", "text-embedding-3") as fake:
        fake.answers[path] = answer
        with known_server(fake.url) as known:
            models = known.look().result(SECONDS)
            info = known.infos()[0]
    assert (info.kind, info.models) == (kind, ("m",))
    assert [model.id for model in models] == ["box/m"]
    assert models[0].context == (2048 if kind == "llama.cpp" else 0)


def test_a_server_with_strange_answers_harms_nobody() -> None:
    rows = [{"id": "ok"}, {"id": 5}, {"id": "a\nb"}, "x", {"id": "y" * 5000}, {"id": "big", "meta": []}]
    with fake_server() as fake:
        fake.answers["/v1/models"] = {"data": rows}
        fake.answers["/props"] = [1, 2]
        with known_server(fake.url) as known:
            assert [model.name for model in known.look().result(SECONDS)] == ["ok", "big"]
        fake.answers["/v1/models"] = lambda handler: handler.whole(b"<html>", "text/html")
        with known_server(fake.url) as known:
            assert known.look().result(SECONDS) == ()
            error = known.infos()[0].error
            assert error is not None
            assert error.code == "server_not_api"


def test_servers_on_the_usual_ports_are_found_and_named_ones_not_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fake_server("m") as one, fake_server("n") as two:
        for fake in (one, two):
            fake.answers["/api/version"] = {"version": "0.13"}
        ollama = kinds.Kind("Ollama", (one.port, two.port))
        monkeypatch.setattr("engine.servers.known.KINDS", {"ollama": ollama})
        known = Known()
        known.discovers = True
        ids = {model.id for model in known.look().result(SECONDS)}
        names = {info.name for info in known.infos()}
        assert len(ids) == 2
        assert "ollama" in names
        saved.save(checked(Endpoint("mine", one.url, saved=True)))
        assert "mine/m" in {model.id for model in known.look().result(SECONDS)}
        assert len(known.infos()) == 2
        two.close()
        known.look().result(SECONDS)
        assert [info.name for info in known.infos()] == ["mine"]
        known.thread.close()


# --- the engine ---------------------------------------------------------------------------------


def broken() -> object:
    raise ImportError("no torch here")


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """An engine in which torch cannot be imported."""

    monkeypatch.setattr("engine.host._create_backend", broken)
    client = await connect(Target(in_process=True), workbench=False)
    yield client
    await client.close()


async def ask(client: Client, chat: str, text: str) -> Message:
    events = client.events()
    sent = await client.request(c.Send(chat, text))
    async with asyncio.timeout(SECONDS):
        while True:
            body = (await anext(events)).body
            if isinstance(body, ReplyDone) and body.message.id == sent.reply.id:
                return body.message


@pytest.fixture
def fake() -> object:
    with fake_server("m") as opened:
        opened.answers[CHAT] = stream(chunk(content="from afar"), end())
        yield opened


async def test_a_server_answers_though_torch_is_broken(engine: Client, fake: FakeServer) -> None:
    info = await engine.request(c.AddEndpoint("box", fake.url))
    assert (info.reachable, info.models) == (True, ("m",))
    chat = await engine.request(c.NewChat("box/m", ChatSettings(overflow="summarise")))
    reply = await ask(engine, chat.id, "Hello")
    assert (reply.text, reply.finish) == ("from afar", "stop")
    model = await engine.request(c.ShowModel("box/m"))
    assert (model.state, model.runs_on, model.memory) == ("ready", "server", 0)
    use = await engine.request(c.MeasureContext(chat.id, "some words more"))
    assert use.estimated
    assert use.tokens > 5
    assert (await engine.request(c.CountTokens("box/m", "two words"))).estimated
    for command in (
        c.InspectReply(chat.id, reply.id),
        c.LoadModel("box/m", quant="int8"),
        c.StartRun(c.TrainSpec("box/m", "shipped:pirate")),
    ):
        with pytest.raises(EngineError) as caught:
            await engine.request(command)
        assert caught.value.info.code in ("not_here", "not_trainable", "torch_failed", "would_evict")
        assert caught.value.info.remedy


async def test_what_came_before_a_fault_stays_in_the_reply(engine: Client, fake: FakeServer) -> None:
    fake.answers[CHAT] = stream(chunk(content="half a"))
    await engine.request(c.AddEndpoint("box", fake.url))
    chat = await engine.request(c.NewChat("box/m"))
    reply = await ask(engine, chat.id, "Hello")
    assert (reply.text, reply.finish) == ("half a", "failed")
    assert reply.error is not None
    assert reply.error.code == "server_stopped"


async def test_a_server_that_hangs_holds_up_no_other(engine: Client, fake: FakeServer) -> None:
    with fake_server("m") as slow:
        slow.answers[CHAT] = endless(b": wait\n\n")
        await engine.request(c.AddEndpoint("slow", slow.url))
        await engine.request(c.AddEndpoint("box", fake.url))
        hung = await engine.request(c.NewChat("slow/m"))
        sent = await engine.request(c.Send(hung.id, "Hello?"))
        chat = await engine.request(c.NewChat("box/m"))
        assert (await ask(engine, chat.id, "Hello")).text == "from afar"
        await engine.request(c.ChangeChat(hung.id, model="box/m"))
        behind = await engine.request(c.Send(hung.id, "And you?"))
        events = engine.events()
        await engine.request(c.StopReply(sent.reply.id))
        ended: list[str] = []
        async with asyncio.timeout(SECONDS):
            while len(ended) < 2:
                body = (await anext(events)).body
                if isinstance(body, ReplyDone):
                    ended.append(body.message.id)
        assert ended == [sent.reply.id, behind.reply.id]
        assert slow.left.wait(5)


async def test_a_removed_server_comes_back_with_its_key(engine: Client, fake: FakeServer) -> None:
    await engine.request(c.AddEndpoint("box", fake.url, key="sk-1"))
    assert (await engine.request(c.LoadModel("box/m"))).state == "ready"
    await engine.request(c.RemoveEndpoint("box"))
    assert (await engine.request(c.ListEndpoints())).endpoints == ()
    with pytest.raises(EngineError):
        await engine.request(c.ShowModel("box/m"))
    info = await engine.request(c.RemoveEndpoint("box", restore=True))
    assert (info.reachable, info.key) == (True, "file")
    assert fake.asked[-1][2]["Authorization"] == "Bearer sk-1"
    moved = await engine.request(c.AddEndpoint("box", fake.url.replace("127.0.0.1", "localhost")))
    assert moved.key == "none", "a key went to another address"


async def test_a_server_that_is_down_says_so_when_its_model_is_asked_for(engine: Client) -> None:
    with fake_server("m") as gone:
        url = gone.url
    info = await engine.request(c.AddEndpoint("box", url))
    assert info.reachable is False
    with pytest.raises(EngineError) as caught:
        await engine.request(c.ShowModel("box/m"))
    assert caught.value.info.code == "server_unreachable"


# --- the command line ---------------------------------------------------------------------------


def test_the_command_names_lists_checks_and_removes(
    fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key, said = "sk-of-the-cli", ""
    monkeypatch.setattr("engine.host._create_backend", broken)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))

    def run(*words: str) -> tuple[int, str]:
        nonlocal said
        code = main(["--in-process", *words])
        out, err = capfd.readouterr()
        said += out + err
        return code, out

    code, out = run("endpoints", "add", "box", fake.url, "--key", "--json")
    assert (code, json.loads(out)["models"], json.loads(out)["key"]) == (0, ["m"], "file")
    assert run("chat", "-m", "box/m", "-p", "Hello") == (0, "from afar\n")
    assert "answers" in run("endpoints", "list", "--refresh")[1]
    fake.answers["/v1/models"] = status(401, {"error": "no"})
    code, out = run("endpoints", "check", "box")
    assert code == 1
    assert "refused the key" in out
    assert run("endpoints", "remove", "box", "--json")[0] == 0
    assert key not in said
    for path in home.rglob("*"):
        assert not (path.is_file() and key.encode() in path.read_bytes()), path
