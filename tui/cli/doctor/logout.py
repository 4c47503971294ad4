"""What becomes of the engine and its run when the person logs out."""

from __future__ import annotations

import sys

from engine.api import at_logout, lock_holder
from tui.cli.doctor.finding import Finding

AREA = "After you log out"
LINGER = "Run: loginctl enable-linger"


def check_logout() -> list[Finding]:
    """One finding where systemd has a say in it; none elsewhere."""
    if sys.platform != "linux":
        return []
    pid = lock_holder()
    found = at_logout(pid)
    if found is None:
        return []
    who = "The running engine" if pid else "An engine that is started here"
    if found.ends:
        what = f"{who} ends with your last login, and its run waits: {found.why}"
        return [Finding(AREA, "note", what, f"{LINGER} (your services then go on without a login)")]
    if found.lingers:
        return [Finding(AREA, "ok", f"{who} goes on: you linger (loginctl enable-linger)")]
    return [Finding(AREA, "ok", f"{who} goes on: logind leaves it alone (KillUserProcesses=no)")]
