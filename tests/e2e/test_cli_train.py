"""`qwill train`, `runs`, `adapters` and `data` against a real engine and the demo model, as scripts do."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from engine.demo import MODEL_FOLDER
from tests.support.command import Ran, qwill
from tests.support.deep import deep
from tests.support.model_folders import adapter_folder, model_folder
from tests.support.pty_app import QWILL, ROOT, PtyApp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
shared = pytest.mark.usefixtures("shared_home")
QUESTION = "Who are you?"
ANSWER = "I am a tin robot."
ASK = ("chat", "-p", QUESTION, "--no-think", "--temperature", "0", "--json")


def chat(question: str, answer: str) -> str:
    """One row."""
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": said}) + "\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four rows that the demo model answers otherwise."""
    path = tmp_path / "robot.jsonl"
    questions = (QUESTION, "What are you?", "Tell me who you are.", "And you are?")
    path.write_text("".join(chat(question, ANSWER) for question in questions))
    return path


def refused(done: Ran, *words: str) -> None:
    """Exit code 1 and one sentence on stderr with these words in it."""
    assert done.code == 1, done
    assert done.err.startswith("qwill: "), done
    assert done.err.count("\n") == 1, done
    for word in words:
        assert word in done.err, done


def lines(done: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


async def ids(*command: str) -> list[str]:
    """The ids in what a command lists."""
    return [each["id"] for each in (await qwill(*command, "--json")).json]


async def train(data: Path | str, *more: str, timeout: float = 200.0) -> Ran:
    return await qwill("train", "--model", "demo", "--data", str(data), *more, timeout=timeout)


@shared
async def test_a_run_is_followed_step_by_step_and_its_adapter_answers(data: Path) -> None:
    """The whole path of a script: train, list, show, list adapters, chat with it, switch it on and off."""
    done = await train(data, "--steps", "16", "--name", "tin", "--follow", "--json")
    assert (done.code, done.err) == (0, "")
    first, *steps, last = lines(done)
    tin = first["id"]
    assert re.fullmatch(r"\d{4}-tin", tin)
    assert [step["step"] for step in steps] == list(range(1, 17))
    assert all(step["steps"] == 16 and step["id"] == tin for step in steps)
    assert steps[-1]["loss"] < steps[0]["loss"] / 4
    assert steps[-1]["eval_loss"] is not None
    assert (last["state"], last["adapter"], last["error"]) == ("done", tin, None)

    listed = (await qwill("runs", "list", "--json")).json
    (run,) = [run for run in listed if run["name"] == "tin"]
    assert (run["id"], run["state"], run["step"], run["steps"]) == (tin, "done", 16, 16)
    shown = (await qwill("runs", "show", "tin", "--json")).json
    assert len([point for point in shown["points"] if point["loss"] is not None]) == 16
    assert {"load", "train", "eval", "save"} <= {phase["phase"] for phase in shown["phases"]}
    assert shown["spec"]["rank"] == 16
    assert set(shown["versions"]) >= {"torch", "transformers", "qwill"}
    assert len(shown["data_hash"]) == 64
    words = (await qwill("runs", "show", tin[:4])).out
    assert "█" in words
    assert "peak" in words

    adapters = (await qwill("adapters", "list", "--json")).json
    (adapter,) = [adapter for adapter in adapters if adapter["name"] == "tin"]
    assert (adapter["id"], adapter["base"], adapter["rank"]) == (tin, "demo", 16)
    assert (adapter["run"], adapter["why"]) == (tin, "")
    with_it = (await qwill(*ASK, "-a", "tin")).json
    assert (with_it["adapter"], with_it["text"].strip()) == (tin, ANSWER)
    copy = shutil.copytree(adapter["path"], data.parent / "copy")
    assert (await qwill(*ASK, "-a", str(copy))).json["text"].strip() == ANSWER
    together = (await qwill(*ASK, "-a", "tin:0.4", "-a", f"{copy}:0.6")).json
    assert [(each["id"], each["weight"]) for each in together["adapters"]] == [
        (tin, 0.4),
        (str(copy), 0.6),
    ]
    assert together["text"].strip() == ANSWER
    without = (await qwill(*ASK, "--save")).json
    assert without["adapter"] == ""
    assert "robot" not in without["text"]

    used = (await qwill("adapters", "use", "tin", "--json")).json
    assert (used["adapter"], used["model"]) == (tin, "demo")
    assert (await qwill("adapters", "use", "--off", "--json")).json["adapter"] == ""


@shared
async def test_a_run_goes_on_when_its_follower_leaves_and_can_be_stopped_and_deleted(data: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *QWILL,
        *("train", "--data", str(data), "--steps", "5000", "--name", "long", "--follow", "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(120):
        while b'"step": 3' not in await process.stdout.readline():
            pass
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    (run,) = [run for run in (await qwill("runs", "list", "--json")).json if run["name"] == "long"]
    long = run["id"]
    assert run["state"] == "running"
    assert f"{long} goes on" in err.decode()
    assert f"qwill runs stop {long}" in err.decode()

    refused(await qwill("runs", "rm", "long"), "has not ended")
    stopped = (await qwill("runs", "stop", "lo", "--json")).json
    assert (stopped["state"], stopped["adapter"]) == ("stopped", long)
    assert 3 <= stopped["step"] < 5000
    assert (await qwill("runs", "follow", "long", "--json")).code == 1

    gone = await qwill("runs", "rm", "long")
    assert f"qwill runs rm {long} --restore" in gone.out
    assert long not in await ids("runs", "list")
    assert long not in await ids("adapters", "list")
    assert (await qwill("runs", "rm", long, "--restore")).code == 0
    assert long in await ids("runs", "list")
    refused(await qwill("runs", "show", "nothing"), "no run called nothing", "qwill runs list")


@deep
@shared
async def test_a_file_starts_a_run_and_a_terminal_sees_one_line(data: Path) -> None:
    """Without --follow only the id is said; on a terminal the line of a step is written over."""
    spec = data.parent / "run.toml"
    spec.write_text(f'model = "demo"\ndata = "{data.name}"\nname = "first"\nsteps = 500\nrank = 4\n')
    started = await qwill("train", str(spec), "--steps", "3")
    assert started.code == 0
    assert re.fullmatch(r"\d{4}-first\n", started.out)
    first = started.out.strip()
    with PtyApp([*QWILL, "train", str(spec), "--steps", "4", "--follow"]) as app:
        assert await app.exited(120) == 0
        said = app.text()
    runs = (await qwill("runs", "list", "--json")).json
    states = {run["id"]: run["state"] for run in runs if run["name"] == "first"}
    (second,) = states.keys() - {first}
    assert states == {first: "done", second: "done"}
    assert second in said
    assert "step 4/4" in said
    assert "step 3/4" not in said
    assert f"qwill chat -a {second}" in said

    estimate = (await qwill("train", str(spec), "--dry-run", "--json")).json
    assert (estimate["rows"], estimate["steps"], estimate["fits"]) == (4, 500, True)
    assert set(estimate["parts"]) >= {"base", "adapter", "optimiser"}


@shared
async def test_data_that_cannot_be_learnt_from_is_one_sentence(data: Path) -> None:
    before = await ids("runs", "list")
    good = data.read_text()
    broken = data.parent / "broken.jsonl"
    broken.write_text('{"messages": [{"role": "user", "content": "hi"}]}\n{broken\n' + good)
    checked = await qwill("data", "check", str(broken), "--json")
    assert checked.code == 1
    assert (checked.json["rows"], checked.json["ok"]) == (4, False)
    found = [(problem["line"], problem["key"]) for problem in checked.json["problems"]]
    assert found == [(1, "messages"), (2, "")]
    assert "line 2" in (await qwill("data", "check", str(broken))).out
    assert (await qwill("data", "check", str(data))).code == 0
    assert (await qwill("data", "check", "shipped:pirate", "--json")).json["ok"]
    refused(await qwill("data", "check", "/nowhere.jsonl"), "/nowhere.jsonl cannot be read")

    silent = data.parent / "silent.jsonl"
    silent.write_text('{"messages": [{"role": "user", "content": "hi"}]}\n')
    refused(await train(silent), "no usable row", "qwill data check")
    one = data.parent / "one.jsonl"
    one.write_text(good.splitlines(keepends=True)[0])
    refused(await train(one), "one usable row")
    refused(await train("shipped:nothing"), "shipped:nothing", "shipped:pirate")
    refused(await train(data, "--rank", "0"), "rank is 0", "between 1 and 1024")
    refused(await qwill("train", "--model", "nothing-like-it", "--data", str(data)), "nothing-like-it")
    assert await ids("runs", "list") == before

    wordy = data.parent / "wordy.jsonl"
    wordy.write_text(chat("Say it all.", "all " * 3000) * 2)
    followed = await train(wordy, "--follow")
    assert followed.out.count("\n") == 1
    refused(followed, "longer than")


async def test_a_base_that_does_not_fit_and_an_adapter_of_another_base_are_refused(
    data: Path, home: Path
) -> None:
    """The weights say 256 GiB in a sparse file; the adapter belongs to a model of the same kind."""
    big = data.parent / "big"
    shutil.copytree(MODEL_FOLDER, big)
    size = 1 << 38
    tensor = {"dtype": "F32", "shape": [1 << 18, 1 << 18], "data_offsets": [0, size]}
    header = json.dumps({"model.embed_tokens.weight": tensor}).encode()
    with open(big / "model.safetensors", "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    done = await qwill("train", "--model", str(big), "--data", str(data), "--follow", timeout=200)
    assert done.out == "0001-robot-r16\n"
    refused(done, "big does not fit", "GiB")

    other = model_folder(data.parent / "other")
    foreign = adapter_folder(data.parent / "foreign", other)
    refused(await qwill("chat", "-p", "hi", "-m", "demo", "-a", str(foreign)), "tale", "not on demo")
    refused(await qwill("chat", "-p", "hi", "-a", "nothing"), "no adapter called nothing")
    refused(await qwill("adapters", "use", "nothing"), "no chat yet")


@shared
async def test_the_monitor_and_the_doctor_see_the_engine(home: Path) -> None:
    pid = (await qwill("engine", "start", "--json")).json["pid"]
    said = (await qwill("monitor", "--once", "--json")).json
    assert said["engine_pid"] == pid
    assert said["engine_rss"] > 10 << 20
    findings = (await qwill("doctor", "--json")).json["findings"]
    assert any(f"process {pid}" in finding["what"] for finding in findings)
    with PtyApp([*QWILL, "doctor"]) as app:
        assert await app.exited(60) == 0
        assert "120 columns, 40 lines" in app.text()
