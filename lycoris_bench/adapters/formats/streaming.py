"""Reads and writes safetensors a tensor at a time, with a few megabytes for a model of any size.

The header says names, dtypes, shapes and places, so it can be written before the first number is
known. Tensors are read by their place and not through a memory map, whose pages would count as
this process's memory."""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError, check_file
from lycoris_bench.files.outputs import whole_file

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}
CHUNK = 1 << 22
HASH = "sshs_model_hash"
PENDING = f"0x{'0' * 64}"


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: dtype by its safetensors name, shape, and bytes [begin, end)."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Reader:
    """A file's header: `entries` in the order of their numbers, `metadata`, and one tensor a call.

    Raises `AdapterFileError` for a file that is missing, a pickle, cut off or no safetensors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        check_file(path)
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header: dict[str, Any] = json.loads(file.read(size))
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self._start = 8 + size
        entries = {
            name: Entry(e["dtype"], tuple(e["shape"]), *e["data_offsets"])
            for name, e in header.items()
        }
        self.entries = dict(sorted(entries.items(), key=lambda item: item[1].begin))

    def tensor(self, name: str) -> Tensor:
        """Reads one tensor into new memory, in its stored dtype."""
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise AdapterFileError(f"{self.path}: '{name}' has the dtype {entry.dtype}, which is "
                                   f"not read here; allowed are: {', '.join(DTYPES)}")  # fmt: skip
        if entry.begin == entry.end:
            return torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
        content = bytearray(entry.end - entry.begin)
        with self.path.open("rb") as file:
            file.seek(self._start + entry.begin)
            file.readinto(content)
        return torch.frombuffer(content, dtype=DTYPES[entry.dtype]).reshape(entry.shape)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a tensor, a few megabytes at a time."""
        entry = self.entries[name]
        with self.path.open("rb") as file:
            file.seek(self._start + entry.begin)
            for begin in range(entry.begin, entry.end, CHUNK):
                yield file.read(min(CHUNK, entry.end - begin))


def pieces(tensor: Tensor) -> Iterator[bytes]:
    """The bytes of a tensor in the file's format."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    for part in flat.split(CHUNK):
        yield part.numpy().tobytes()


Shapes = Mapping[str, tuple[str, tuple[int, ...], int]]  # name -> dtype, shape, bytes


def write(
    path: Path,
    shapes: Shapes,
    content: Callable[[str], Iterable[bytes]],
    metadata: Mapping[str, str],
    force: bool = False,
) -> None:
    """A file of these tensors, whole or not at all: see `fill`."""
    with whole_file(path, force) as file:
        fill(file, shapes, content, metadata)


def header(shapes: Shapes, metadata: Mapping[str, str]) -> bytes:
    """The JSON header of a file, without the eight bytes of its length."""
    fields: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape, size) in shapes.items():
        fields[name] = {"dtype": dtype, "shape": shape, "data_offsets": (end, end + size)}
        end += size
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % 8)


def fill(
    file: BinaryIO,
    shapes: Shapes,
    content: Callable[[str], Iterable[bytes]],
    metadata: Mapping[str, str],
) -> None:
    """Writes the tensors into an open file.

    `content(name)` is asked once for each, in order. If the metadata's `sshs_model_hash` is
    `PENDING`, the hash of all numbers takes its place."""
    text = header(shapes, metadata)
    digest = hashlib.sha256()
    file.write(struct.pack("<Q", len(text)) + text)
    for name in shapes:
        for piece in content(name):
            file.write(piece)
            digest.update(piece)
    if metadata.get(HASH) == PENDING:
        file.seek(8 + text.index(PENDING.encode()))
        file.write(f"0x{digest.hexdigest()}".encode())
        file.seek(0, 2)
