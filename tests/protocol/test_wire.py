"""Every line that can travel comes back as it was; everything else is one clear error."""

from __future__ import annotations

import typing

import msgspec
import pytest

from engine.protocol import commands, events, runs, specs, wire
from engine.protocol.errors import EngineError, ErrorInfo

MESSAGE = specs.Message("m", "c", "assistant", text="ünï\u2028 \x1b[0m", stats=specs.ReplyStats(tokens=3))
MODEL = specs.ModelInfo("demo", "demo", "demo")
ENGINE = specs.EngineInfo("e", 1, "0.1.0", 0.0)
SAMPLES: dict[type, object] = {
    str: "x",
    bytes: b"x",
    int: 1,
    float: 0.5,
    bool: True,
    specs.ModelInfo: MODEL,
    specs.EngineInfo: ENGINE,
    specs.Message: MESSAGE,
    specs.ChatInfo: specs.ChatInfo("c"),
    specs.ReplyStats: specs.ReplyStats(tokens=1),
    specs.MonitorSample: specs.MonitorSample(gpus=(specs.GpuSample("a", "amd"),)),
    commands.DownloadInfo: commands.DownloadInfo("d", "o/m", "main", "a" * 40),
    runs.TrainSpec: runs.TrainSpec("demo", "shipped:x"),
    runs.RunInfo: runs.RunInfo("r", runs.TrainSpec("demo", "d")),
    runs.StepPoint: runs.StepPoint(1, loss=0.5),
    runs.PhaseMark: runs.PhaseMark("load", 1.0),
    ErrorInfo: ErrorInfo("code", "title"),
}


def example(kind: type[msgspec.Struct]) -> msgspec.Struct:
    values = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            wanted = field.type
            options = typing.get_args(wanted) if typing.get_origin(wanted) is typing.Literal else None
            listed = typing.get_origin(wanted) is tuple
            values[field.name] = () if listed else options[0] if options else SAMPLES[wanted]
    return kind(**values)


@pytest.mark.parametrize("kind", typing.get_args(commands.AnyCommand))
def test_every_command_survives_the_wire(kind: type[commands.Command]) -> None:
    request = wire.Request(7, example(kind))
    assert wire.decode_client(wire.encode(request)) == request
    assert issubclass(kind.Result, msgspec.Struct)


@pytest.mark.parametrize("kind", typing.get_args(events.AnyBody))
def test_every_event_survives_the_wire(kind: type[events.Body]) -> None:
    event = wire.Event(3, 1.5, example(kind))
    line = wire.encode(event)
    assert line.count(b"\n") == 1
    assert wire.decode_engine(line) == event
    assert isinstance(event.body.delivery, events.Delivery)


def test_unknown_fields_of_a_newer_engine_are_ignored() -> None:
    line = b'{"t":"Event","seq":1,"at":0.0,"new":1,"body":{"is":"ChatGone","chat":"c","why":"x"}}\n'
    assert wire.decode_engine(line) == wire.Event(1, 0.0, events.ChatGone("c"))


@pytest.mark.parametrize("line", [b"", b"{}", b"\xff\xfe\n", b'{"t":"Request","id":"x"}', b"[" * 5000])
def test_a_bad_line_is_one_clear_error(line: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        wire.decode_client(line)
    assert caught.value.info.code == "bad_line"


def test_a_line_over_the_limit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(EngineError) as caught:
        wire.encode(wire.Request(1, commands.Send("c", "x" * wire.LINE_LIMIT)))
    assert caught.value.info.code == "line_too_long"
    assert caught.value.info.remedy
