"""Who decides how the screen is painted, and what that sets."""

from __future__ import annotations

import pytest

from engine.api import EngineError, config_dir
from tui.remote_profile import chosen, of_this_start, prepare, table

SSH = {"SSH_CONNECTION": "192.0.2.2 50000 192.0.2.1 22"}


@pytest.mark.parametrize(
    ("environment", "said", "remote"),
    [
        ({}, {}, False),
        (SSH, {}, True),
        ({"SSH_TTY": "/dev/pts/3"}, {}, True),
        ({**SSH, "TMUX": "/tmp/tmux-1000/default,1,0"}, {}, True),
        ({"TMUX": "/tmp/tmux-1000/default,1,0"}, {}, False),
        (SSH, {"remote": "off"}, False),
        ({}, {"remote": "on"}, True),
        ({}, {"remote": True}, True),
        (SSH, {"remote": "auto"}, True),
        ({"QWILL_REMOTE": "0", **SSH}, {"remote": "on"}, False),
        ({"QWILL_REMOTE": "1"}, {"remote": "off"}, True),
        ({"QWILL_REMOTE": "perhaps"}, {}, False),
    ],
)
def test_the_command_line_comes_before_the_settings_and_those_before_ssh(
    environment: dict[str, str], said: dict[str, object], remote: bool
) -> None:
    assert chosen(environment, said).remote is remote


def test_what_decided_is_told() -> None:
    assert chosen(SSH, {}).why == "SSH_CONNECTION is set"
    assert "settings" in chosen(SSH, {"remote": "off"}).why
    assert "tmux" in chosen({"TMUX": "x"}, {}).why


@pytest.mark.parametrize("said", [{"remote": "sometimes"}, {"mouse": "no"}, {"fps": 5}])
def test_settings_that_say_something_else_are_refused_and_the_screen_opens_without_them(
    said: dict[str, object],
) -> None:
    with pytest.raises(EngineError) as caught:
        chosen({}, said)
    assert caught.value.info.code == "settings_wrong"
    assert "mouse" in caught.value.info.remedy


def test_the_settings_file_is_read_and_a_broken_one_counts_as_none() -> None:
    file = config_dir() / "settings.toml"
    assert table() == {}
    file.write_text('[screen]\nremote = "on"\nmouse = false\n')
    assert of_this_start({}) == chosen({}, {"remote": "on", "mouse": False})
    assert not of_this_start({}).mouse
    file.write_text("[screen\n")
    assert of_this_start({}).remote is False


def test_textual_gets_fewer_frames_and_more_patience_over_a_network_only() -> None:
    far: dict[str, str] = {"ESCDELAY": "40"}
    prepare(chosen(SSH, {}), far)
    assert far == {
        "ESCDELAY": "40",  # a person's own
        "TEXTUAL_ANIMATIONS": "none",
        "TEXTUAL_FPS": "15",
        "TEXTUAL_SMOOTH_SCROLL": "0",
    }
    near: dict[str, str] = {}
    prepare(chosen({}, {}), near)
    assert near == {"TEXTUAL_ANIMATIONS": "none"}
