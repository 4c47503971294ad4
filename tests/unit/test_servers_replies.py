"""Replies of servers: streaming, thinking, stopping, and every way in which a server can fail."""

from __future__ import annotations

import json
import threading
import time

import pytest

from engine.backend import Begun, Turn
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, Sampling
from tests.support.fake_server import (
    FakeServer,
    Handler,
    chunk,
    end,
    endless,
    event,
    fake_server,
    status,
    stream,
)
from tests.support.server_chat import server_chat
from tests.support.sink import RecordedReply

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23}


def settings(**sampling: object) -> ChatSettings:
    return ChatSettings(sampling=Sampling(**sampling))  # type: ignore[arg-type]


def said(fake: FakeServer, *pieces: bytes) -> None:
    fake.answers[CHAT] = stream(*pieces)


def failure(fake: FakeServer, text: str = "Hello", **more: object) -> EngineError:
    with server_chat(fake.url, **more) as chat, pytest.raises(EngineError) as caught:
        chat.ask(text)
    return caught.value


def test_a_stream_becomes_text_with_the_servers_own_numbers() -> None:
    with fake_server("m") as fake:
        said(fake, chunk(role="assistant"), chunk(content="Hel"), chunk(content="lo"), end(usage=USAGE))
        with server_chat(fake.url) as chat:
            sink = RecordedReply()
            result = chat.ask(sink=sink)
    assert (result.text, result.thinking, result.finish) == ("Hello", "", "stop")
    assert "".join(text for _, text in sink.pieces) == "Hello"
    assert sink.states == ["prefill", "answering"]
    assert (result.stats.prompt_tokens, result.stats.tokens) == (21, 2)
    assert not result.stats.estimated
    assert result.settings.sampling.seed is not None


def test_a_stream_may_be_cut_anywhere_and_hold_comments_and_any_line_ends() -> None:
    data = b": keep-alive\r\n\r\nevent: message\r\n" + chunk(content="é€😀\n").replace(b"\n", b"\r\n")
    data += b"data:" + chunk(content="x")[6:] + b": ping\n\n" + end() + b"data: [DONE]\n\n"
    with fake_server("m") as fake:
        said(fake, *(data[place : place + 1] for place in range(len(data))))
        with server_chat(fake.url) as chat:
            assert chat.ask().text == "é€😀\nx"


def test_a_stream_without_done_and_without_a_last_line_end_is_whole_once_it_said_why_it_ended() -> None:
    with fake_server("m") as fake:
        said(fake, chunk(content="ok"), end().rstrip())
        with server_chat(fake.url) as chat:
            result = chat.ask()
    assert (result.text, result.finish) == ("ok", "stop")
    assert result.stats.estimated
    assert result.stats.prompt_tokens > 0


def test_a_server_that_does_not_stream_is_understood() -> None:
    with fake_server("m") as fake:
        message = {"role": "assistant", "content": "Whole", "reasoning": "Hm"}
        fake.answers[CHAT] = {"choices": [{"message": message, "finish_reason": "length"}], "usage": USAGE}
        with server_chat(fake.url) as chat:
            result = chat.ask()
    assert (result.text, result.thinking, result.finish) == ("Whole", "Hm", "length")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_in_a_field_of_its_own_is_thinking(field: str) -> None:
    with fake_server("m") as fake:
        said(fake, chunk(**{field: "Let me "}), chunk(**{field: "see"}), chunk(content="4 </think>"), end())
        with server_chat(fake.url) as chat:
            sink = RecordedReply()
            result = chat.ask(sink=sink)
    assert (result.thinking, result.text) == ("Let me see", "4 </think>")
    assert sink.states == ["prefill", "thinking", "answering"]
    assert result.stats.thinking_tokens == 2


def test_thinking_tags_in_the_text_are_found_over_pieces() -> None:
    with fake_server("m") as fake:
        said(fake, *(chunk(content=c) for c in ("<th", "ink>one", "</thi", "nk>", "two")), end())
        with server_chat(fake.url) as chat:
            result = chat.ask()
    assert (result.thinking, result.text) == ("one", "two")


def test_a_template_that_opens_thinking_in_the_prompt_is_known_by_the_models_name() -> None:
    with fake_server("Qwen/Qwen3-4B-Thinking-2507", owned_by="vllm") as fake:
        said(fake, chunk(content="hm"), chunk(content="</think>yes"), end())
        with server_chat(fake.url) as chat:
            result = chat.ask()
            said(fake, chunk(content="no thoughts at all"), end())
            plain = chat.ask()
    assert (result.thinking, result.text) == ("hm", "yes")
    assert (plain.thinking, plain.text) == ("", "no thoughts at all")


def test_a_stop_closes_the_stream_and_keeps_the_text() -> None:
    with fake_server("m") as fake:
        fake.answers[CHAT] = endless(chunk(content="word "))
        with server_chat(fake.url) as chat:
            sink = RecordedReply()
            stopper = threading.Thread(target=_stop_after_text, args=(sink,))
            stopper.start()
            result = chat.ask(sink=sink)
            stopper.join()
            assert fake.left.wait(5), "the server goes on"
    assert result.finish == "cancelled"
    assert result.text.startswith("word word")


def test_a_stop_works_while_the_server_says_nothing() -> None:
    with fake_server("m") as fake:
        fake.answers[CHAT] = lambda _: fake.left.wait(30)
        with server_chat(fake.url) as chat:
            sink = RecordedReply()
            threading.Timer(0.1, sink.cancelled.set).start()
            assert chat.ask(sink=sink).finish == "cancelled"
        fake.left.set()


def _stop_after_text(sink: RecordedReply) -> None:
    deadline = time.monotonic() + 10
    while len(sink.pieces) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    sink.cancelled.set()


# --- switching thinking -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "model", "expected"),
    [
        ("vllm", "Qwen/Qwen3-8B", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("sglang", "Qwen/Qwen3-8B", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("llama.cpp", "qwen3-8b", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("transformers", "Qwen/Qwen3-8B", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("lmstudio", "qwen/qwen3-8b", {"reasoning_effort": "none"}),
    ],
)
def test_each_kind_is_told_in_its_own_way_not_to_think(
    kind: str, model: str, expected: dict[str, object]
) -> None:
    with fake_server(model) as fake:
        said(fake, chunk(content="4"), end())
        with server_chat(fake.url, kind=kind) as chat:
            chat.ask("2+2?", ChatSettings(think=False))
    body = fake.bodies()[0]
    assert expected.items() <= body.items()
    assert ("/no_think" in body["messages"][-1]["content"]) == (kind == "lmstudio")


def test_a_reply_that_thinks_although_thinking_is_off_says_so() -> None:
    with fake_server("m") as fake:
        said(fake, chunk(reasoning_content="hm"), chunk(content="4"), end())
        with server_chat(fake.url, kind="vllm") as chat:
            assert "thinking is off" in chat.ask("2+2?", ChatSettings(think=False)).stats.note
            assert chat.ask("2+2?").stats.note == ""


def test_a_spent_thinking_budget_asks_again_for_the_answer_alone() -> None:
    with fake_server("qwen3-8b") as fake:

        def answer(handler: Handler) -> None:
            thinks = handler.body["chat_template_kwargs"]["enable_thinking"]
            write = endless(chunk(reasoning_content="hm ")) if thinks else stream(chunk(content="4"), end())
            write(handler)

        fake.answers[CHAT] = answer
        with server_chat(fake.url, kind="llama.cpp") as chat:
            result = chat.ask("2+2?", ChatSettings(think_budget=3))
    assert result.text == "4"
    assert result.thinking.startswith("hm hm hm")
    assert result.finish == "stop"


def test_ollama_is_asked_in_its_own_dialect() -> None:
    lines = [
        {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {"message": {"role": "assistant", "content": "4"}, "done": False},
        {
            "message": {"content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 30,
            "eval_count": 10,
            "eval_duration": 2_000_000_000,
        },
    ]
    show = {
        "capabilities": ["completion", "thinking", "vision"],
        "details": {"family": "qwen3", "quantization_level": "Q4_K_M"},
        "model_info": {"qwen3.context_length": 40960},
    }
    with fake_server("qwen3:8b", owned_by="library") as fake:
        fake.answers["/api/version"] = {"version": "0.13.0"}
        fake.answers["/api/show"] = show
        fake.answers["/api/ps"] = {"models": [{"name": "qwen3:8b", "context_length": 4096}]}
        fake.answers["/api/chat"] = stream(
            *(json.dumps(line).encode() + b"\n" for line in lines), kind="application/x-ndjson"
        )
        with server_chat(fake.url) as chat:
            assert (chat.model.context, chat.model.thinking, chat.model.vision) == (40960, "switchable", True)
            assert chat.model.quant == "Q4_K_M"
            result = chat.ask("2+2?", replace_sampling(think=False, context=8192))
    body = fake.bodies("/api/chat")[0]
    assert body["think"] is False
    assert body["options"]["num_ctx"] == 8192
    assert (body["options"]["top_k"], body["options"]["num_predict"]) == (5, 50)
    assert (result.thinking, result.text) == ("hm", "4")
    assert result.stats.tokens_per_s == pytest.approx(5.0)
    assert result.stats.context_size == 4096
    assert "Ollama did not follow" in result.stats.note


def replace_sampling(**more: object) -> ChatSettings:
    return ChatSettings(sampling=Sampling(top_k=5, max_tokens=50), **more)  # type: ignore[arg-type]


# --- parameters -------------------------------------------------------------------------------


def test_sampling_goes_by_the_names_of_the_server() -> None:
    with fake_server("m") as fake:
        said(fake, chunk(content="a"), end())
        wanted = settings(temperature=0.5, top_k=0, min_p=0.1, repetition_penalty=1.1, seed=7, max_tokens=9)
        for kind in ("vllm", "llama.cpp", "other"):
            with server_chat(fake.url, kind=kind) as chat:
                note = chat.ask("x", wanted).stats.note
        vllm, llama, other = fake.bodies()
    assert (vllm["top_k"], vllm["repetition_penalty"], vllm["seed"]) == (-1, 1.1, 7)
    assert (llama["top_k"], llama["repeat_penalty"], llama["min_p"]) == (0, 1.1, 0.1)
    assert not {"top_k", "min_p", "repetition_penalty", "repeat_penalty"} & other.keys()
    assert (other["temperature"], other["max_tokens"]) == (0.5, 9)
    assert "top k, min p, repetition penalty" in note


def test_a_parameter_that_the_server_names_as_wrong_is_left_out_from_then_on() -> None:
    with fake_server("m") as fake:

        def answer(handler: Handler) -> None:
            if "seed" in handler.body:
                status(422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs: seed"}]})(handler)
            elif "max_tokens" in handler.body:
                message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
                status(400, {"error": {"message": message}})(handler)
            else:
                stream(chunk(content="ok"), end())(handler)

        fake.answers[CHAT] = answer
        with server_chat(fake.url, kind="other") as chat:
            result = chat.ask("x", settings(seed=3, max_tokens=5))
            chat.ask("y", settings(seed=3, max_tokens=5))
    assert result.text == "ok"
    assert "takes no seed" in result.stats.note
    assert len(fake.bodies()) == 4
    assert fake.bodies()[-1]["max_completion_tokens"] == 5


def test_old_turns_are_left_out_when_the_server_finds_the_chat_too_long() -> None:
    turns = tuple(Turn("user" if n % 2 == 0 else "assistant", f"{n} " + "word " * 50) for n in range(21))
    with fake_server("m") as fake:

        def answer(handler: Handler) -> None:
            if len(handler.body["messages"]) > 6:
                message = "This model's maximum context length is 300 tokens, max_tokens included"
                status(400, {"error": {"message": message}})(handler)
            else:
                stream(chunk(content="ok"), end())(handler)

        fake.answers[CHAT] = answer
        with server_chat(fake.url) as chat:
            result = chat.ask(turns)
            with pytest.raises(EngineError) as caught:
                chat.ask(turns, ChatSettings(overflow="stop"))
    kept = fake.bodies()[-2]["messages"]
    assert result.text == "ok"
    assert "left out" in result.stats.note
    assert kept[0]["role"] == "user"
    assert kept[-1]["content"].startswith("20 ")
    assert caught.value.info.code == "context_full"


def test_a_reply_goes_on_from_its_beginning() -> None:
    with fake_server("m") as fake:
        said(fake, chunk(content=" there"), end())
        with server_chat(fake.url, kind="vllm") as chat:
            result = chat.ask("Hi", begun=Begun(text="Hello"))
        with server_chat(fake.url, kind="other") as chat, pytest.raises(EngineError) as caught:
            chat.ask("Hi", begun=Begun(text="Hello"))
    body = fake.bodies()[0]
    assert result.text == "Hello there"
    assert body["messages"][-1] == {"role": "assistant", "content": "Hello"}
    assert body["continue_final_message"] is True
    assert caught.value.info.code == "no_continuing"


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, "server_key"),
        (404, {"error": {"message": "The model `m` does not exist"}}, "server_model_gone"),
        (429, {"error": "slow down"}, "server_busy"),
        (500, {"detail": "boom"}, "server_failed"),
        (503, "<html><h1>Service Unavailable</h1></html>", "server_failed"),
        (400, {"error": {"message": "bad roles"}}, "server_refused"),
        (302, "", "server_not_api"),
    ],
)
def test_a_refusal_is_one_sentence_with_a_remedy(code: int, body: object, expected: str) -> None:
    with fake_server("m") as fake:
        fake.answers[CHAT] = status(code, body)
        info = failure(fake).info
    assert info.code == expected
    assert info.title
    assert info.remedy
    assert "<" not in info.sentence()


def test_a_page_of_html_and_a_babble_without_end_are_refused() -> None:
    with fake_server("m") as fake:
        fake.answers[CHAT] = lambda handler: handler.whole(b"<html>hi</html>", "text/html")
        assert failure(fake).info.code == "server_not_api"
        said(fake, b"not json at all\n")
        assert failure(fake).info.code == "server_not_api"
        fake.answers[CHAT] = endless(b"x" * (1 << 20))
        assert failure(fake).info.code == "server_babble"
        assert fake.left.wait(5)


@pytest.mark.parametrize("how", ["cut", "ended", "error"])
def test_a_server_that_stops_in_the_middle_leaves_the_text_and_says_so(how: str) -> None:
    def answer(handler: Handler) -> None:
        handler.begin()
        handler.chunk(chunk(content="so far"))
        if how == "cut":
            handler.cut()
            return
        if how == "error":
            handler.chunk(event({"error": {"message": "CUDA out of memory"}}))
        handler.chunk(b"")

    with fake_server("m") as fake:
        fake.answers[CHAT] = answer
        sink = RecordedReply()
        with server_chat(fake.url) as chat, pytest.raises(EngineError) as caught:
            chat.ask(sink=sink)
    assert caught.value.info.code == "server_stopped"
    assert sink.pieces == [("answer", "so far")]
    assert ("CUDA" in caught.value.info.detail) == (how == "error")


def test_silence_ends_after_the_timeout() -> None:
    with fake_server("m") as fake:
        fake.answers[CHAT] = lambda _: fake.left.wait(30)
        error = failure(fake, timeout=1.0)
        fake.left.set()
    assert error.info.code == "server_timeout"
    assert "1 seconds" in error.info.title


def test_a_server_that_is_gone_is_named_with_its_place() -> None:
    with fake_server("m") as fake, server_chat(fake.url) as chat:
        place = f"127.0.0.1:{fake.port}"
        fake.close()
        with pytest.raises(EngineError) as caught:
            chat.ask()
    assert caught.value.info.code == "server_unreachable"
    assert place in caught.value.info.title
    assert chat.model.device == place


def test_a_key_is_sent_and_never_said(caplog: pytest.LogCaptureFixture) -> None:
    with fake_server("m") as fake:
        fake.answers[CHAT] = status(401, {"error": {"message": "Bad key sk-secret-123 given"}})
        with caplog.at_level("DEBUG"):
            info = failure(fake, key="sk-secret-123").info
    assert fake.asked[-1][2]["Authorization"] == "Bearer sk-secret-123"
    assert "sk-secret-123" not in info.sentence() + caplog.text
    assert "refused the key" in info.title
