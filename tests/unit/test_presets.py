"""Presets and the numbers in them: what they change, and that files survive a round trip."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api import EngineError, specs
from tui.presets import (
    BUILT_IN,
    delete_preset,
    folder,
    load_presets,
    put_back,
    read_preset,
    save_preset,
    values_of,
)
from tui.sampling import NUMBERS, get, own, parse, put, words

SETTINGS = specs.ChatSettings(
    system='Say "ja"\n\tand \x7f \\ 四',
    think=False,
    think_budget=256,
    adapter="pirate",
    keep_thoughts=True,
    context=4096,
    overflow="summarise",
    sampling=specs.Sampling(temperature=0.75, top_k=3, seed=7),
)


def test_a_preset_of_a_chat_makes_another_chat_the_same_but_for_the_adapter() -> None:
    saved = save_preset("Für Verträge!", SETTINGS)
    assert saved.name == "für-verträge"
    assert saved.path is not None
    read = read_preset(saved.path)
    assert read.title == "Für Verträge!"
    made = read.apply(specs.ChatSettings(adapter="mine", sampling=specs.Sampling(top_p=0.5)))
    assert made.adapter == "mine"
    assert made.sampling == SETTINGS.sampling
    assert values_of(made) == values_of(SETTINGS)


def test_own_presets_come_after_those_of_qwill_and_can_be_deleted_and_put_back() -> None:
    save_preset("Zebra", SETTINGS)
    saved = save_preset("ant", specs.ChatSettings())
    found, faults = load_presets()
    assert faults == []
    assert [each.title for each in found] == [*(each.title for each in BUILT_IN), "ant", "Zebra"]
    data = delete_preset(saved)
    assert "ant" not in [each.title for each in load_presets()[0]]
    assert saved.path is not None
    put_back(saved.path, data)
    assert "ant" in [each.title for each in load_presets()[0]]
    with pytest.raises(EngineError):
        delete_preset(BUILT_IN[0])


@pytest.mark.parametrize("title", ["", "  ", "///", "..", "!?"])
def test_a_name_needs_a_letter(title: str) -> None:
    with pytest.raises(EngineError) as caught:
        save_preset(title, SETTINGS)
    assert caught.value.info.code == "preset_name"


def test_a_name_never_leaves_the_folder() -> None:
    saved = save_preset("../../etc/passwd", SETTINGS)
    assert saved.path is not None
    assert saved.path.parent == folder()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("temperature = 9", "temperature is a number from 0 to 5"),
        ("temperature = true", "must be a number"),
        ("temperature = nan", "temperature is a number"),
        ("top_k = 2.5", "top_k is a whole number"),
        ('think = "yes"', "must be true or false"),
        ('overflow = "burn"', "must be one of"),
        ('title = "a\\nb"', "one line"),
        ("tempreature = 1", "unknown key `tempreature`"),
        ("= 1", "is not TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong_and_the_others_are_read(text: str, why: str) -> None:
    save_preset("Fine", SETTINGS)
    (folder() / "bad.toml").write_text(text)
    found, faults = load_presets()
    assert found[-1].title == "Fine"
    assert len(faults) == 1
    assert faults[0].startswith("bad.toml: ")
    assert why in faults[0]


def test_built_in_presets_hold_values_that_may_be() -> None:
    for preset in BUILT_IN:
        made = preset.apply(specs.ChatSettings(system="stays"))
        assert made.system == "stays"
        assert all(parse(name, words(get(made, name))) == get(made, name) for name in NUMBERS)
    assert BUILT_IN[0].matches(specs.ChatSettings())
    assert not BUILT_IN[1].matches(specs.ChatSettings())


@given(st.text(max_size=80), st.floats(0, 5), st.integers(0, 2**63 - 1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_and_number_survives_the_file(system: str, temperature: float, seed: int) -> None:
    chosen = specs.ChatSettings(
        system=system.encode("utf-8", "ignore").decode(),
        sampling=specs.Sampling(temperature=temperature, seed=seed),
    )
    saved = save_preset("any", chosen)
    assert saved.path is not None
    assert read_preset(saved.path).apply(specs.ChatSettings()) == chosen


@pytest.mark.parametrize(
    ("name", "typed", "number"),
    [
        ("temperature", "0,7", 0.7),
        ("context", "32,768", 32768),
        ("think_budget", " 2_048 ", 2048),
        ("top_p", "", None),
        ("seed", "auto", None),
    ],
)
def test_numbers_are_read_as_people_write_them(name: str, typed: str, number: float | None) -> None:
    assert parse(name, typed) == number
    assert get(put(specs.ChatSettings(), name, number), name) == number


@pytest.mark.parametrize(
    ("name", "typed"), [("temperature", "hot"), ("context", "12"), ("top_p", "1.5"), ("min_p", "nan")]
)
def test_what_cannot_be_names_the_range(name: str, typed: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse(name, typed)
    assert caught.value.info.code == "bad_setting"
    assert name in caught.value.info.title


def test_the_models_own_depends_on_thinking_where_it_can_be_switched() -> None:
    model = specs.ModelInfo(
        "m",
        "m",
        context=100,
        thinking="switchable",
        defaults=specs.Sampling(temperature=0.6),
        plain_defaults=specs.Sampling(temperature=0.7),
    )
    assert own(model, specs.ChatSettings(), "temperature") == 0.6
    assert own(model, specs.ChatSettings(think=False), "temperature") == 0.7
    assert own(model, specs.ChatSettings(), "context") == 100
    assert own(None, specs.ChatSettings(), "temperature") is None
