"""`qwill eval` and `qwill bake` against a real engine and the demo model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import qwill

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


async def test_a_model_is_measured_on_rows_and_a_system_prompt_becomes_a_dataset(tmp_path: Path) -> None:
    rows = tmp_path / "held.jsonl"
    pairs = (("What is 2 + 2?", "4"), ("Who wrote Hamlet?", "No such words"))
    rows.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in pairs))
    done = await qwill("eval", "-m", "demo", "--data", str(rows), "--max-tokens", "8", "--json")
    (score,) = done.json["scores"]
    assert (done.code, done.json["metric"], score["rows"]) == (0, "exact", 2)
    assert 0 <= score["value"] <= 0.5

    baked = await qwill(
        *("bake", "-m", "demo", "--system", "You are terse.", "--count", "2", "--only-data", "--json"),
        timeout=150,
    )
    assert baked.code == 0, baked
    lines = Path(baked.json["path"]).read_text().splitlines()
    assert len(lines) == baked.json["rows"] > 0
    assert "terse" not in lines[0]  # the prompt is what is left out
    refused = await qwill("bake", "-m", "demo", "--system", " ", "--only-data")
    assert refused.code == 1
    assert refused.err.startswith("qwill: ")
