"""The weight of an adapter by keys and words, its proof, and its export, at the workbench."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.api import commands, events, runs, specs
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import adapter, run_info
from tests.tui.desk import Desk, open_desk
from tui.modals.export_adapter import ExportAdapterDialog
from tui.modals.proof import ExportReport, ProofDialog
from tui.weights import split_weight


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pirate 0.8", ("pirate", 0.8)),
        ("pirate ×1.5", ("pirate", 1.5)),
        ("0.5", ("", 0.5)),
        ("pirate", ("pirate", 1.0)),
        ("my 7", ("my 7", 1.0)),
        ("two words", ("two words", 1.0)),
    ],
)
def test_a_weight_is_read_behind_the_name(typed: str, meant: tuple[str, float]) -> None:
    assert split_weight(typed) == meant


async def with_adapter(desk: Desk, **changes: object) -> runs.AdapterInfo:
    info = adapter(run_info(), **changes)
    desk.engine.emit(events.AdaptersChanged(adapters=(info,)))
    await desk.until("○ pirate-r16")
    return info


async def test_keys_on_its_row_change_the_weight_and_the_header_shows_it() -> None:
    async with open_desk(FakeEngine()) as desk:
        await with_adapter(desk)
        await desk.press("f8")
        await desk.until("demo + pirate-r16")
        desk.bench.go_to(desk.bench.side)
        await desk.press("down", "minus", "minus")
        await desk.until("demo + pirate-r16 ×0.8")
        await desk.press("plus", "plus")
        await desk.until(lambda: "×" not in desk.text().split("\n")[0])
        desk.bench.weigh(7)
        await desk.until("demo + pirate-r16 ×2")


async def test_a_slash_sets_name_and_weight_and_the_reply_keeps_it() -> None:
    async with open_desk(FakeEngine()) as desk:
        info = await with_adapter(desk)
        await desk.replied("hi", "Hello")
        await desk.say_command("/adapter pirate 0.8")
        await desk.until("demo + pirate-r16 ×0.8")
        settings = desk.engine.asked(commands.ChangeChat)[-1].settings
        assert (settings.adapter, settings.adapter_weight) == (info.id, 0.8)
        await desk.say("and now?")
        desk.engine.finish("Arr!", adapter=info.id, settings=settings)
        await desk.until(lambda: desk.text().count("demo + pirate-r16 ×0.8") == 2)
        await desk.say_command("/adapter off")
        await desk.until("is off")
        assert desk.engine.asked(commands.ChangeChat)[-1].settings.adapter_weight == 1.0


async def test_without_an_adapter_there_is_nothing_to_weigh() -> None:
    async with open_desk(FakeEngine()) as desk:
        desk.bench.action_heavier()
        await desk.until("No adapter is active. F8 switches one on.")
        await with_adapter(desk, method="dora")
        await desk.press("f8")
        await desk.until("demo + pirate-r16")
        desk.bench.action_lighter()
        await desk.until("is a DoRA adapter, which cannot be weighted")


async def test_the_proof_shows_both_texts() -> None:
    async with open_desk(FakeEngine()) as desk:
        info = await with_adapter(desk)
        proof = commands.Proof(
            *(info.id, "demo", 1.0, "Who are you?", "I am Qwill.", "Arr!", 32),
            active=True,
            words="It is active",
        )
        desk.engine.answers[commands.ProveAdapter] = lambda _: proof
        await desk.say_command("/prove")
        text = await desk.until("It is active.")
        assert isinstance(desk.app.screen, ProofDialog)
        assert "I am Qwill." in text
        assert "Arr!" in text


async def test_an_export_asks_where_tells_how_it_compared_and_can_be_undone(tmp_path: Path) -> None:
    async with open_desk(FakeEngine()) as desk:
        info = await with_adapter(desk)
        check = commands.Check(done=True, ok=False, words="NOT the same as the live model")
        written = commands.Exported("j", "merged", str(tmp_path / "m"), 5_000_000, check)
        desk.engine.answers[commands.ExportAdapter] = lambda q: replace(written, job=q.job)
        await desk.say_command("/export_adapter")
        await desk.until(lambda: isinstance(desk.app.screen, ExportAdapterDialog))
        await desk.until("pirate-r16-merged")
        await desk.press("enter")
        await desk.until("did not pass its check")
        asked = desk.engine.asked(commands.ExportAdapter)[0]
        assert (asked.adapter, asked.form, asked.model) == (info.id, "merged", "demo")
        assert asked.target == str(Path.cwd() / "pirate-r16-merged")
        assert isinstance(desk.app.screen, ExportReport)
        await desk.press("z")
        await desk.until("The export is taken back.")
        assert desk.engine.asked(commands.UndoExport)[0].job == asked.job


async def test_a_full_folder_is_only_replaced_when_that_is_said(tmp_path: Path) -> None:
    async with open_desk(FakeEngine()) as desk:
        await with_adapter(desk)
        desk.engine.refuse(commands.ExportAdapter, "target_not_empty", "It is there already")
        await desk.say_command("/export_adapter")
        await desk.until("pirate-r16-merged")
        await desk.press("enter")
        await desk.until("It is there already. Take its place?")
        assert [each.replace for each in desk.engine.asked(commands.ExportAdapter)] == [False]


def test_settings_with_a_weight_out_of_range_are_no_settings() -> None:
    import msgspec

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"adapter_weight": 3}', type=specs.ChatSettings)
