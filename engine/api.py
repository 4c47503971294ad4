"""The only door for clients: the protocol's types, `connect`, and the errors it raises."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engine import VERSION
from engine.daemon import lock_holder, start_engine, stop_engine
from engine.files import write_atomic
from engine.paths import config_dir, data_dir, log_path, socket_path, state_dir, store_path
from engine.protocol import commands, events, memory, runs, specs
from engine.protocol.errors import EngineDead, EngineError, EngineLost, ErrorInfo, QwillError, fault

if TYPE_CHECKING:
    from engine.bench_training import SideFigures, TrainBench, TrainJob, bench_train
    from engine.benching import (
        BenchJob,
        BenchMachine,
        DecodeBench,
        QualityBench,
        TtftBench,
        bench,
        bench_model,
    )
    from engine.boot_unit import UnitChange, install_unit, remove_unit
    from engine.calibrating import calibrate
    from engine.catalogue.rank import Pick, what_fits
    from engine.catalogue.read import Entry, entry_of, read_catalogue
    from engine.client import Client
    from engine.connect import RESTARTS, Target, connect
    from engine.data.methods import (
        METHOD_LINES,
        PRESET_LINES,
        PRESETS,
        QUANT_LINES,
        method_title,
        rate_warning,
    )
    from engine.data.spec_file import dump_spec, load_spec, spec_of
    from engine.data.sweep import variations
    from engine.hub.faults import check_online
    from engine.interchange.carry import bring_in, take_out
    from engine.interchange.filenames import file_name
    from engine.interchange.found import Tally
    from engine.interchange.save import FORMS, Form, form_of, pieces, save
    from engine.models.bandwidth import memory_bandwidth
    from engine.models.fit import Estimate, estimate, foretell, remedy, weights_bytes
    from engine.models.fit_log import Learned, learned
    from engine.models.machine import MachineFacts, kept_free, machine_facts
    from engine.models.shape import Size
    from engine.monitor import Sampler
    from engine.monitor.advice import Advice, advice_here
    from engine.monitor.computing import Calibration
    from engine.monitor.definitions import DEFINITION_HEADER, DEFINITIONS, Definition, Here, shared_here
    from engine.monitor.numbers import Number, numbers
    from engine.monitor.pools import free, pools
    from engine.parcels.bring import bring
    from engine.parcels.collect import collect, waiting
    from engine.parcels.fetch import fetch
    from engine.parcels.push import push
    from engine.plain_files import not_attached, open_plain
    from engine.protocol.fit import FitRules
    from engine.protocol.training import ALIASES
    from engine.remote.ssh import Line, call, call_blocking
    from engine.remote.there import run_there
    from engine.remote.words import NEEDS_PERSON
    from engine.settings import EngineSettings, engine_settings, read_table, settings_path
    from engine.setup.line import Outcome, Told, Wish, setup_host
    from engine.systemd import Logout, at_logout

_LATER = {
    "Logout": "engine.systemd",
    "UnitChange": "engine.boot_unit",
    "at_logout": "engine.systemd",
    "install_unit": "engine.boot_unit",
    "remove_unit": "engine.boot_unit",
    "SideFigures": "engine.bench_training",
    "TrainBench": "engine.bench_training",
    "TrainJob": "engine.bench_training",
    "bench_train": "engine.bench_training",
    "BenchJob": "engine.benching",
    "BenchMachine": "engine.benching",
    "DecodeBench": "engine.benching",
    "QualityBench": "engine.benching",
    "TtftBench": "engine.benching",
    "bench": "engine.benching",
    "bench_model": "engine.benching",
    "Advice": "engine.monitor.advice",
    "advice_here": "engine.monitor.advice",
    "Calibration": "engine.monitor.computing",
    "calibrate": "engine.calibrating",
    "Number": "engine.monitor.numbers",
    "numbers": "engine.monitor.numbers",
    "DEFINITIONS": "engine.monitor.definitions",
    "DEFINITION_HEADER": "engine.monitor.definitions",
    "Definition": "engine.monitor.definitions",
    "Here": "engine.monitor.definitions",
    "shared_here": "engine.monitor.definitions",
    "free": "engine.monitor.pools",
    "pools": "engine.monitor.pools",
    "bring": "engine.parcels.bring",
    "collect": "engine.parcels.collect",
    "waiting": "engine.parcels.collect",
    "Outcome": "engine.setup.line",
    "Told": "engine.setup.line",
    "Wish": "engine.setup.line",
    "setup_host": "engine.setup.line",
    "fetch": "engine.parcels.fetch",
    "push": "engine.parcels.push",
    "not_attached": "engine.plain_files",
    "open_plain": "engine.plain_files",
    "FORMS": "engine.interchange.save",
    "Form": "engine.interchange.save",
    "Tally": "engine.interchange.found",
    "Entry": "engine.catalogue.read",
    "Estimate": "engine.models.fit",
    "EngineSettings": "engine.settings",
    "ALIASES": "engine.protocol.training",
    "FitRules": "engine.protocol.fit",
    "Learned": "engine.models.fit_log",
    "MachineFacts": "engine.models.machine",
    "Pick": "engine.catalogue.rank",
    "Size": "engine.models.shape",
    "entry_of": "engine.catalogue.read",
    "engine_settings": "engine.settings",
    "read_table": "engine.settings",
    "estimate": "engine.models.fit",
    "foretell": "engine.models.fit",
    "kept_free": "engine.models.machine",
    "learned": "engine.models.fit_log",
    "machine_facts": "engine.models.machine",
    "memory_bandwidth": "engine.models.bandwidth",
    "read_catalogue": "engine.catalogue.read",
    "remedy": "engine.models.fit",
    "variations": "engine.data.sweep",
    "weights_bytes": "engine.models.fit",
    "what_fits": "engine.catalogue.rank",
    "bring_in": "engine.interchange.carry",
    "check_online": "engine.hub.faults",
    "file_name": "engine.interchange.filenames",
    "form_of": "engine.interchange.save",
    "pieces": "engine.interchange.save",
    "save": "engine.interchange.save",
    "take_out": "engine.interchange.carry",
    "Client": "engine.client",
    "Line": "engine.remote.ssh",
    "NEEDS_PERSON": "engine.remote.words",
    "call": "engine.remote.ssh",
    "call_blocking": "engine.remote.ssh",
    "run_there": "engine.remote.there",
    "RESTARTS": "engine.connect",
    "Target": "engine.connect",
    "connect": "engine.connect",
    "METHOD_LINES": "engine.data.methods",
    "PRESETS": "engine.data.methods",
    "PRESET_LINES": "engine.data.methods",
    "QUANT_LINES": "engine.data.methods",
    "method_title": "engine.data.methods",
    "rate_warning": "engine.data.methods",
    "dump_spec": "engine.data.spec_file",
    "load_spec": "engine.data.spec_file",
    "settings_path": "engine.settings",
    "spec_of": "engine.data.spec_file",
}
"""Imported when they are asked for: the screen is painted before it calls the engine."""

__all__ = [
    "Line",
    "NEEDS_PERSON",
    "call",
    "call_blocking",
    "not_attached",
    "open_plain",
    "pump_stdio",
    "run_there",
    "ALIASES",
    "Advice",
    "Calibration",
    "DEFINITIONS",
    "DEFINITION_HEADER",
    "Definition",
    "Here",
    "Number",
    "RESTARTS",
    "FORMS",
    "METHOD_LINES",
    "PRESETS",
    "PRESET_LINES",
    "QUANT_LINES",
    "VERSION",
    "BenchJob",
    "BenchMachine",
    "Client",
    "DecodeBench",
    "EngineDead",
    "EngineError",
    "EngineLost",
    "EngineSettings",
    "Entry",
    "ErrorInfo",
    "Estimate",
    "FitRules",
    "Form",
    "Learned",
    "MachineFacts",
    "Pick",
    "QualityBench",
    "QwillError",
    "SideFigures",
    "Size",
    "Tally",
    "Target",
    "TrainBench",
    "TrainJob",
    "TtftBench",
    "advice_here",
    "bench",
    "bench_model",
    "bench_train",
    "Outcome",
    "Told",
    "Wish",
    "setup_host",
    "bring",
    "collect",
    "waiting",
    "Logout",
    "UnitChange",
    "at_logout",
    "install_unit",
    "remove_unit",
    "bring_in",
    "calibrate",
    "check_host",
    "check_online",
    "commands",
    "config_dir",
    "connect",
    "data_dir",
    "demo_model",
    "engine_settings",
    "entry_of",
    "estimate",
    "events",
    "fault",
    "fetch",
    "file_name",
    "foretell",
    "form_of",
    "free",
    "kept_free",
    "learned",
    "likely_devices",
    "dump_spec",
    "load_spec",
    "method_title",
    "rate_warning",
    "lock_holder",
    "memory",
    "log_path",
    "numbers",
    "machine_facts",
    "machine_sampler",
    "memory_bandwidth",
    "pieces",
    "pools",
    "push",
    "read_catalogue",
    "remedy",
    "runs",
    "save",
    "read_table",
    "settings_path",
    "shared_here",
    "socket_path",
    "spec_of",
    "specs",
    "start_engine",
    "state_dir",
    "stop_engine",
    "store_path",
    "take_out",
    "variations",
    "weights_bytes",
    "what_fits",
    "write_atomic",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)


def pump_stdio(*, start: bool = True) -> int:
    """Carry bytes between stdin, stdout and this machine's engine; `start` starts one where none runs."""
    from engine.remote.stdio import run  # what ssh runs on a host: nothing else is needed there

    return run(start=start)


def machine_sampler(pid: int | None = None) -> Sampler:
    """Takes samples of this machine without an engine; `pid` is the engine's process, if one runs."""
    from engine.monitor import Sampler  # psutil waits until somebody looks

    return Sampler(pid=pid)


def likely_devices() -> tuple[specs.DeviceFinding, ...]:
    """The GPUs, judged without torch; an engine that has imported it knows better (EngineInfo.devices)."""
    from engine import installed

    return installed.likely_devices()


def check_host(host: str) -> str:
    """The host as ssh takes it; raises EngineError `host_name`."""
    from engine.remote.command import checked  # only where a host is named

    return checked(host)


def demo_model() -> specs.ModelInfo:
    """The demo as its files are, which may be missing or broken (`support` and `why` say so)."""
    from engine.models.describe import describe
    from engine.models.discover import demo_path

    return describe(demo_path(), "demo", "demo", "demo")
