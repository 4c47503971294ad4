"""`qwill chat`, `models` and `engine` against a real engine and the demo model, as scripts use them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from engine.api import Target, commands, connect, events, specs
from tests.support.command import qwill
from tests.support.playwright import Playwright
from tests.support.pty_app import QWILL, ROOT, PtyApp
from tests.support.scripted import engine_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
shared = pytest.mark.usefixtures("shared_home")
SUM = "What is 482 + 359?"
NO_FOLDER = ("chat", "-p", "hi", "-m", "/nowhere/at/all")


@shared
async def test_the_answer_is_on_stdout_and_the_thinking_on_stderr() -> None:
    done = await qwill("chat", "-p", SUM)
    assert done.code == 0
    assert "841" in done.out
    assert done.err.strip()
    assert "\x1b" not in done.out + done.err


@shared
async def test_without_thinking_nothing_is_on_stderr() -> None:
    done = await qwill("chat", "-p", "What can you do?", "--no-think")
    assert done.code == 0
    assert done.out.strip()
    assert done.err == ""


@shared
async def test_json_is_one_line_with_the_texts_as_decoded() -> None:
    done = await qwill("chat", "-p", SUM, "--json", "--temperature", "0", "--seed", "7")
    assert done.code == 0
    assert done.err == ""
    said = done.json
    assert list(said) == ["text", "thinking", "model", "adapter", "finish_reason", "stats"]
    assert "841" in said["text"]
    assert said["thinking"]
    assert (said["model"], said["adapter"], said["finish_reason"]) == ("demo", "", "stop")
    stats = said["stats"]
    assert set(stats) == {
        "prompt_tokens",
        "cached_tokens",
        "tokens",
        "thinking_tokens",
        "ttft_ms",
        "tokens_per_s",
    }
    assert 0 < stats["thinking_tokens"] < stats["tokens"]
    assert min(stats["prompt_tokens"], stats["ttft_ms"], stats["tokens_per_s"]) > 0

    plain = await qwill("chat", "-p", SUM, "--temperature", "0")
    assert plain.out.removesuffix("\n") == said["text"].removesuffix("\n")
    assert plain.err.removesuffix("\n") == said["thinking"].removesuffix("\n")


@shared
async def test_the_prompt_can_come_from_stdin() -> None:
    done = await qwill("chat", "-p", "-", "--json", stdin=SUM + "\n")
    assert "841" in done.json["text"]


async def test_what_comes_through_a_pipe_stands_below_the_prompt_and_files_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "rules.md").write_text("Be kind.")
    async with engine_with(Playwright("Fine.")) as play:
        done = await qwill("chat", "-p", "Review", "-f", str(tmp_path / "rules.md"), stdin="+ one line\n")
    assert (done.code, done.out) == (0, "Fine.\n")
    sent = next(command for command in play.asked if isinstance(command, commands.Send))
    assert sent.text == "Review\n\n+ one line"
    assert [(file.name, file.text) for file in sent.files] == [("rules.md", "Be kind.")]


@shared
async def test_a_file_that_is_not_there_is_one_sentence_and_nothing_is_asked() -> None:
    done = await qwill("chat", "-p", "Review", "-f", "nowhere.txt")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "nowhere.txt" in done.err


CODE = "Two:\n\n```sh\nls\n```\n\nand\n\n```python\nprint(1)\n```\n"


@pytest.mark.parametrize(
    ("option", "printed"), [((), "ls\n"), (("2",), "print(1)\n"), (("all",), "ls\n\nprint(1)\n")]
)
async def test_extract_prints_only_code(option: tuple[str, ...], printed: str) -> None:
    async with engine_with(Playwright(CODE)):
        done = await qwill("chat", "-p", "How?", "-x", *option)
        said = (await qwill("chat", "-p", "How?", "--json", "-x", *option)).json
    assert (done.code, done.out, done.err) == (0, printed, "")
    assert (said["text"], said["code"]) == (CODE, printed)


@pytest.mark.parametrize(("answer", "option"), [("No code here.", ()), (CODE, ("3",))])
async def test_extract_without_such_a_block_fails_in_one_sentence(
    answer: str, option: tuple[str, ...]
) -> None:
    async with engine_with(Playwright(answer)):
        done = await qwill("chat", "-p", "How?", "-x", *option)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("qwill: The answer holds ")
    assert done.err.count("\n") == 1


@shared
async def test_a_saved_chat_can_be_gone_on_with() -> None:
    await qwill("chat", "-p", "What can you do?", "--no-think", "--save", "--max-tokens", "3")
    done = await qwill("chat", "-p", SUM, "--continue", "--think", "--max-tokens", "60")
    assert done.code == 0
    client = await connect(Target())
    chats: commands.ChatList = await client.request(commands.ListChats())
    page: commands.ChatPage = await client.request(commands.ReadChat(chats.chats[0].id))
    await client.close()
    assert [m.text for m in page.messages if m.role == "user"] == ["What can you do?", SUM]
    assert (await qwill("chat", "-p", "x", "--chat", "nowhere")).code == 1


@shared
async def test_stdin_that_is_no_text_is_one_sentence() -> None:
    done = await qwill("chat", "-p", "-", stdin=b"\xff\xfe\x00")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "UTF-8" in done.err


@shared
async def test_max_tokens_cuts_and_says_length() -> None:
    said = (await qwill("chat", "-p", SUM, "--max-tokens", "5", "--json")).json
    assert said["finish_reason"] == "length"
    assert said["stats"]["tokens"] == 5


@shared
async def test_a_thinking_budget_is_kept() -> None:
    whole = (await qwill("chat", "-p", SUM, "--json")).json
    said = (await qwill("chat", "-p", SUM, "--think-budget", "8", "--json")).json
    assert said["stats"]["thinking_tokens"] == 8 < whole["stats"]["thinking_tokens"]
    assert said["thinking"][:8] == whole["thinking"][:8]
    assert said["text"]


async def kept_chats() -> tuple[specs.ChatInfo, ...]:
    client = await connect(Target())
    chats: commands.ChatList = await client.request(commands.ListChats())
    await client.close()
    return chats.chats


@shared
async def test_only_save_keeps_the_chat() -> None:
    before = await kept_chats()
    await qwill("chat", "-p", "first", "--max-tokens", "3")
    await qwill("chat", "-p", "second", "--max-tokens", "3", "--save")
    new = [chat for chat in await kept_chats() if chat not in before]
    assert [chat.title for chat in new] == ["second"]


@shared
async def test_an_unknown_model_is_one_line_with_a_remedy() -> None:
    done = await qwill(*NO_FOLDER)
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("qwill: ")
    assert done.err.count("\n") == 1
    said = (await qwill(*NO_FOLDER, "--json")).json
    assert said["error"]["code"] == "model_not_found"
    assert said["error"]["remedy"]


@shared
async def test_ctrl_c_keeps_what_was_said_and_fails() -> None:
    """SIGINT in the middle of a reply: the text so far is printed, the reply is stopped in the engine."""
    client = await connect(Target())
    engine = client.welcome.snapshot.engine.pid
    process = await asyncio.create_subprocess_exec(
        *QWILL, "chat", "-p", "What is 97 * 86?", "--json", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    async for event in client.events():
        if isinstance(event.body, events.TextDelta):
            break
    os.kill(engine, signal.SIGSTOP)  # holds the reply in its middle
    try:
        process.send_signal(signal.SIGINT)
        with pytest.raises(asyncio.TimeoutError):  # it waits for the engine's word
            await asyncio.wait_for(process.wait(), 0.5)
    finally:
        os.kill(engine, signal.SIGCONT)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    await client.close()
    said = json.loads(out)
    assert (process.returncode, said["finish_reason"]) == (1, "cancelled")
    assert said["thinking"]


@shared
async def test_models_can_be_listed_shown_loaded_and_unloaded() -> None:
    listed = await qwill("models", "list")
    assert listed.code == 0
    header, *rows = listed.out.splitlines()
    assert header.split()[0] == "model"
    assert any(row.startswith("demo ") for row in rows)

    loaded = (await qwill("models", "load", "demo", "--dtype", "float32", "--json")).json
    assert (loaded["id"], loaded["state"], loaded["load_dtype"]) == ("demo", "ready", "float32")
    assert loaded["memory"] > 1_000_000
    assert "ready" in (await qwill("models", "show", "demo")).out

    unloaded = (await qwill("models", "unload", "demo", "--json")).json
    assert (unloaded["state"], unloaded["memory"]) == ("available", 0)
    assert [m["id"] for m in (await qwill("models", "list", "--json")).json["models"]] == ["demo"]


async def test_the_engine_can_be_started_looked_at_and_stopped() -> None:
    assert (await qwill("engine", "status")).code == 1
    started = (await qwill("engine", "start", "--json")).json
    assert started["started"]
    os.kill(started["pid"], 0)
    again = (await qwill("engine", "start", "--json")).json
    assert again == {"pid": started["pid"], "started": False}
    status = (await qwill("engine", "status", "--json")).json
    assert (status["running"], status["pid"]) == (True, started["pid"])
    assert Path(status["log"]).is_file()
    assert (await qwill("engine", "stop", "--json")).json == {"stopped": True}
    assert (await qwill("engine", "status", "--json")).json == {"running": False}


async def test_two_that_start_at_once_share_one_engine() -> None:
    both = await asyncio.gather(*(qwill("engine", "start", "--json") for _ in range(2)))
    assert [done.code for done in both] == [0, 0], both
    assert both[0].json["pid"] == both[1].json["pid"]


async def test_an_engine_asked_to_leave_when_idle_leaves() -> None:
    pid = (await qwill("engine", "start", "--json")).json["pid"]
    assert (await qwill("engine", "stop", "--when-idle")).code == 0
    for _ in range(500):
        if (await qwill("engine", "status")).code == 1:
            break
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@shared
async def test_on_a_terminal_the_thinking_is_dim_and_apart() -> None:
    with PtyApp([*QWILL, "chat", "-p", SUM]) as app:
        assert await app.exited() == 0
        assert "841" in app.text()
        dim = bytes(app.raw).rfind(b"\x1b[2m")
        assert 0 <= dim < bytes(app.raw).rfind(b"841")


@shared
async def test_a_reply_nobody_reads_any_more_is_stopped() -> None:
    """`qwill chat ... | head -c 1` leaves no reply running and no traceback."""
    script = f"{' '.join(QWILL)} chat -p 'What is 97 * 86?' 2>&1 >/dev/null | head -c 1 >/dev/null"
    process = await asyncio.create_subprocess_exec("bash", "-c", script, cwd=ROOT)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    client = await connect(Target())
    live: tuple[specs.Message, ...] = client.welcome.snapshot.live
    await client.close()
    assert live == ()
