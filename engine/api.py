"""The only door for clients: the protocol's types, `connect`, and the errors it raises."""

from __future__ import annotations

from engine import VERSION
from engine.client import Client
from engine.connect import Target, connect
from engine.daemon import lock_holder, start_engine, stop_engine
from engine.paths import log_path
from engine.protocol import commands, events, specs
from engine.protocol.errors import EngineDead, EngineError, EngineLost, ErrorInfo, QwillError, fault

__all__ = [
    "VERSION",
    "Client",
    "EngineDead",
    "EngineError",
    "EngineLost",
    "ErrorInfo",
    "QwillError",
    "Target",
    "commands",
    "connect",
    "events",
    "fault",
    "lock_holder",
    "log_path",
    "specs",
    "start_engine",
    "stop_engine",
]
