"""The endpoint with the demo model: OpenAI's own client is answered, and hostile requests are not."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

from engine.backend import LoadSpec
from engine.client import Client
from engine.connect import Target, connect
from engine.models.describe import describe
from engine.models.discover import demo_path
from engine.models.fingerprint import fingerprint
from engine.paths import log_path
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.events import ReplyDone, ServingChanged
from engine.protocol.specs import ChatSettings, Sampling
from engine.serving import asking as asking_module
from engine.serving import door as door_module
from engine.workers.loaded import load
from engine.workers.training.adapter import save_adapter, skeleton
from engine.workers.vocabulary import Vocabulary
from tests.support.serving import Endpoint, endpoint

pytestmark = pytest.mark.engine
LONG = {"max_tokens": 2000}
"""Of a model that never ends by itself."""
HELLO = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token ends a reply."""
    monkeypatch.setattr(Vocabulary, "_stops", lambda *_: ())


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = await connect(Target(in_process=True))
    yield client
    await client.close()


@pytest.fixture
async def served(client: Client) -> AsyncIterator[Endpoint]:
    async with endpoint(client) as made:
        yield made


def random_adapter(folder: Path) -> None:
    """An adapter of the demo model that changes what it says."""
    demo = describe(demo_path(), "demo", "demo", "demo")
    loaded = load(LoadSpec(demo, "float32"), 1, lambda *_: None, threading.Event())
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=200, target_modules="all-linear", init_lora_weights=False)
    note = {"base_fingerprint": fingerprint(demo_path()), "name": "rand"}
    save_adapter(get_peft_model(skeleton(loaded.model), config), folder, note, "card")


def picture_part() -> dict[str, object]:
    """A dot, as OpenAI's clients send images."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


# --- answers ----------------------------------------------------------------------------------


async def test_a_conversation_by_openais_client_reuses_what_was_computed(served: Endpoint) -> None:
    first = await served.ask()
    said = first.choices[0].message
    assert "Qwill" in said.content
    assert not said.content.startswith("\n")
    assert (first.object, first.model, first.choices[0].finish_reason) == ("chat.completion", "demo", "stop")
    again = await served.ask(
        messages=[
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": said.content},
            {"role": "user", "content": [{"type": "text", "text": "Who are you?"}]},
        ]
    )
    assert "Qwill" in again.choices[0].message.content
    usage = again.usage
    assert usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens - 4
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert [each.id async for each in served.ai.models.list()] == ["demo"]
    assert (await served.ai.models.retrieve("demo")).id == "demo"
    assert (await served.state()).requests == 2
    chats = (await served.client.request(c.ListChats())).chats
    assert chats == ()


async def test_thinking_is_streamed_beside_the_answer_and_can_be_turned_off(served: Endpoint) -> None:
    chunks = [
        chunk
        async for chunk in await served.ask(
            "What is 12 + 30?",
            reasoning_effort="high",
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=200,
        )
    ]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    answer = "".join(delta.content or "" for delta in deltas)
    assert thought.strip()
    assert "42" in answer
    assert deltas[0].role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "stop"
    switched = {"chat_template_kwargs": {"enable_thinking": False}}
    plain = await served.ask(reasoning_effort="high", extra_body=switched)
    assert getattr(plain.choices[0].message, "reasoning_content", None) is None
    assert "Qwill" in plain.choices[0].message.content


async def test_a_reply_ends_before_a_stop_string_and_at_its_limit(served: Endpoint) -> None:
    whole = (await served.ask("Who are you?")).choices[0].message.content
    cut = whole.index("tiny") + 2
    for stream in (False, True):
        answer = await served.ask("Who are you?", stop=["nowhere", whole[cut : cut + 9]], stream=stream)
        if stream:
            pieces = [chunk.choices[0] async for chunk in answer]
            text, finish = "".join(each.delta.content or "" for each in pieces), pieces[-1].finish_reason
        else:
            text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        assert (text, finish) == (whole[:cut], "stop")
    short = await served.ask("Who are you?", max_completion_tokens=3)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 3)
    hot = {"temperature": 2.0, "seed": 7, "max_tokens": 20}
    same = [(await served.ask("Who are you?", **hot)).choices[0].message.content for _ in range(2)]
    assert same[0] == same[1]


async def test_an_adapter_is_a_model_of_its_own_name(client: Client, tmp_path: Path) -> None:
    await asyncio.to_thread(random_adapter, tmp_path / "loras" / "rand")
    await client.request(c.AddFolder(str(tmp_path / "loras")))
    async with endpoint(client) as served:
        assert [each.id async for each in served.ai.models.list()] == ["demo", "demo+rand"]
        plain = await served.ask("Who are you?")
        other = await served.ask("Who are you?", model="demo+rand")
        assert other.model == "demo+rand"
        assert other.choices[0].message.content != plain.choices[0].message.content
        status, error = await served.refused(model="demo+nobody")
        assert (status, error["code"]) == (404, "model_not_found")


# --- one queue --------------------------------------------------------------------------------


async def test_chat_and_requests_take_turns(endless: None, served: Endpoint) -> None:
    """While requests pile up, a message of the chat waits for one of them, not for all."""
    client = served.client
    settings = ChatSettings(think=False, sampling=Sampling(temperature=0.0, max_tokens=5))
    chat = await client.request(c.NewChat("demo", settings, saved=False))
    await served.ask(max_tokens=1)
    order: list[str] = []

    async def request(number: int) -> None:
        await served.ask(max_tokens=40, reasoning_effort="high")
        order.append(f"request {number}")

    requests = [asyncio.create_task(request(number)) for number in range(4)]
    await served.until(lambda info: info.active == 4)
    sent = await client.request(c.Send(chat.id, "What is 1 + 1?"))
    async with asyncio.timeout(30):
        async for event in client.events():
            if isinstance(event.body, ReplyDone) and event.body.message.id == sent.reply.id:
                order.append("chat")
                break
    await asyncio.gather(*requests)
    assert order.index("chat") <= 2


async def test_a_client_that_leaves_stops_its_reply_and_the_next_one_is_answered(
    endless: None, served: Endpoint
) -> None:
    stream = await served.ask("Who are you?", stream=True, **LONG)
    await anext(aiter(stream))
    waits = asyncio.create_task(served.ask("What is 2 + 2?", **LONG))
    await served.until(lambda info: info.active == 2)
    waits.cancel()  # while it waits for its turn
    await served.until(lambda info: info.active == 1)
    await stream.close()  # while it is written
    await served.until(lambda info: info.active == 0)
    assert "Qwill" in (await served.ask()).choices[0].message.content


async def test_too_many_requests_are_told_to_come_later(
    endless: None, served: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_module, "WAITING", 1)
    stream = await served.ask(stream=True, **LONG)
    await anext(aiter(stream))
    status, error = await served.refused()
    assert (status, error["type"]) == (429, "rate_limit_error")
    await stream.close()
    await served.until(lambda info: info.active == 0)


async def test_the_end_of_serving_ends_its_requests(endless: None, client: Client) -> None:
    async with endpoint(client) as served:
        stream = await served.ask(stream=True, **LONG)
        await anext(aiter(stream))
        async with asyncio.timeout(20):
            closed = await client.request(c.StopServing())
        assert closed.serving is not None
        with pytest.raises((openai.APIError, asyncio.CancelledError, Exception)):
            async for _ in stream:
                pass
        with pytest.raises(openai.APIConnectionError):
            await served.ask()
        assert (await client.request(c.ShowServing())).serving is None


# --- hostile requests -------------------------------------------------------------------------


async def test_nobody_gets_in_without_the_token_or_by_another_name(served: Endpoint) -> None:
    good = served.head()
    assert (await served.raw(good))[0] == 200
    wrong = {
        "no token": (served.head(Authorization=""), 401),
        "wrong token": (served.head(Authorization="Bearer nope"), 401),
        "other scheme": (served.head(Authorization=f"Basic {served.token}"), 401),
        "letters beyond ASCII": (served.head(Authorization="Bearer \u20ac\u20ac"), 401),
        "rebound name": (served.head(Host="evil.example:8123"), 403),
        "name with a tail": (served.head(Host="localhost.evil.example"), 403),
        "no host": (served.head(Host=""), 400),
        "web page": (served.head(Origin="https://evil.example"), 403),
        "page without an origin": (served.head(Origin="null"), 403),
        "preflight": (served.head("OPTIONS", Authorization="", Origin="https://evil.example"), 403),
        "health": (served.head(path="/health", Authorization=""), 401),
        "elsewhere": (served.head(path="/../../etc/passwd"), 404),
        "method": (served.head("DELETE"), 405),
    }
    for name, (request, status) in wrong.items():
        found, body = await served.raw(request)
        assert found == status or (name == "no host" and found in (400, 403)), (name, found, body)
        if name != "no host":
            assert json.loads(body)["error"]["message"], name
    assert (await served.raw(served.head(path="/health")))[0] == 200


async def test_bad_requests_are_answered_in_one_sentence(served: Endpoint) -> None:
    deep = b'{"messages": ' + b"[" * 100_000
    for body, code in (
        (b"{", "invalid_json"),
        (deep, "invalid_value"),
        (b"\xff\xfe", "invalid_json"),
        (b"[]", "invalid_value"),
        (b'{"messages": []}', "invalid_value"),
    ):
        status, answer = await served.raw(served.post(body))
        assert (status, json.loads(answer)["error"]["code"]) == (400, code), body[:20]
    for more, code in (
        ({"temperature": -1}, "invalid_value"),
        ({"n": 2}, "unsupported_value"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools_unsupported"),
        ({"presence_penalty": 1.0}, "unsupported_parameter"),
        ({"reasoning_effort": "very"}, "invalid_value"),
        ({"stop": ["x"] * 99}, "invalid_value"),
        ({"response_format": {"type": "json_object"}}, "unsupported_value"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": "word " * 9000}]}, "context_length_exceeded"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]}
                ]
            },
            "invalid_image_url",
        ),
        ({"messages": [{"role": "user", "content": [picture_part()]}]}, "no_vision"),
    ):
        status, error = await served.refused(**more)
        assert (status, error["code"]) == (400, code)
        assert error["message"].endswith(".")
        assert "\n" not in error["message"]
    assert (await served.refused(model="gpt-4"))[0] == 404
    stream = await served.refused(stream=True, messages=[{"role": "user", "content": "word " * 9000}])
    assert stream[0] == 400  # before a stream begins, a fault is a status


async def test_a_request_that_is_too_large_or_never_ends_is_bounded(
    served: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = served.head("POST", "/v1/chat/completions", Content_Length=str(10**12))
    assert (await served.raw(huge))[0] == 413
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    head = served.head("POST", "/v1/chat/completions", Transfer_Encoding="chunked")
    assert (await served.raw(head + chunk * 30))[0] in (0, 413)  # or cut off while it still sends
    packed = served.post(json.dumps(HELLO).encode(), Content_Encoding="gzip")
    assert (await served.raw(packed))[0] == 415
    assert (await served.raw(b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000))[0] == 400
    monkeypatch.setattr(door_module, "BODY_SECONDS", 0.1)
    slow = served.head("POST", "/v1/chat/completions", Content_Length="100")
    assert (await served.raw(slow + b"{"))[0] == 408
    assert "Qwill" in (await served.ask()).choices[0].message.content


async def test_a_connection_that_says_nothing_is_closed_and_too_many_are_not_taken(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "HEAD_SECONDS", 0.3)
    async with endpoint(client) as served:
        assert await served.raw(b"GET /v1/models HTTP/1.1\r\nHost: local") == (0, b"")
    monkeypatch.setattr(door_module, "HEAD_SECONDS", 20)
    monkeypatch.setattr(door_module, "CONNECTIONS", 3)
    async with endpoint(client) as served:
        idle = [await asyncio.open_connection("127.0.0.1", served.info.port) for _ in range(3)]
        for _, writer in idle:
            writer.write(b"GET")
            await writer.drain()
        try:
            with pytest.raises((AssertionError, ConnectionError)):
                assert (await served.raw(served.head()))[0] == 200
        finally:
            for _, writer in idle:
                writer.close()


# --- its life ---------------------------------------------------------------------------------


async def test_the_token_is_kept_for_its_owner_alone_and_never_told(
    client: Client, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with endpoint(client) as served:
        path = Path(served.info.token_file)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await served.raw(served.head(Authorization=f"Bearer {served.token}\x00"))
        await served.refused(model="gpt-4")
        assert served.token not in repr(await served.state())
        assert served.token not in repr(c.StartServing(token=served.token))
        kept = served.token
    async with endpoint(client) as served:
        assert served.token == kept
    path.chmod(0o644)
    async with endpoint(client) as served:
        assert served.token != kept  # others could have read it
    assert kept not in caplog.text
    assert not log_path().exists() or kept not in log_path().read_text()


async def test_a_given_token_is_not_kept_and_must_not_be_easy_to_guess(client: Client) -> None:
    with pytest.raises(EngineError, match="16 characters"):
        await client.request(c.StartServing(port=0, token="secret"))
    async with endpoint(client, token="a-token-of-my-own") as served:
        assert (served.info.token, served.info.token_file) == ("given", "")
        assert (await served.raw(served.head()))[0] == 200
        again = await client.request(c.StartServing(port=0))
        assert again.port == served.info.port
        with pytest.raises(EngineError, match="Serving already"):
            await client.request(c.StartServing(port=0, token="b-token-of-my-own"))
    assert await client.request(c.StopServing()) == c.ServingState(None)


async def test_a_page_that_is_allowed_may_ask(client: Client) -> None:
    page = "http://localhost:3000"
    async with endpoint(client, origins=(page,)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.info.port)
        writer.write(served.head("OPTIONS", "/v1/chat/completions", Authorization="", Origin=page))
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.startswith("HTTP/1.1 204")
        assert f"Access-Control-Allow-Origin: {page}" in answer
        assert (await served.raw(served.head(Origin=page, Authorization="")))[0] == 401
        assert (await served.raw(served.head(Origin=page)))[0] == 200


async def test_clients_are_told_and_a_taken_port_is_refused(client: Client) -> None:
    seen: list[int | None] = []
    async with endpoint(client) as served:
        await served.ask(max_tokens=1)
        with pytest.raises(EngineError, match="Serving already"):
            await client.request(c.StartServing(port=served.info.port + 1))
        port = served.info.port
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    taken = listener.sockets[0].getsockname()[1]
    with pytest.raises(EngineError, match=f"Port {taken} cannot be had"):
        await client.request(c.StartServing(port=taken))
    listener.close()
    async with asyncio.timeout(10):
        async for event in client.events():
            if isinstance(event.body, ServingChanged):
                seen.append(event.body.serving and event.body.serving.port)
                if event.body.serving is None:
                    break
    assert (seen[0], seen[-1]) == (port, None)
