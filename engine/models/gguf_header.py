"""Reads the front of a GGUF file: what the model is and how it is held, never the weights. Trusts nothing."""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from engine.models.gguf_types import FILE_TYPES, TENSOR_TYPES
from engine.models.headers import Broken

HEADER_LIMIT = 256 << 20
"""Bytes of a header at most; the largest vocabularies take some 30 MiB."""
STRING_LIMIT = 8 << 20
KEYS_LIMIT = 1 << 16
TENSORS_LIMIT = 1 << 17
ARRAY_LIMIT = 1 << 22
"""Entries of an array at most."""
SHORT_ARRAY = 1024
"""Numbers of an array that is kept; longer ones are passed over."""
PARAMETERS_LIMIT = 1 << 50
_CHUNK = 4 << 20
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_U64 = struct.Struct("<Q")
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_TOKENS = "tokenizer.ggml.tokens"
_HEAD = "output.weight"


class GgufHeader(msgspec.Struct, frozen=True):
    """What the front of one GGUF model tells, its further parts included."""

    values: dict[str, Any]
    """Keys with a number, a truth, a string or a short list of numbers."""
    parameters: int
    bytes_on_disk: int
    quant: str
    """Q4_K_M and its kin; empty where the file does not say."""
    tensors: int
    vocabulary: int = 0
    tied: bool = True
    """Whether the input embedding is the head, too."""
    ends: dict[str, str] = {}
    """`bos_token` and `eos_token` as the vocabulary writes them, where asked for."""

    @property
    def architecture(self) -> str:
        """As llama.cpp calls it: qwen3, llama."""
        return self.text("general.architecture")

    def text(self, key: str) -> str:
        """A string; empty where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> float | None:
        """A finite number, or None. `{arch}` in the key stands for the architecture."""
        value = self.values.get(key.replace("{arch}", self.architecture))
        if isinstance(value, list) and value:
            value = max(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return value

    def count(self, key: str) -> int:
        """A number that counts something; 0 where there is none."""
        value = self.number(key)
        return int(value) if value is not None and 0 < value < 1 << 40 else 0


class _Front(NamedTuple):
    values: dict[str, Any]
    parameters: int
    tensors: int
    kinds: Counter[str]
    vocabulary: int
    tied: bool
    ends: dict[str, str]


def read_header(file: Path, *, tokens: bool = False) -> GgufHeader:
    """The header of a GGUF file; of the first of several parts, all parts. Raises Broken.

    `tokens`: look up the texts of the begin and end tokens too.
    """
    files = parts(file)
    missing = [each for each in files if not each.is_file()]
    if missing:
        raise Broken(f"{len(missing)} of its {len(files)} files are missing; download it again")
    fronts = [_read(each, tokens and each is files[0]) for each in files]
    kinds: Counter[str] = Counter()
    for front in fronts:
        kinds += front.kinds
    values = fronts[0].values
    return GgufHeader(
        values=values,
        parameters=sum(front.parameters for front in fronts),
        bytes_on_disk=sum(each.stat().st_size for each in files),
        quant=_quant(values, kinds),
        tensors=sum(front.tensors for front in fronts),
        vocabulary=fronts[0].vocabulary,
        tied=all(front.tied for front in fronts),
        ends=fronts[0].ends,
    )


def parts(file: Path) -> list[Path]:
    """All files of a model that may be split (`NAME-00001-of-00003.gguf`), in order. Raises Broken."""
    found = _PART.fullmatch(file.name)
    if found is None:
        return [file]
    stem, count = found[1], int(found[3])
    if not 1 <= int(found[2]) <= count <= 1000:
        raise Broken("Its file name counts parts that cannot be; download it again")
    return [file.with_name(f"{stem}-{number:05d}-of-{found[3]}.gguf") for number in range(1, count + 1)]


def is_first(file: Path) -> bool:
    """Whether a file is a model by itself, or the first of its parts."""
    found = _PART.fullmatch(file.name)
    return found is None or int(found[2]) == 1


def plain_name(file: Path) -> str:
    """The file's name without its ending and its part number."""
    found = _PART.fullmatch(file.name)
    return found[1] if found else file.stem


def _quant(values: dict[str, Any], kinds: Counter[str]) -> str:
    named = values.get("general.file_type")
    if isinstance(named, int) and named in FILE_TYPES:
        return FILE_TYPES[named]
    return kinds.most_common(1)[0][0] if kinds else ""


def _read(file: Path, tokens: bool) -> _Front:
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            return _Reader(stream, size, file.name).front(tokens)
    except OSError as error:
        raise Broken(f"Its {file.name} cannot be read ({error.strerror}); make it readable") from error


class _Reader:
    """Walks over a header, reading as far as it needs."""

    def __init__(self, stream: BinaryIO, size: int, name: str) -> None:
        self._stream = stream
        self._size = size
        self._name = name
        self._data = bytearray()
        self._place = 0
        self._tokens = (0, 0)
        self._tied = True

    def front(self, tokens: bool) -> _Front:
        self._magic()
        tensors, keys = self._u64(), self._u64()
        if tensors > TENSORS_LIMIT or keys > KEYS_LIMIT:
            raise self._damaged()
        values = dict(self._pair() for _ in range(keys))
        parameters, kinds = self._tensors(tensors, values)
        ends = self._ends(values) if tokens else {}
        return _Front(values, parameters, tensors, kinds, self._tokens[1], self._tied, ends)

    def _magic(self) -> None:
        if self._size < 24 or bytes(self._take(4)) != b"GGUF":
            raise Broken(f"Its {self._name} is no GGUF file; download it again")
        version = int.from_bytes(self._take(4), "little")
        if version in (1 << 24, 2 << 24, 3 << 24):
            raise Broken(f"Its {self._name} is written for big-endian machines; choose another copy")
        if version not in (2, 3):
            raise Broken(
                f"Its {self._name} is of GGUF version {version}, and 2 and 3 can be read; get a newer copy"
            )

    def _pair(self) -> tuple[str, Any]:
        key, kind = self._string(), self._u32()
        if kind == _ARRAY:
            return key, self._array(key)
        return key, self._string() if kind == _STRING else self._numbers(kind, 1)[0]

    def _array(self, key: str) -> list[Any] | None:
        kind, count = self._u32(), self._u64()
        if count > ARRAY_LIMIT:
            raise self._damaged()
        if kind == _STRING:
            if key == _TOKENS:
                self._tokens = (self._place, count)
            self._pass_strings(count)
            return None
        if count <= SHORT_ARRAY:
            return list(self._numbers(kind, count))
        self._go(self._width(kind) * count)
        return None

    def _tensors(self, count: int, values: dict[str, Any]) -> tuple[int, Counter[str]]:
        """Parameters, and how many are held in which type; checks that the file holds them all."""
        parameters, end = 0, 0
        kinds: Counter[str] = Counter()
        for _ in range(count):
            if self._string() == _HEAD:
                self._tied = False
            axes = self._u32()
            if axes > 4:
                raise self._damaged()
            shape = [self._u64() for _ in range(axes)]
            kind, offset = self._u32(), self._u64()
            weights = math.prod(shape)
            parameters += weights
            if parameters > PARAMETERS_LIMIT:
                raise self._damaged()
            name, block, width = TENSOR_TYPES.get(kind, ("", 1, 0))
            if name:
                kinds[name] += weights
            end = max(end, offset + weights // block * width)
        alignment = values.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
            raise self._damaged()
        if count and -(-self._place // alignment) * alignment + end > self._size:
            raise self._cut()
        return parameters, kinds

    def _ends(self, values: dict[str, Any]) -> dict[str, str]:
        """The texts of the begin and end tokens."""
        start, count = self._tokens
        wanted = {
            number: name
            for name in ("bos", "eos")
            if type(number := values.get(f"tokenizer.ggml.{name}_token_id")) is int and 0 <= number < count
        }
        found: dict[str, str] = {}
        self._place = start
        for number in range(max(wanted, default=-1) + 1):
            if number in wanted:
                found[f"{wanted[number]}_token"] = self._string()
            else:
                self._pass_strings(1)
        return found

    # --- the bytes --------------------------------------------------------------------------

    def _u32(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def _u64(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def _string(self) -> str:
        length = self._u64()
        if length > STRING_LIMIT:
            raise self._damaged()
        return self._take(length).decode("utf-8", "replace")

    def _numbers(self, kind: int, count: int) -> tuple[Any, ...]:
        raw = self._take(self._width(kind) * count)
        return struct.unpack(f"<{count}{_FORMS[kind]}", raw)

    def _width(self, kind: int) -> int:
        if kind not in _WIDTHS:
            raise self._damaged()
        return _WIDTHS[kind]

    def _pass_strings(self, count: int) -> None:
        place, data, length = self._place, self._data, _U64.unpack_from
        for _ in range(count):
            if place + 8 > len(data):
                self._reach(place + 8)
            place += 8 + length(data, place)[0]
        self._place = place
        self._reach(place)

    def _take(self, count: int) -> bytearray:
        start = self._place
        self._go(count)
        return self._data[start : self._place]

    def _go(self, count: int) -> None:
        self._reach(self._place + count)
        self._place += count

    def _reach(self, end: int) -> None:
        """Read so that there are bytes up to this place."""
        if end <= len(self._data):
            return
        if end > self._size:
            raise self._cut()
        if end > HEADER_LIMIT:
            raise self._damaged()
        self._data += self._stream.read(max(_CHUNK, end - len(self._data)))
        if end > len(self._data):
            raise self._cut()

    def _damaged(self) -> Broken:
        return Broken(f"Its {self._name} is damaged; download it again")

    def _cut(self) -> Broken:
        return Broken(f"Its {self._name} is cut off; download it again")
