"""What setup would do on machines of all kinds, and the words that every shell must pass on alike."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engine.api import VERSION, EngineError, Wish
from engine.setup import wheel as wheels
from engine.setup.installer import Facts, Fault, Setup, plan
from engine.setup.line import SCRIPT, command_line
from tests.support.deep import deep

PLAIN = Facts("/usr/bin/python3", "3.12.3", "", False, True, True, "cpu", 1 << 40, "/data/qwill/setup")
WISH = {
    "version": "0.1.0",
    "sha256": "ab" * 32,
    "least_torch": "2.13",
    "torch": "",
    "constraints": "torch==2.13.0\nrich==15.0.0\n",
    "wheel": "qwill-0.1.0-py3-none-any.whl",
    "size": 3,
}


def test_a_machine_with_torch_keeps_it_by_system_site_packages() -> None:
    made = plan(PLAIN._replace(torch="2.13.0+rocm7.2", gpu="rocm"), WISH)
    assert (made.own_torch, made.torch, made.share, made.pip) == (True, "", "system", "outside")
    assert made.folder == "/data/qwill/setup/0.1.0-abababababab"
    assert "--system-site-packages" in made.steps[2]
    assert "the torch 2.13.0+rocm7.2 that is there" in made.steps[3]


@pytest.mark.parametrize(
    ("gpu", "asked", "build"), [("cpu", "", "cpu"), ("rocm", "", "rocm"), ("cuda", "cpu", "cpu")]
)
def test_a_machine_without_torch_gets_the_build_of_its_hardware_or_the_one_that_was_asked_for(
    gpu: str, asked: str, build: str
) -> None:
    made = plan(PLAIN._replace(gpu=gpu), {**WISH, "torch": asked})
    assert (made.own_torch, made.torch, made.share) == (False, build, "")


def test_a_torch_that_is_too_old_is_left_alone() -> None:
    made = plan(PLAIN._replace(torch="2.9.1"), WISH)
    assert made.own_torch is False
    assert "its torch 2.9.1 is left alone" in made.steps[0]


def test_a_virtual_environment_shares_its_packages_by_a_path_file() -> None:
    assert plan(PLAIN._replace(torch="2.14.0", venv=True), WISH).share == "path"


def test_what_cannot_work_is_said_with_the_remedy() -> None:
    with pytest.raises(Fault, match="virtual environments") as caught:
        plan(PLAIN._replace(pip=False, ensurepip=False), WISH)
    assert "python3-venv" in caught.value.args[2]
    with pytest.raises(Fault, match="no room"):
        plan(PLAIN._replace(free=1 << 20), WISH)
    assert plan(PLAIN._replace(pip=False), WISH).pip == "inside"


def test_a_wheel_that_was_damaged_on_the_way_is_not_installed(tmp_path: Path) -> None:
    told: list[str] = []
    made = plan(PLAIN._replace(place=str(tmp_path / "setup")), WISH)
    setup = Setup(made, WISH, lambda kind, **_: told.append(kind), lambda size: b"x" * size)
    with pytest.raises(Fault, match="did not arrive"):
        setup.run()
    assert told == ["step", "send"]
    assert not (tmp_path / "setup" / "current").exists()


def test_the_last_two_stay_and_current_is_turned_in_one_move(tmp_path: Path) -> None:
    for name in ("old", "older"):
        (tmp_path / name / "bin").mkdir(parents=True)
    (tmp_path / "current").symlink_to("old")
    made = plan(PLAIN._replace(place=str(tmp_path)), WISH)
    (Path(made.folder) / "bin").mkdir(parents=True)
    setup = Setup(made, WISH, lambda *_, **__: None, lambda _: b"")
    assert setup._turn() == str(tmp_path / "current" / "bin" / "qwill")
    assert (tmp_path / "current").resolve() == Path(made.folder)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0.1.0-abababababab", "current", "old"]


def test_the_script_has_nothing_that_a_shell_could_read_otherwise() -> None:
    assert not set("'\\!\n") & set(SCRIPT)
    with pytest.raises(EngineError) as caught:
        command_line(Wish(python="/bin/python; rm -rf ~"))
    assert caught.value.info.code == "setup_python"


@pytest.mark.parametrize(
    "shell", [name for name in ("sh", "dash", "bash", "zsh", "fish") if shutil.which(name)]
)
def test_the_script_finds_a_python_and_hands_it_the_program(shell: str, tmp_path: Path) -> None:
    """The first that has torch wins; one that is too old, or none at all, is passed over."""
    for name, answers in (("python3", "exit 3"), ("python3.12", 'exec $REAL "$@"')):
        stub = tmp_path / name
        stub.write_text(f"#!/bin/sh\n{answers}\n")
        stub.chmod(0o755)
    program = b"import sys; print('reached', sys.stdin.buffer.readline())"
    done = subprocess.run(
        [shutil.which(shell) or shell, "-c", command_line(Wish())],
        input=b"%d\n%brest\n" % (len(program), program),
        capture_output=True,
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "REAL": sys.executable,
            "HOME": str(tmp_path),
            "SHELL": "/bin/sh",
        },
        timeout=60,
        check=False,
    )
    assert done.stdout == b"reached b'rest\\n'\n", done


def test_a_machine_without_a_python_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", command_line(Wish(python=str(tmp_path / "none")))],
        capture_output=True,
        env={"PATH": os.defpath},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (127, b"\n#qwill python\n")


def test_the_wheel_is_whole_the_same_each_time_and_names_what_it_needs() -> None:
    made = wheels.build()
    assert f"qwill-{VERSION}-py3-none-any.whl" == wheels.NAME
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        record = archive.read(f"qwill-{VERSION}.dist-info/RECORD").decode().splitlines()
        metadata = archive.read(f"qwill-{VERSION}.dist-info/METADATA").decode()
    assert {line.partition(",")[0] for line in record} == set(names)
    wanted = (
        "engine/api.py",
        "tui/cli/main.py",
        "tui/_data/themes/qwill.toml",
        "engine/demo/model/model.safetensors",
    )
    assert set(wanted) <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]
    assert "Requires-Dist: textual==8.2.8" in metadata
    assert made.torch == "2.13"


@deep
def test_an_installed_qwill_packs_the_very_wheel_that_it_came_from(tmp_path: Path) -> None:
    made = wheels.build()
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        archive.extractall(tmp_path)
    ask = "from engine.setup import wheel; made = wheel.build(); print(wheel.ROOT, made.sha256)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", ask],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        timeout=100,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path), made.sha256]
