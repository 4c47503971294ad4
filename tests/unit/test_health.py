"""What is said of the speed of replies: averages, bests, causes; and that every reply is counted."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.protocol import commands as c
from engine.protocol.health import ModelHealth
from engine.protocol.specs import ModelInfo, MonitorSample, ReplyStats
from engine.vitals import Machine, Told, judge, with_tips
from tests.support.echo_backend import echo_engine

GOOD = ReplyStats(
    prompt_tokens=100,
    cached_tokens=60,
    tokens=200,
    ttft_ms=200.0,
    tokens_per_s=40.0,
    context_used=300,
    dtype="bfloat16",
    device="cpu",
    threads=4,
    memory=1 << 30,
)
CALM = MonitorSample(ram_total=16 << 30, ram_available=9 << 30, cpu=0.5, engine_cpu=2.0, cores=4)


def health(*stats: ReplyStats, sample: MonitorSample = CALM, trains: bool = False) -> ModelHealth:
    """Of replies, the newest first."""
    rows = [Told("m", each, 1000.0 - place) for place, each in enumerate(stats)]
    [found] = judge(rows, {"m": ModelInfo("m", "Model")}, Machine(sample, trains))
    return found


def slowed(**changes: object) -> list[ReplyStats]:
    """Ten slow replies after ten good ones."""
    return [replace(GOOD, tokens_per_s=20.0, **changes)] * 10 + [GOOD] * 10


def test_averages_are_over_the_last_ten_and_short_replies_tell_no_speed() -> None:
    found = health(
        replace(GOOD, tokens=2, tokens_per_s=900.0), *[GOOD] * 9, *[replace(GOOD, ttft_ms=9.0)] * 20
    )
    assert (found.tokens_per_s, found.best_tokens_per_s) == (40.0, 40.0)
    assert (found.ttft_ms, found.replies, found.counted) == (200.0, 10, 30)
    assert found.findings == ()
    assert found.held_as == "bfloat16"


@pytest.mark.parametrize(
    ("stats", "machine", "cause", "remedy"),
    [
        (slowed(), {"trains": True}, "A run trains", "Stop the run"),
        (
            slowed(),
            {"sample": replace(CALM, swap_used=2 << 30, ram_available=1 << 30)},
            "2,048 MiB of swap",
            "Unload another model",
        ),
        (slowed(), {"sample": replace(CALM, cpu=1.0, engine_cpu=0.5)}, "use 3.5 of 4 cores", "Close them"),
        (slowed(context_used=9000), {}, "9,000 tokens on average, and 300", "Start a new chat"),
        (slowed(threads=1), {}, "uses 1 CPU threads, and used 4", "OMP_NUM_THREADS"),
        (slowed(device="NVIDIA Tesla"), {}, "It runs on NVIDIA Tesla, and ran on cpu", "doctor"),
        (slowed(), {}, "", "Nothing is in its way now"),
    ],
    ids=["run", "swap", "others", "context", "threads", "device", "unknown"],
)
def test_slow_replies_are_named_with_what_may_be_behind_them(
    stats: list[ReplyStats], machine: dict[str, object], cause: str, remedy: str
) -> None:
    [finding] = health(*stats, **machine).findings
    assert (finding.what, finding.word) == ("speed", "slow")
    assert finding.sentence == "20.0 tokens/s on average, and the best here was 40.0"
    assert cause in finding.cause
    assert remedy in finding.remedy


def test_a_long_wait_and_much_memory_are_high() -> None:
    late = replace(
        GOOD, prompt_tokens=4000, cached_tokens=0, ttft_ms=3000.0, memory=2 << 30, context_used=4100
    )
    wait, memory = health(*[late] * 10, *[GOOD] * 5).findings
    assert (wait.what, wait.word) == ("first token", "high")
    assert "4,000 tokens of a prompt are new" in wait.cause
    assert (memory.what, memory.word) == ("memory", "high")
    assert "The chats hold 4,100 tokens" in memory.cause


def test_one_lucky_reply_is_no_best_and_a_little_slower_is_not_slow() -> None:
    assert health(*[GOOD] * 10, replace(GOOD, tokens_per_s=400.0), *[GOOD] * 3).best_tokens_per_s == 160.0
    assert health(*[replace(GOOD, tokens_per_s=30.0)] * 10, *[GOOD] * 9).findings == ()
    assert health(ReplyStats()).tokens_per_s == 0.0


def test_a_form_that_was_much_faster_here_is_recommended() -> None:
    packed = replace(GOOD, quant="int8", tokens_per_s=84.0)
    rows = [Told("m", each) for each in (GOOD, packed, GOOD, packed)]
    plain, int8 = with_tips(judge(rows, {}, Machine()))
    assert plain.tip == "As int8 it was 2.1 times as fast here"
    assert int8.tip == ""


async def test_every_reply_is_counted_with_the_form_it_was_written_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with echo_engine(monkeypatch) as desk:
        for saved in (True, False):
            chat = await desk.chat(model="demo", saved=saved)
            await desk.said(chat.id, "hello")
        report = await desk.ask(c.ReadHealth("demo"))
        [found] = report.models
        assert (found.model, found.replies, found.dtype) == ("demo", 2, "float32")
        desk.host._health.note(ModelInfo("other", "Other", quant="Q4_K_M"), GOOD)
        both = (await desk.ask(c.ReadHealth())).models
        assert [(each.model, each.held_as) for each in both] == [("other", "Q4_K_M"), ("demo", "float32")]
