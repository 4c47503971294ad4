"""Servers in place of this machine: naming them, their models in the browser, and what their replies tell."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from engine.api import ErrorInfo, commands, events, runs, specs
from tests.support.fake_engine import DEMO, REAL, FakeEngine, snapshot
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.actions import Moment
from tui.linear import reply_commands, words
from tui.modals.endpoint import EndpointDialog, suggested
from tui.model_rows import Row
from tui.screens.models import Models
from tui.screens.train import Train
from tui.server_rows import ServerLine

BOX = commands.EndpointInfo(
    "box",
    "http://box.lan:8000/v1",
    kind="vllm",
    version="0.9.1",
    saved=True,
    key="file",
    timeout=300.0,
    reachable=True,
    latency_ms=12.4,
    models=("Qwen/Qwen3-32B",),
    warning="The connection to box.lan:8000 is not encrypted: others on the way can read the chats",
)
ATTIC = commands.EndpointInfo(
    "attic",
    "https://attic.example/v1",
    saved=True,
    reachable=False,
    error=ErrorInfo("server_unreachable", "attic does not answer", "Connection refused"),
)
OLLAMA = commands.EndpointInfo("ollama", "http://127.0.0.1:11434/v1", kind="ollama", reachable=True)
GHOST = commands.EndpointInfo("ghost", "http://127.0.0.1:1234/v1", reachable=False)

BROAD = (160, 40)
"""Columns in which every key hint of the transcript has room."""


def served(server: str, name: str, **more: object) -> specs.ModelInfo:
    return specs.ModelInfo(
        id=f"{server}/{name}",
        name=name.rpartition("/")[2],
        source="server",
        runs_on="server",
        path=f"http://{server}/v1",
        thinking="switchable",
        **more,  # type: ignore[arg-type]
    )


BIG = served("box", "Qwen/Qwen3-32B", state="ready", context=32768)
MODELS = (DEMO, REAL, BIG, served("attic", "Old-7B"), served("ollama", "llama3.2:3b"), served("ghost", "boo"))


def shop(**changes: object) -> FakeEngine:
    engine = FakeEngine(snapshot(**({"models": MODELS} | changes)))
    engine.answers[commands.ListEndpoints] = lambda _: commands.EndpointList((BOX, ATTIC, OLLAMA, GHOST))
    engine.answers[commands.ListDatasets] = lambda _: commands.DatasetList(datasets=())
    return engine


@pytest.fixture(autouse=True)
def a_steady_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.bandwidth.memory_bandwidth", lambda: 30e9)


async def browse(desk: Desk, key: str) -> Models:
    """F2 with the cursor on this line."""
    await desk.press("f2")
    await desk.until(
        lambda: isinstance(desk.app.screen, Models) and desk.app.screen.known.endpoints is not None
    )
    screen = desk.app.screen
    assert isinstance(screen, Models)
    screen.table.cursor = key
    screen.draw()
    await desk.pilot.pause()
    return screen


async def chatting_with_box(desk: Desk) -> None:
    desk.bench.use_model(BIG.id)
    await desk.until(lambda: desk.bench.state.model_id() == BIG.id)


# --- the browser ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [WIDE, NARROW, TINY], ids=["120x40", "80x24", "40x12"])
async def test_servers_are_listed_with_their_models_below_them(size: tuple[int, int]) -> None:
    async with open_desk(shop(), size) as desk:
        screen = await browse(desk, f"here:{BIG.id}")
        lines = desk.text().split("\n")
        assert max(map(len, lines)) <= size[0]
        assert "◇ there" in next(line for line in lines if "◇ Qwen3-32B" in line)
        items = screen.table.items
        at = next(place for place, item in enumerate(items) if isinstance(item, ServerLine))
        assert [each.id for each in items[:at] if isinstance(each, Row)] == [DEMO.id, REAL.id]
        names = [item.info.name for item in items if isinstance(item, ServerLine)]
        assert names == ["attic", "box", "ollama"]
        assert not any(isinstance(item, Row) and item.id == "ghost/boo" for item in items)


async def test_one_that_is_silent_says_why_and_one_that_is_open_warns() -> None:
    async with open_desk(shop()) as desk:
        screen = await browse(desk, "here:attic/Old-7B")
        text = desk.text()
        assert "attic does not answer. Connection" in text
        assert "✗ silent" in next(line for line in text.split("\n") if "◇ Old-7B" in line)
        assert screen.moment() is Moment.SERVED
        screen.table.cursor = "server:box"
        screen.draw()
        text = await desk.until("vLLM 0.9.1 answers in 12 ms with 1")
        assert "The connection to box.lan:8000 is" in text
        assert "in a file that only you can read" in text
        assert screen.moment() is Moment.SERVERS


async def test_enter_on_a_servers_model_chats_with_it_and_the_header_says_where_it_runs() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk, f"here:{BIG.id}")
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        await desk.until("Qwen3-32B · box")
        await desk.until("the model is on box")


async def test_enter_on_a_server_asks_it_again() -> None:
    engine = shop()
    engine.answers[commands.CheckEndpoint] = lambda _: msgspec.structs.replace(BOX, models=("a", "b"))
    async with open_desk(engine) as desk:
        await browse(desk, "server:box")
        before = len(engine.asked(commands.ListEndpoints))
        await desk.press("enter")
        await desk.until("with 2 models.")
        assert engine.asked(commands.CheckEndpoint) == [commands.CheckEndpoint("box")]
        await desk.until(lambda: len(engine.asked(commands.ListEndpoints)) > before)


async def test_x_takes_a_server_off_the_list_and_z_brings_it_back() -> None:
    engine = shop()
    left = tuple(model for model in MODELS if not model.id.startswith("box/"))

    def remove(command: commands.RemoveEndpoint) -> commands.EndpointInfo:
        shown = (BOX, OLLAMA) if command.restore else (OLLAMA,)
        models = MODELS if command.restore else left
        engine.answers[commands.ListEndpoints] = lambda _: commands.EndpointList(shown)
        engine.answers[commands.ListModels] = lambda _: commands.ModelList(models=models)
        return BOX

    engine.answers[commands.RemoveEndpoint] = remove
    async with open_desk(engine) as desk:
        screen = await browse(desk, "server:box")
        await desk.press("x")
        await desk.until("box is off the list. z brings it back.")
        await desk.until(lambda: BIG.id not in desk.bench.state.engine.models)
        assert engine.asked(commands.DeleteCached) == []
        await desk.press("z")
        await desk.until(lambda: BIG.id in desk.bench.state.engine.models)
        await desk.until(lambda: screen.server is not None and screen.server.name == "box")
        assert [each.restore for each in engine.asked(commands.RemoveEndpoint)] == [False, True]


async def test_a_server_that_was_found_by_itself_is_not_taken_off_and_that_is_told() -> None:
    engine = shop()
    engine.refuse(commands.RemoveEndpoint, "endpoint_found", "ollama is not in the settings", "It was found")
    async with open_desk(engine) as desk:
        await browse(desk, "server:ollama")
        await desk.press("x")
        await desk.until("ollama is not in the settings")


async def test_settings_that_cannot_be_read_leave_the_models_where_they_were() -> None:
    engine = shop()
    engine.refuse(commands.ListEndpoints, "settings_wrong", "settings.toml cannot be used", "line 3")
    async with open_desk(engine) as desk:
        await desk.press("f2")
        await desk.until("settings.toml cannot be used")
        assert isinstance(desk.app.screen, Models)
        assert any(isinstance(item, Row) and item.id == BIG.id for item in desk.app.screen.table.items)


# --- naming one -----------------------------------------------------------------------------


async def test_a_server_is_named_checked_and_its_key_is_never_shown() -> None:
    engine = shop()
    engine.answers[commands.AddEndpoint] = lambda asked: msgspec.structs.replace(
        BOX, name=asked.name, url=asked.url
    )
    async with open_desk(engine) as desk:
        await desk.say_command("/endpoint gpu.lan:8000")
        await desk.until(lambda: isinstance(desk.app.screen, EndpointDialog))
        await desk.until("none is needed")
        await desk.press("tab", "tab", *"s3cret-key", "enter")
        text = await desk.until("vLLM 0.9.1 answers in 12 ms with 1 model.")
        assert "s3cret" not in text
        assert "is not encrypted" in text
        assert "Qwen/Qwen3-32B" in text
        asked = engine.asked(commands.AddEndpoint)[0]
        assert (asked.name, asked.url, asked.key) == ("gpu", "gpu.lan:8000", "s3cret-key")
        assert "s3cret" not in repr(asked)
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert len(engine.asked(commands.AddEndpoint)) == 1
        assert engine.asked(commands.ListModels)


async def test_one_that_does_not_answer_is_kept_and_can_be_put_right_in_the_same_dialog() -> None:
    engine = shop()
    engine.answers[commands.AddEndpoint] = lambda asked: msgspec.structs.replace(ATTIC, name=asked.name)
    async with open_desk(engine, NARROW) as desk:
        await desk.say_command("/endpoint")
        await desk.until(lambda: isinstance(desk.app.screen, EndpointDialog))
        await desk.press("enter")
        await desk.until("An address is needed")
        await desk.press(*"localhost:8000", "tab", "tab", "tab", *"$MY_KEY", "enter")
        await desk.until("it is kept all the same")
        assert engine.asked(commands.AddEndpoint)[0].key_env == "MY_KEY"
        engine.refuse(commands.AddEndpoint, "endpoint_wrong", "The server is not set up right", "no host")
        await desk.press("shift+tab", "shift+tab", *"desk", "enter")
        await desk.until("The server is not set up right. no host.")
        engine.answers[commands.AddEndpoint] = lambda asked: msgspec.structs.replace(OLLAMA, name=asked.name)
        await desk.press("enter")
        await desk.until("Ollama answers")
        assert [each.name for each in engine.asked(commands.RemoveEndpoint)] == ["local-8000"]


async def test_a_server_under_the_cursor_is_changed_and_keeps_its_patience() -> None:
    engine = shop()
    engine.answers[commands.AddEndpoint] = lambda asked: BOX
    async with open_desk(engine) as desk:
        await browse(desk, "server:box")
        await desk.press("e")
        await desk.until("unchanged, in a file that only you can read")
        await desk.press("enter")
        await desk.until("answers in 12 ms")
        asked = engine.asked(commands.AddEndpoint)[0]
        assert (asked.name, asked.url, asked.key, asked.timeout) == ("box", BOX.url, "", 300.0)


async def test_a_name_that_is_taken_is_told_before_it_is_replaced() -> None:
    async with open_desk(shop()) as desk:
        await desk.say_command("/endpoint http://other:1/v1")
        await desk.until(lambda: desk.engine.asked(commands.ListEndpoints))
        await desk.press("tab", *"box")
        await desk.until("It takes the place of box")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://gpu-box.lan:8000/v1", "gpu-box"),
        ("localhost:8000", "local-8000"),
        ("http://127.0.0.1:8080/v1", "local-8080"),
        ("10.0.0.7:30000", "10.0.0.7"),
        ("https://box/v1", "box-2"),
        ("", ""),
        ("http://", ""),
        ("\x1b[31m", ""),
    ],
)
def test_a_name_is_suggested_by_the_address(address: str, name: str) -> None:
    assert suggested(address, {"box"}) == name


# --- replies --------------------------------------------------------------------------------

GUESSED = specs.ReplyStats(
    prompt_tokens=20,
    tokens=44,
    thinking_tokens=30,
    thinking_s=2.0,
    tokens_per_s=31.0,
    ttft_ms=300,
    context_used=64,
    estimated=True,
    note="It thought although thinking is off: vLLM did not follow the switch",
)


async def replied(desk: Desk) -> None:
    await chatting_with_box(desk)
    await desk.say("Hello?")
    done = msgspec.structs.replace(
        desk.engine.reply(), text="Hi.", thinking="hm", state="done", finish="stop", stats=GUESSED
    )
    desk.engine.emit(events.ReplyDone(message=done))
    await desk.until("vLLM did not follow")


async def test_a_reply_says_what_was_not_as_asked_and_guesses_are_marked() -> None:
    async with open_desk(shop()) as desk:
        await replied(desk)
        text = await desk.until("thought 2.0 s · ~30 tokens")
        assert "~44 tokens" in text
        await desk.until("context ~64")
        assert "64 /" not in desk.text()
        await desk.press("alt+up")
        await desk.until("prompt ~20")
        desk.bench.run_command("about_reply")
        text = await desk.until("About this reply")
        assert "Note" in text
        assert "~44 tokens, ~30 of them thinking" in text


async def test_the_draft_is_counted_with_a_guess_mark_and_without_a_size_that_nobody_knows() -> None:
    engine = shop()
    engine.context = commands.ContextUse(tokens=1200, size=0, kept=1200, estimated=True)
    async with open_desk(engine) as desk:
        await replied(desk)
        desk.bench.composer.put("more")
        text = await desk.until("context ~1.2k")
        assert "too long" not in text


async def test_the_linear_chat_says_the_same() -> None:
    reply = specs.Message("m1", "c1", "assistant", text="Hi.", model=BIG.id, finish="stop", stats=GUESSED)
    assert words.ended(reply, 2.0) == f"Done, ~44 tokens in 2.0 s. {GUESSED.note}."
    assert words.thought(GUESSED, 9.0) == "Thought for 2.0 s, ~30 tokens."
    shown: list[str] = []

    async def last_reply() -> specs.Message:
        return reply

    talk = SimpleNamespace(
        paper=SimpleNamespace(show=shown.append), last_reply=last_reply, name=lambda _: "Qwen3-32B"
    )
    await reply_commands.info(talk, "")  # type: ignore[arg-type]
    assert "Context: ~64 tokens." in shown[0]
    assert shown[0].endswith(GUESSED.note)


# --- what only works here -------------------------------------------------------------------


async def test_what_a_server_cannot_do_is_said_in_one_sentence_and_not_hinted() -> None:
    pirate = runs.AdapterInfo(id="r1", name="pirate", path="/r1", base=REAL.id, rank=16, created=1.0)
    async with open_desk(shop(adapters=(pirate,)), BROAD) as desk:
        await replied(desk)
        await desk.press("alt+up")
        assert "i inspect" not in await desk.until("r ask again")
        await desk.press("i")
        await desk.until("servers do not tell what was likely")
        assert desk.app.screen is desk.bench
        await desk.press("escape", "f8")
        await desk.until("takes no adapters")
        await desk.press("f4")
        await desk.until("cannot be trained. Choose another base.")
        assert isinstance(desk.app.screen, Train)
        assert desk.app.screen.model_field.value == DEMO.id
        assert BIG.id not in dict(desk.app.screen.model_field.choices)


async def test_a_gguf_file_is_not_trained_but_can_be_looked_into() -> None:
    gguf = msgspec.structs.replace(REAL, id="/m/q.gguf", name="q", runs_on="llama.cpp", state="ready")
    async with open_desk(shop(models=(DEMO, gguf)), BROAD) as desk:
        desk.bench.use_model(gguf.id)
        await desk.until("q · llama.cpp")
        await desk.replied("Hello?", "Hi.")
        await desk.press("alt+up")
        await desk.until("i inspect")
        await desk.press("f4")
        await desk.until("q is a GGUF file and cannot be trained")
