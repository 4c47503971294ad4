"""Adapters by id, name and folder on the command line, and why one cannot be used on a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import EngineError, runs, specs
from tui.cli.adapters import adapter_name, check_fit, find

ON_DEMO = runs.AdapterInfo("0002-tin", "tin", "/runs/0002-tin/adapter", base="demo")
ON_OTHER = runs.AdapterInfo("0001-tin", "tin", "/runs/0001-tin/adapter", base="other")
LOST = runs.AdapterInfo("/far/lost", "lost", "/far/lost", base_name="gone", why="Its base gone is not here")
KNOWN = (ON_DEMO, ON_OTHER, LOST)
DEMO = specs.ModelInfo("demo", "demo")


def code_of(error: pytest.ExceptionInfo[EngineError]) -> str:
    return error.value.info.code


def test_an_adapter_is_found_by_id_folder_and_name() -> None:
    assert find(KNOWN, "0001-tin") is ON_OTHER
    assert find(KNOWN, "/far/lost") is LOST
    assert find(KNOWN, "lost") is LOST


def test_of_one_name_the_one_that_fits_is_meant() -> None:
    assert find(KNOWN, "tin", "demo") is ON_DEMO
    with pytest.raises(EngineError) as caught:
        find(KNOWN, "tin")
    assert code_of(caught) == "adapter_ambiguous"
    assert "0002-tin, 0001-tin" in caught.value.info.detail


def test_an_unknown_one_says_where_to_look() -> None:
    with pytest.raises(EngineError) as caught:
        find(KNOWN, "nope")
    assert code_of(caught) == "adapter_unknown"
    assert "qwill adapters list" in caught.value.info.remedy


def test_only_an_adapter_of_this_base_fits() -> None:
    check_fit(ON_DEMO, DEMO)
    with pytest.raises(EngineError, match="tin was trained on other, not on demo") as caught:
        check_fit(ON_OTHER, DEMO)
    assert code_of(caught) == "adapter_other_base"
    with pytest.raises(EngineError, match="Its base gone is not here") as caught:
        check_fit(LOST, DEMO)
    assert code_of(caught) == "adapter_unusable"


def test_a_folder_named_from_here_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert adapter_name("mine") == "mine"
    (tmp_path / "mine" / "adapter_config.json").write_text("{}")
    assert adapter_name("mine") == str(tmp_path / "mine")
    assert adapter_name("./other") == str(tmp_path / "other")
