"""The grammar of `qwill engine install-unit` and `remove-unit`. Imports nothing slow."""

from __future__ import annotations

from typing import Any

from tui.cli.options import add_json


def add_unit_actions(actions: Any) -> None:
    """Add them to those of `qwill engine`."""
    install = actions.add_parser(
        "install-unit", help="let systemd start it after a reboot, so that queued runs go on"
    )
    install.description = (
        "Writes qwill.service for your own systemd and enables it. It comes up at boot where you linger "
        "(`loginctl enable-linger`), else at your first login, and leaves again once nothing is to be done."
    )
    remove = actions.add_parser("remove-unit", help="take that away again; a running engine goes on")
    for action in (install, remove):
        action.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        add_json(action)
