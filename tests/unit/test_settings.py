"""settings.toml: what it sets, what it may not set, and what happens while it is wrong."""

from __future__ import annotations

import os

import pytest

from engine import daemon, engine_env
from engine.protocol.errors import EngineError
from engine.settings import EngineSettings, current_settings, engine_settings, read_table, settings_path


def write(text: str) -> None:
    settings_path().write_text(text)


def refused(text: str) -> str:
    write(text)
    with pytest.raises(EngineError) as caught:
        engine_settings()
    assert caught.value.info.code == "settings_wrong"
    return caught.value.info.sentence()


def test_without_a_file_everything_is_as_it_comes() -> None:
    assert engine_settings() == EngineSettings()
    assert engine_settings().reserve is None
    assert read_table("servers") == {}


def test_the_engines_table_is_read_and_read_again_when_it_changes() -> None:
    write("[engine]\nkeep_alive = 5\nkept_free = 1.5\n[engine.env]\nOMP_PROC_BIND = true\n")
    assert "env" in refused("[engine]\nkeep_alive = 5\n[engine.env]\nOMP_PROC_BIND = true\n")
    write(
        '[engine]\nkeep_alive = 5\nkept_free = 1.5\n[engine.env]\nHSA_OVERRIDE_GFX_VERSION = "11.0"\nN = 3\n'
    )
    found = engine_settings()
    assert (found.keep_alive, found.reserve) == (5, 3 << 29)
    assert found.env == {"HSA_OVERRIDE_GFX_VERSION": "11.0", "N": "3"}
    write('[engine]\nkeep_alive = "off"\n\n[other]\nkey = 1\n')
    assert engine_settings().keep_alive == "off"
    assert read_table("other") == {"key": 1}


@pytest.mark.parametrize(("line", "wanted"), [("", None), ("true", True), ("false", False)])
def test_whether_a_run_is_parked_before_memory_runs_out(line: str, wanted: bool | None) -> None:
    write(f"[engine]\npause_at_critical = {line}\n" if line else "[engine]\n")
    assert engine_settings().pause_at_critical is wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[engine", "settings.toml cannot be used"),
        ("engine = 3", "no table"),
        ("[engine]\nkeep_alive = -1", "keep_alive"),
        ("[engine]\nkept_free = nan", "kept_free"),
        ("[engine]\npause_at_critical = 1", "pause_at_critical"),
        ('[engine]\nkeep_alive = "often"', "keep_alive"),
        ("[engine]\nkeep_alife = 3", "keep_alife"),
        ('[engine.env]\n"A B" = "1"', "cannot be one"),
        ('[engine.env]\nA = "\\u0000"', "NUL"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(text: str, told: str) -> None:
    sentence = refused(text)
    assert told in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "ld_library_path", "DYLD_INSERT_LIBRARIES", "PATH", "PYTHONPATH", "PYTHONSTARTUP", "HOME"]
    + ["BASH_ENV", "XDG_DATA_HOME", "CUDA_INJECTION64_PATH", "HSA_TOOLS_LIB", "QWILL_IDLE_SECONDS"],
)
def test_variables_that_load_code_or_move_files_are_refused(name: str) -> None:
    assert name in refused(f'[engine.env]\n{name} = "/tmp/evil"')
    assert "[engine.env]" in refused(f'[engine.env]\n{name} = "/tmp/evil"')


@pytest.mark.parametrize(
    "name", ["HSA_OVERRIDE_GFX_VERSION", "OMP_NUM_THREADS", "PYTORCH_HIP_ALLOC_CONF", "CUDA_VISIBLE_DEVICES"]
)
def test_variables_for_drivers_and_libraries_pass(name: str) -> None:
    assert not engine_env.changes_code(name) or name.startswith("PYTHON")


def test_while_the_file_is_half_edited_the_last_good_settings_count() -> None:
    write("[engine]\nkeep_alive = 7\n")
    assert current_settings().keep_alive == 7
    write("[engine]\nkeep_alive = ")
    assert current_settings().keep_alive == 7


def test_an_engine_is_started_with_the_variables_and_the_shell_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    write('[engine.env]\nHSA_OVERRIDE_GFX_VERSION = "11.0.0"\nOMP_NUM_THREADS = "7"\n')
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("HSA_OVERRIDE_GFX_VERSION", raising=False)
    environment = daemon._environment()
    assert environment["MALLOC_ARENA_MAX"] == "1"
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert daemon._environment()["MALLOC_ARENA_MAX"] == "4"
    assert environment["HSA_OVERRIDE_GFX_VERSION"] == "11.0.0"
    assert environment["OMP_NUM_THREADS"] == "2"
    engine_env.apply({"HSA_OVERRIDE_GFX_VERSION": "11.0.0", "OMP_NUM_THREADS": "7"})
    assert os.environ["HSA_OVERRIDE_GFX_VERSION"] == "11.0.0"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.delenv("HSA_OVERRIDE_GFX_VERSION")


def test_an_engine_does_not_start_with_a_variable_that_loads_code() -> None:
    write('[engine.env]\nLD_PRELOAD = "/tmp/evil.so"\n')
    with pytest.raises(EngineError):
        daemon._environment()
