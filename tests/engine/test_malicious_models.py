"""Model and adapter folders made by an enemy: no code runs, and each is refused soon, in one sentence."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from engine.backend import LoadSpec
from engine.models.adapters import describe_adapter, find_adapters
from engine.models.describe import describe
from engine.models.discover import discover
from engine.protocol.errors import EngineError
from engine.workers.backend import create
from tests.support.tiny import tiny_model

pytestmark = pytest.mark.engine
SOON = 10.0
"""Seconds, loosely: a machine under load is no reason to fail."""
GROWTH = 300 << 20
"""Bytes that the process may have grown by at its peak."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sound"
    tiny_model(folder)
    create().load(
        LoadSpec(describe(folder, "it", "It", "folder")), lambda *_: None, threading.Event()
    )  # what is imported late counts for no folder
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (os.mkdir, (str(self.path),))


def config(folder: Path, **values: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def weights(folder: Path, header: bytes, length: int | None = None) -> None:
    size = len(header) if length is None else length
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", size) + header)


def pickled(folder: Path, proof: Path) -> None:
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pt", "model.safetensors.bin", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Touch(proof)))


def pickled_by_index(folder: Path, proof: Path) -> None:
    pickled(folder, proof)
    index = {"weight_map": {"model.embed_tokens.weight": "pytorch_model.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickled_in_disguise(folder: Path, proof: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Touch(proof)) + b"\0" * 100)


def own_code(folder: Path, proof: Path) -> None:
    for name in ("modeling_evil.py", "configuration_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(f"import os\nos.mkdir({str(proof)!r})\n")
    auto = {"AutoConfig": "configuration_evil.C", "AutoModelForCausalLM": "modeling_evil.M"}
    config(folder, model_type="evil", auto_map=auto, trust_remote_code=True)


def own_tokenizer(folder: Path, proof: Path) -> None:
    (folder / "tokenization_evil.py").write_text(f"import os\nos.mkdir({str(proof)!r})\n")
    file = folder / "tokenizer_config.json"
    auto = {"auto_map": {"AutoTokenizer": ["tokenization_evil.T", None]}, "tokenizer_class": "Evil"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **auto}))
    (folder / "tokenizer.json").write_text("[" * 200_000)


def template(source: str) -> Callable[[Path, Path], None]:
    def build(folder: Path, proof: Path) -> None:
        (folder / "chat_template.jinja").write_text(source.replace("PROOF", str(proof)))

    return build


def deep_config(folder: Path, _: Path) -> None:
    (folder / "config.json").write_text('{"a":' * 100_000)


def many_headers(folder: Path, _: Path) -> None:
    """A header of 40 MB that unfolds to some ten times as much."""
    weights(folder, b'{"a":[' + b"0," * (20 << 20) + b"0]}")


def deep_header(folder: Path, _: Path) -> None:
    weights(folder, b"[" * 1_000_000)


def huge_tensor(folder: Path, _: Path) -> None:
    entry = {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 0]}
    weights(folder, json.dumps({"model.embed_tokens.weight": entry}).encode())


def outside(folder: Path, proof: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"model.embed_tokens.weight": "../../../etc/passwd.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def loops(folder: Path, _: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
        (folder / name).symlink_to(name)


def pipe(folder: Path, _: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def no_numbers(folder: Path, _: Path) -> None:
    config(folder, rms_norm_eps=float("nan"))


def small_vocabulary(folder: Path, _: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors = {name: t[:100].clone() if t.shape[0] > 300 else t for name, t in tensors.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config(folder, vocab_size=100, eos_token_id=1)


def lies(**values: object) -> Callable[[Path, Path], None]:
    return lambda folder, _: config(folder, **values)


ENEMIES: dict[str, Callable[[Path, Path], None]] = {
    "pickled weights": pickled,
    "pickled weights by index": pickled_by_index,
    "a pickle called safetensors": pickled_in_disguise,
    "code of its own": own_code,
    "a tokenizer of its own": own_tokenizer,
    "a template that runs for ever": template(
        "{% for i in range(10**9) %}{% for j in range(10**9) %}{{ i }}{% endfor %}{% endfor %}"
    ),
    "a template that takes all memory": template("{{ 'a' * 10**11 }}"),
    "a template that breaks out": template(
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.mkdir('PROOF') }}"
    ),
    "a header of 2^63 bytes": lambda folder, _: weights(folder, b"{}", 1 << 63),
    "a header of 2^64 - 1 bytes": lambda folder, _: weights(folder, b"{}", (1 << 64) - 1),
    "a header that unfolds": many_headers,
    "a header that is deep": deep_header,
    "a config that is deep": deep_config,
    "a tensor of 2^80 values": huge_tensor,
    "a file outside of the folder": outside,
    "links that lead to themselves": loops,
    "a pipe instead of a file": pipe,
    "no numbers": no_numbers,
    "10,000 layers": lies(num_hidden_layers=10_000),
    "2^60 layers": lies(num_hidden_layers=1 << 60),
    "a wider MLP than its weights": lies(intermediate_size=1 << 24),
    "a vocabulary of 2^33": lies(vocab_size=1 << 33),
    "heads without end": lies(num_attention_heads=1 << 30),
    "a negative size": lies(hidden_size=-8),
    "words for numbers": lies(hidden_size="wide"),
    "a tokenizer with more words than rows": small_vocabulary,
}


@pytest.mark.parametrize("enemy", ENEMIES)
def test_a_malicious_model_runs_no_code_and_is_refused_soon(enemy: str, folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    ENEMIES[enemy](folder, proof)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    backend = create()
    info = describe(folder, "it", "It", "folder")
    with pytest.raises(EngineError) as caught:
        backend.load(LoadSpec(info), lambda *_: None, threading.Event())
    told = caught.value.info
    assert time.monotonic() - began < SOON
    assert not proof.exists()
    assert "\n" not in told.sentence()
    assert len(told.sentence()) < 800
    assert told.remedy
    assert backend.allocated() == 0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < GROWTH


def test_looking_for_models_among_them_ends_and_runs_nothing(sound: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    for number, build in enumerate(ENEMIES.values()):
        build(Path(shutil.copytree(sound, tmp_path / "found" / str(number))), proof)
    (tmp_path / "found" / "round").symlink_to(tmp_path / "found")
    found = [model for model in discover((tmp_path / "found",)) if model.source == "folder"]
    assert len(found) >= len(ENEMIES) - 4
    assert not proof.exists()


def adapter(folder: Path, **values: object) -> Path:
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "It", "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings | values))
    return folder


def test_malicious_adapters_run_no_code_and_say_what_is_wrong(sound: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    base = describe(sound, "it", "It", "folder")
    evil = adapter(tmp_path / "pickle")
    (evil / "adapter_model.bin").write_bytes(pickle.dumps(Touch(proof)))
    lying = adapter(tmp_path / "header")
    (lying / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 1 << 63) + b"{}")
    posing = adapter(tmp_path / "posing")
    (posing / "adapter_model.safetensors").write_bytes(pickle.dumps(Touch(proof)))
    looped = adapter(tmp_path / "loop")
    (looped / "adapter_model.safetensors").symlink_to("adapter_model.safetensors")
    for folder in (evil, lying, posing, looped):
        told = describe_adapter(folder, (base,))
        assert told.why
        assert "\n" not in told.why
    assert len(find_adapters(tmp_path / "no runs", [tmp_path], [base])) == 4
    assert not proof.exists()
