"""DRM fdinfo: which keys count, in which units, and whose."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.monitor.fdinfo import ClientReader, Share, parse
from engine.monitor.files import Files

HEAD = "drm-driver:\tamdgpu\ndrm-client-id: 5\ndrm-pdev:\t0000:04:00.0\n"
DEVICE = "0000:04:00.0"


def opened(root: Path, pid: int, number: int, text: str, node: str = "/dev/dri/renderD128") -> None:
    """A file that a process has open."""
    for folder in ("fd", "fdinfo"):
        (root / f"proc/{pid}/{folder}").mkdir(parents=True, exist_ok=True)
    (root / f"proc/{pid}/fd/{number}").symlink_to(node)
    (root / f"proc/{pid}/fdinfo/{number}").write_text(text)


def share(root: Path, *pids: int) -> Share | None:
    return ClientReader(Files(root), lambda: pids or (7,)).read().by_device.get(DEVICE)


@pytest.mark.parametrize(
    ("lines", "vram", "gtt"),
    [
        ("drm-resident-vram: 3 MiB\ndrm-memory-vram: 9 MiB\ndrm-total-vram: 10 MiB", 3 << 20, 0),
        ("drm-memory-vram:\t9 MiB\ndrm-total-vram: 10 MiB", 9 << 20, 0),
        ("drm-resident-gtt:   7 KiB", 0, 7 << 10),
        ("drm-resident-gtt:7", 0, 7),
        ("drm-resident-gtt: 1 GiB", 0, 1 << 30),
        ("drm-resident-gtt: 1 MiB\ndrm-shared-gtt: 1 MiB\ndrm-shared-vram: 8 MiB", 0, 1 << 20),
        ("drm-resident-gtt: 1 MiB\ndrm-active-gtt: 1 MiB\ndrm-purgeable-gtt: 1 MiB", 0, 1 << 20),
        ("drm-resident-cpu: 5 MiB\ndrm-resident-gtt: 0\namd-evicted-vram: 9 KiB", 0, 0),
        ("drm-resident-local0: 2 MiB\ndrm-resident-system0: 1 MiB", 2 << 20, 1 << 20),
        ("drm-resident-vram0: 2 MiB\ndrm-resident-vram1: 2 MiB\ndrm-resident-stolen: 1 MiB", 4 << 20, 0),
        ("drm-resident-vram: 5 apples\ndrm-resident-gtt: 2", 0, 2),
        ("drm-resident-vram: -5\ndrm-resident-gtt: 2", 0, 2),
        ("drm-resident-vram: 99999999999 MiB\ndrm-resident-gtt: 2", 0, 2),
    ],
)
def test_what_counts(tmp_path: Path, lines: str, vram: int, gtt: int) -> None:
    """Resident, else the old alias; what clients share is a part of it and never added."""
    opened(tmp_path, 7, 3, HEAD + lines + "\n")
    assert share(tmp_path) == Share(vram, gtt)


def test_a_client_counts_once(tmp_path: Path) -> None:
    """Duplicated files and forked children repeat its numbers; another client of the same device adds."""
    text = HEAD + "drm-resident-vram: 100\n"
    for pid, number in ((7, 3), (7, 4), (8, 3)):
        opened(tmp_path, pid, number, text)
    opened(tmp_path, 8, 5, text.replace("client-id: 5", "client-id: 6"))
    assert share(tmp_path, 7, 8) == Share(200, 0)


def test_without_a_number_the_files_of_a_process_are_one_client(tmp_path: Path) -> None:
    text = HEAD.replace("drm-client-id: 5\n", "") + "drm-resident-vram: 100\n"
    for pid, number in ((7, 3), (7, 4), (8, 3)):
        opened(tmp_path, pid, number, text)
    assert share(tmp_path, 7, 8) == Share(200, 0)


def test_a_kernel_that_tells_no_memory_leaves_it_unknown(tmp_path: Path) -> None:
    opened(tmp_path, 7, 3, HEAD + "drm-engine-gfx: 5 ns\n")
    assert share(tmp_path) == Share(None, None)


def test_other_files_and_other_processes_are_not_looked_at(tmp_path: Path) -> None:
    opened(tmp_path, 7, 3, HEAD + "drm-resident-vram: 100\n", node="/tmp/renderD128")
    opened(tmp_path, 9, 3, HEAD + "drm-resident-vram: 100\n")
    assert share(tmp_path) is None


def test_an_npu_is_a_device_of_its_own(tmp_path: Path) -> None:
    """amdxdna tells only a total; it is RAM."""
    text = "drm-driver: amdxdna_accel_driver\ndrm-client-id: 1\ndrm-pdev: 0000:05:00.1\n"
    opened(tmp_path, 7, 3, text + "drm-total-memory: 64 MiB\n", node="/dev/accel/accel0")
    shares = ClientReader(Files(tmp_path), lambda: (7,)).read()
    assert shares.by_device == {"0000:05:00.1": Share(0, 64 << 20)}


def test_a_process_that_may_not_be_looked_at_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Files, path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Files, "names", refuse)
    assert ClientReader(Files(tmp_path), lambda: (7,)).read().why == "/proc/PID/fdinfo: not allowed"


@given(st.text(alphabet="drm-pevclitsha:\t 0123456789KMiBn\n\x00\x1b", max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for whole in (text, HEAD + text):
        client = parse(whole)
        if client is not None:
            numbers = [*client.memory.values(), *client.busy.values(), *client.capacity.values()]
            assert all(0 <= value <= 1 << 64 for value in numbers)
