"""Each trap of training has a guard, and each guard a test that fails without it (docs/training-traps.md)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guards import GUARDS, NOT_HERE, Guard
from tests.support.pty_app import ROOT

pytestmark = pytest.mark.timeout(3600)
TRAPS = [f"T{number}" for number in range(1, 26)]
COPIED = ("engine", "tui", "tests", "themes", "sample_prompts", "pyproject.toml")
full_counts = pytest.mark.skipif(not os.environ.get("QWILL_FAULTS"), reason="takes minutes: make faults")


def test_every_trap_has_a_guard_that_is_still_there() -> None:
    assert sorted({guard.trap for guard in GUARDS} | NOT_HERE.keys()) == sorted(TRAPS)
    for guard in GUARDS:
        assert (ROOT / "engine" / guard.file).read_text().count(guard.old) == 1, guard
        file, _, name = guard.test.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), guard.test


def test_the_page_of_traps_names_them_with_their_tests() -> None:
    page = (ROOT / "docs" / "training-traps.md").read_text()
    rows = dict(re.findall(r"^\| (T\d+) \|(.*)\|$", page, re.MULTILINE))
    assert list(rows) == TRAPS
    for guard in GUARDS:
        assert guard.test.partition("::")[0] in rows[guard.trap], guard


class Copy:
    """A copy of the tree, and a process that runs its tests."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place / name)
            else:
                shutil.copy(ROOT / name, place / name)
        environment = {name: value for name, value in os.environ.items() if name != "QWILL_FAULTS"}
        environment |= {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_tests"],
            cwd=place,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def test(self, name: str) -> dict[str, Any]:
        """pytest's exit status and last words."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"tests/{name}\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    copy = Copy(tmp_path_factory.mktemp("tree"))
    yield copy
    copy.process.kill()
    copy.process.wait()


@full_counts
@pytest.mark.parametrize("test", sorted({guard.test for guard in GUARDS}))
def test_with_its_guard_it_passes(copy: Copy, test: str) -> None:
    done = copy.test(test)
    assert done["code"] == 0, done["said"]


@full_counts
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.trap}-{Path(guard.file).stem}")
def test_without_its_guard_it_fails(copy: Copy, guard: Guard) -> None:
    file = copy.place / "engine" / guard.file
    whole = file.read_text()
    file.write_text(whole.replace(guard.old, guard.new))
    try:
        done = copy.test(guard.test)
    finally:
        file.write_text(whole)
    assert done["code"] == 1, done["said"]
    assert "error during collection" not in done["said"]
    print(re.findall(r"^(?:E  |FAILED).*", done["said"], re.MULTILINE)[-2:])
