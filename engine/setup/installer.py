"""Runs on the other machine, read from ssh's stdin by a Python there. The standard library is all it imports.

It answers with lines of JSON behind `#qwill-setup `; a shell there may say what it likes around them.
stdin, after this program: one line of JSON with the wish, then, once asked for, the wheel. All goes into one
folder, DATA/qwill/setup/VERSION-HASH; `current` is a link that is turned to it once it answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

MARK = "#qwill-setup "
READY = ".ready"
"""Written last into a folder that answers."""
ROOM = {"": 1 << 29, "cpu": 3 << 29, "cuda": 12 << 30, "rocm": 16 << 30}
"""Bytes that are free at least, by the torch that is installed; none where the machine's own is used."""
INDEX = {
    "cpu": "https://download.pytorch.org/whl/cpu",
    "cuda": "",
    "rocm": "https://download.pytorch.org/whl/rocm7.2",
}
HEAVY = re.compile(r"^(torch|triton|pytorch-triton|nvidia-)", re.IGNORECASE)
"""Lines of the constraints that do not hold where the machine has a torch of its own."""


class Fault(Exception):
    """Title, detail and remedy, for a person."""


class Facts(NamedTuple):
    """What is found on this machine."""

    python: str
    version: str
    torch: str
    """Of this Python; empty where it has none."""
    venv: bool
    """Whether this Python is a virtual environment's."""
    pip: bool
    ensurepip: bool
    gpu: str
    """`rocm`, `cuda` or `cpu`: the build of torch that this machine can use."""
    free: int
    """Bytes on the disk of the data folder."""
    place: str
    """The folder of all that is installed by this program."""


class Plan(NamedTuple):
    """What will be done."""

    folder: str
    own_torch: bool
    """Whether the torch of this Python is used."""
    torch: str
    """The build that is installed otherwise."""
    share: str
    """How its packages are seen: `system` (--system-site-packages), `path` (a .pth file), or not at all."""
    pip: str
    """`outside`: this Python's pip installs into the environment; `inside`: the environment has its own."""
    steps: tuple[str, ...]


def facts() -> Facts:
    """Look at this machine; loads nothing heavy."""
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    place = Path(home) / "qwill" / "setup"
    within = place
    while not within.exists():
        within = within.parent
    return Facts(
        sys.executable,
        ".".join(map(str, sys.version_info[:3])),
        _torch(),
        sys.prefix != sys.base_prefix,
        importlib.util.find_spec("pip") is not None,
        importlib.util.find_spec("ensurepip") is not None and importlib.util.find_spec("venv") is not None,
        "rocm" if os.path.exists("/dev/kfd") else "cuda" if os.path.exists("/proc/driver/nvidia") else "cpu",
        shutil.disk_usage(within).free,
        str(place),
    )


def plan(found: Facts, wish: dict[str, Any]) -> Plan:
    """What will be done about it, step by step in words. Raises Fault for what cannot work."""
    if not found.pip and not found.ensurepip:
        raise Fault(
            f"Python at {found.python} can neither make virtual environments nor has pip",
            "Debian and Ubuntu keep that in a package of its own",
            "Install python3-venv there (apt install python3-venv), or name another one with --python",
        )
    own = bool(found.torch) and _numbers(found.torch) >= _numbers(wish["least_torch"]) and not wish["torch"]
    build = "" if own else wish["torch"] or found.gpu
    need = ROOM[build]
    if found.free < need:
        raise Fault(
            f"The disk has no room: {need / 2**30:.1f} GiB are needed, {found.free / 2**30:.1f} are free",
            f"Everything goes into {found.place}",
            "Free some space there, or set XDG_DATA_HOME to another disk",
        )
    folder = f"{found.place}/{wish['version']}-{wish['sha256'][:12]}"
    share = ("path" if found.venv else "system") if own else ""
    return Plan(
        folder,
        own,
        build,
        share,
        "outside" if found.pip else "inside",
        _steps(found, own, build, share, folder),
    )


def _steps(found: Facts, own: bool, build: str, share: str, folder: str) -> tuple[str, ...]:
    old = f"; its torch {found.torch} is left alone" if found.torch and not own else ""
    shared = {"system": " that sees its packages (--system-site-packages)", "path": " that sees its packages"}
    torch = f"the torch {found.torch} that is there" if own else f"torch ({build} build) from its index"
    return (
        f"use Python {found.version} at {found.python}{old}",
        "send the wheel",
        f"make a virtual environment{shared.get(share, '')} in {folder}",
        f"install Qwill and what it needs, with {torch}",
        "ask it for its version",
        f"turn {found.place}/current to it",
    )


class Setup:
    """Does what was planned. `tell` sends a line to the person; `read` takes bytes of the wheel."""

    def __init__(
        self, plan: Plan, wish: dict[str, Any], tell: Callable[..., None], read: Callable[[int], bytes]
    ) -> None:
        self.plan = plan
        self.wish = wish
        self._tell = tell
        self._read = read
        self.folder = Path(plan.folder)
        self.bin = self.folder / "bin"

    def run(self) -> dict[str, Any]:
        """All steps; what is there already is not done again. Raises Fault."""
        os.umask(0o077)
        again = (self.folder / READY).is_file()
        if not again:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            wheel = self._receive()
            self._tell("step", at=3)
            self._environment()
            self._tell("step", at=4)
            self._install(wheel)
            wheel.unlink(missing_ok=True)
        self._tell("step", at=5)
        version, torch = self._answers()
        (self.folder / READY).touch()
        self._tell("step", at=6)
        command = self._turn()
        return {
            "command": command,
            "version": version,
            "torch": torch,
            "again": again,
            "linked": self._link(command),
        }

    def _receive(self) -> Path:
        """The wheel, verified."""
        self._tell("step", at=2)
        self._tell("send")
        data = self._read(self.wish["size"])
        if hashlib.sha256(data).hexdigest() != self.wish["sha256"]:
            raise Fault("The wheel did not arrive as it was", "The line was cut, or damaged it", "Try again")
        wheel = self.folder.parent / self.wish["wheel"]
        wheel.write_bytes(data)
        return wheel

    def _environment(self) -> None:
        words = [sys.executable, "-m", "venv"]
        words += ["--system-site-packages"] if self.plan.share == "system" or _sees_system() else []
        words += ["--without-pip"] if self.plan.pip == "outside" else []
        self._call([*words, str(self.folder)], "The virtual environment could not be made")
        if self.plan.share == "path":
            [packages] = self.folder.glob("lib/python3*/site-packages")
            (packages / "qwill-shared.pth").write_text(
                "".join(f"{each}\n" for each in site.getsitepackages())
            )

    def _install(self, wheel: Path) -> None:
        python = str(self.bin / "python")
        outside = [sys.executable, "-m", "pip", "--python", python]
        pip = outside if self.plan.pip == "outside" else [python, "-m", "pip"]
        words = [*pip, "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        lines = self.wish["constraints"].splitlines()
        if self.plan.own_torch:
            pinned = f"torch=={_torch().partition('+')[0]}"
            lines = [*(line for line in lines if not HEAVY.match(line)), pinned]
        if lines:
            limits = self.folder / "constraints.txt"
            limits.write_text("\n".join(lines) + "\n")
            words += ["-c", str(limits)]
        index = INDEX.get(self.plan.torch, "")
        words += ["--extra-index-url", index] if index else []
        self._call([*words, str(wheel)], "pip could not install Qwill")

    def _answers(self) -> tuple[str, str]:
        """The versions that it and its torch say they are."""
        said = self._call([str(self.bin / "qwill"), "--version"], "What was installed does not start")
        version = said[-1].rpartition(" ")[2] if said else ""
        if version != self.wish["version"]:
            raise Fault(f"What was installed says that it is {version or 'nothing'}", "", "Try again")
        ask = 'from importlib import metadata; print(metadata.version("torch"))'
        torch = self._call([str(self.bin / "python"), "-c", ask], "It has no torch")
        return version, torch[-1] if torch else ""

    def _turn(self) -> str:
        """Point `current` at the folder in one move, and let older ones go but for the last."""
        place, link = self.folder.parent, self.folder.parent / "current"
        before = os.readlink(link) if link.is_symlink() else ""
        new = place / ".current"
        new.unlink(missing_ok=True)
        new.symlink_to(self.folder.name)
        os.replace(new, link)
        kept = {self.folder.name, os.path.basename(before)}
        for each in place.iterdir():
            if each.is_dir() and not each.is_symlink() and each.name not in kept:
                shutil.rmtree(each, ignore_errors=True)
        return str(link / "bin" / "qwill")

    def _link(self, command: str) -> str:
        """`~/.local/bin/qwill`, where nobody else has put one; empty otherwise."""
        link = Path(os.path.expanduser("~/.local/bin/qwill"))
        with contextlib.suppress(OSError):
            if link.is_symlink() and os.readlink(link) == command:
                return str(link)
            if not link.is_symlink() and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(command)
                return str(link)
        return ""

    def _call(self, words: list[str], failed: str) -> list[str]:
        """Run it, its lines passed on; returns them. Raises Fault with the last ones."""
        self._tell("line", words=" ".join(words))
        hidden = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
        }
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=hidden
        ) as child:
            said = []
            for line in child.stdout or ():
                said.append(line.decode("utf-8", "replace").rstrip())
                self._tell("line", words=said[-1])
        if child.returncode:
            errors = [line for line in said if "error" in line.lower()] or said[-3:]
            raise Fault(failed, " ".join(errors)[-600:], "The log has all of it; it can be tried again")
        return [line for line in said if line]


def _torch() -> str:
    """The version that this Python has; empty where it has none."""
    try:
        return metadata.version("torch") if importlib.util.find_spec("torch") else ""
    except metadata.PackageNotFoundError:
        return ""


def _sees_system() -> bool:
    """Whether this Python is a virtual environment's that sees the system's packages."""
    try:
        text = (Path(sys.prefix) / "pyvenv.cfg").read_text()
    except OSError:
        return False
    return re.search(r"include-system-site-packages\s*=\s*true", text) is not None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def tell(kind: str, **more: Any) -> None:
    """One line to the other side."""
    sys.stdout.write(f"\n{MARK}{json.dumps({'is': kind, **more})}\n")
    sys.stdout.flush()


def main() -> int:
    """Probe, say what will be done, do it unless only that was asked for."""
    wish = json.loads(sys.stdin.buffer.readline())
    try:
        found = facts()
        planned = plan(found, wish)
        tell("plan", facts=found._asdict(), plan=planned._asdict())
        if wish["dry"]:
            return 0
        tell("done", **Setup(planned, wish, tell, sys.stdin.buffer.read).run())
    except Fault as error:
        title, detail, remedy = (*error.args, "", "")[:3]
        tell("fault", title=title, detail=detail, remedy=remedy)
        return 1
    except OSError as error:
        tell(
            "fault", title="The other machine refused", detail=str(error), remedy="Check its disk and rights"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
