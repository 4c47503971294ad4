"""Several adapters at once at the workbench: by key, by words, each with its weight, and in a comparison."""

from __future__ import annotations

import pytest

from engine.api import commands, events, specs
from engine.api import runs as training
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import adapter, run_info
from tests.tui.desk import Desk, open_desk
from tui.compare import plans
from tui.weights import label, split_colon, split_mix


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pirate 0.8 + legal 0.5", [("pirate", 0.8), ("legal", 0.5)]),
        ("pirate + two words ×1.5", [("pirate", 1.0), ("two words", 1.5)]),
        ("+ legal", [("", 1.0), ("legal", 1.0)]),
        ("0.5 + legal", [("", 0.5), ("legal", 1.0)]),
        ("c++ 0.5", [("c++", 0.5)]),
    ],
)
def test_names_and_weights_are_read_from_words(typed: str, meant: list[tuple[str, float]]) -> None:
    assert split_mix(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pirate:0.8", ("pirate", 0.8)),
        ("pirate", ("pirate", None)),
        ("a:b", ("a:b", None)),
        ("a:7", ("a:7", None)),
        (":1", (":1", None)),
    ],
)
def test_a_weight_stands_behind_a_colon_on_the_command_line(
    typed: str, meant: tuple[str, float | None]
) -> None:
    assert split_colon(typed) == meant


def test_a_label_names_only_weights_that_are_not_one() -> None:
    assert label([("pirate", 0.8), ("legal", 1.0), ("tale", 0.5)]) == "pirate ×0.8 + legal + tale ×0.5"


async def with_adapters(desk: Desk, *names: str, **changes: object) -> list[training.AdapterInfo]:
    infos = [
        adapter(run_info(id=f"000{place}-{each}", name=each), name=each, created=9.0 - place, **changes)
        for place, each in enumerate(names, 1)
    ]
    desk.engine.emit(events.AdaptersChanged(adapters=tuple(infos)))
    await desk.until(f"○ {names[-1]}")
    return infos


def chosen(desk: Desk) -> list[tuple[str, float]]:
    names = {each.id: each.name for each in desk.bench.state.engine.adapters.values()}
    return [(names[each.id], each.weight) for each in desk.bench.state.settings().adapters]


async def test_a_key_adds_the_row_beside_the_active_one_and_takes_it_off_again() -> None:
    async with open_desk(FakeEngine()) as desk:
        await with_adapters(desk, "pirate", "legal")
        await desk.press("f8")
        await desk.until("demo + pirate")
        desk.bench.go_to(desk.bench.side)
        await desk.press("down", "down", "a")
        await desk.until("demo + pirate + legal")
        await desk.press("minus", "minus", "minus", "minus", "minus")
        await desk.until("demo + pirate + legal ×0.5")
        assert desk.text().count("◉") == 2
        await desk.press("up", "minus")
        await desk.until("demo + pirate ×0.9 + legal ×0.5")
        await desk.press("a")
        await desk.until("demo + legal ×0.5")
        assert chosen(desk) == [("legal", 0.5)]
        await desk.press("enter")
        await desk.until("pirate answers from the next message on")
        assert chosen(desk) == [("pirate", 1.0)]


async def test_words_set_them_and_f8_switches_all_off_and_on_again() -> None:
    async with open_desk(FakeEngine()) as desk:
        first, second = await with_adapters(desk, "pirate", "legal")
        await desk.replied("hi", "Hello")
        await desk.say_command("/adapter pirate 0.8 + legal 0.5")
        await desk.until("demo + pirate ×0.8 + legal ×0.5")
        settings = desk.engine.asked(commands.ChangeChat)[-1].settings
        assert (settings.adapter, settings.more_adapters) == (
            first.id,
            (specs.WeightedAdapter(second.id, 0.5),),
        )
        await desk.say("and now?")
        desk.engine.finish("Arr, hereby!", adapter=first.id, settings=settings)
        await desk.until(lambda: desk.text().count("demo + pirate ×0.8 + legal ×0.5") == 2)
        await desk.press("f8")
        await desk.until("pirate ×0.8 + legal ×0.5 are off.")
        assert chosen(desk) == []
        await desk.press("f8")
        await desk.until("answer together")
        assert chosen(desk) == [("pirate", 0.8), ("legal", 0.5)]
        await desk.say_command("/adapter pirate")
        await desk.until(lambda: chosen(desk) == [("pirate", 1.0)])
        await desk.say_command("/adapter + legal 0.3")
        await desk.until(lambda: chosen(desk) == [("pirate", 1.0), ("legal", 0.3)])


async def test_what_cannot_be_added_up_is_said_and_changes_nothing() -> None:
    async with open_desk(FakeEngine()) as desk:
        await with_adapters(desk, "one", "two", "three", "four", "five")
        await desk.say_command("/adapter one + two + three + four")
        await desk.until(lambda: len(chosen(desk)) == 4)
        await desk.say_command("/adapter + five")
        await desk.until("At most 4 adapters answer together")
        assert len(chosen(desk)) == 4
        await with_adapters(desk, "swift", "long", method="dora")
        await desk.say_command("/adapter swift + long")
        await desk.until("is a DoRA adapter, which answers alone")
        assert len(desk.bench.state.settings().adapters) == 4


async def test_a_comparison_has_the_mix_and_each_one_alone() -> None:
    async with open_desk(FakeEngine()) as desk:
        await with_adapters(desk, "pirate", "legal")
        await desk.say_command("/adapter pirate 0.8 + legal 0.5")
        await desk.until(lambda: len(chosen(desk)) == 2)
        state = desk.bench.state
        model = state.model()
        assert model is not None
        plan = plans(state.engine, model, state.settings())[0]
        assert [(each.label, len(each.settings.adapters)) for each in plan.variants] == [
            (f"{model.name} alone", 0),
            ("+ pirate ×0.8 + legal ×0.5", 2),
            ("+ pirate", 1),
            ("+ legal", 1),
        ]
        assert [each.settings.adapter_weight for each in plan.variants[2:]] == [0.8, 0.5]
