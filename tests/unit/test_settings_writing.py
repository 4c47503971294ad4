"""Changing one number in settings.toml without touching anything else that a person wrote there."""

from __future__ import annotations

import pytest

from engine.protocol.errors import EngineError
from engine.settings import current_settings, engine_settings, settings_path
from engine.settings_writing import set_number


def after(text: str, value: float | None) -> str:
    settings_path().write_text(text, encoding="utf-8")
    set_number("kept_free", value)
    return settings_path().read_text(encoding="utf-8")


def test_a_file_is_made_where_there_is_none() -> None:
    set_number("kept_free", 2.5)
    assert settings_path().read_text() == "[engine]\nkept_free = 2.5\n"
    assert current_settings().reserve == round(2.5 * 2**30)
    set_number("kept_free", None)
    assert engine_settings().reserve is None


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        (
            "# mine\n[engine] # here\nkeep_alive = 5\n",
            3.0,
            "# mine\n[engine] # here\nkept_free = 3\nkeep_alive = 5\n",
        ),
        (
            "[engine]\n kept_free = 1 # low\nkeep_alive = 5",
            0.5,
            "[engine]\nkept_free = 0.5\nkeep_alive = 5\n",
        ),
        (
            "[engine]\nkept_free = 1\n\n[endpoints.box]\nurl = 'x'\n",
            None,
            "[engine]\n\n[endpoints.box]\nurl = 'x'\n",
        ),
        ('[engine.env]\nA = "1"\n', 1.0, '[engine.env]\nA = "1"\n\n[engine]\nkept_free = 1\n'),
        ("[other]\nkept_free = 9\n", 1.0, "[other]\nkept_free = 9\n\n[engine]\nkept_free = 1\n"),
        ("[engine]\nkeep_alive = 5\n", None, "[engine]\nkeep_alive = 5\n"),
    ],
)
def test_only_its_own_line_changes(old: str, value: float | None, new: str) -> None:
    assert after(old, value) == new
    assert engine_settings().kept_free == value


def test_a_form_that_it_does_not_change_is_left_alone_and_told() -> None:
    text = "engine = { kept_free = 1 }\n"
    settings_path().write_text(text)
    with pytest.raises(EngineError) as caught:
        set_number("kept_free", 2.0)
    assert caught.value.info.code == "settings_unsaved"
    assert "by hand" in caught.value.info.sentence()
    assert settings_path().read_text() == text


def test_a_file_that_is_wrong_is_not_written_over() -> None:
    settings_path().write_text("[engine\n")
    with pytest.raises(EngineError) as caught:
        set_number("kept_free", 2.0)
    assert caught.value.info.code == "settings_wrong"
    assert settings_path().read_text() == "[engine\n"
