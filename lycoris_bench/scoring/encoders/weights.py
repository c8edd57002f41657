"""Finds an encoder's weights: in the package, a local file, the hub's cache, or on the hub.

A file that is in the cache is taken without a network call. `HF_HOME` and `HF_HUB_OFFLINE` are
huggingface_hub's own and mean here what they mean there.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, uint8
from torch.nn import Module

from lycoris_bench.files import disk
from lycoris_bench.files.checksum import sha256_once
from lycoris_bench.files.shipped import PACKAGE
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.encoders.base import Record

TIMM = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
COMMIT = re.compile("[0-9a-f]{40}")  # of a repository: what it names never changes
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


class MissingWeights(BenchError):
    """The weights are not on this machine and cannot be fetched; says which, and what to type."""

    of_machine = True


class WrongWeights(BenchError):
    """The weights' file has another content than the record states, or holds no weights."""


def locate(record: Record, filenames: Sequence[str] = ()) -> Path:
    """The file with the record's weights; on the hub, the first of `filenames` that is there.

    Its SHA-256 is checked if the record declares one."""
    if is_repository(record.weights):
        path = _cached(record, filenames) or _downloaded(record, filenames)
    else:
        path = local_file(record.weights, record.name)
    if record.sha256 and (digest := sha256_once(path)) != record.sha256:
        raise WrongWeights(
            f"{path} has sha256 {digest}, but the record of {record.name} says "
            f"{record.sha256}: its features would not be comparable"
        )
    return path


def here(record: Record, filenames: Sequence[str] = ()) -> Path | None:
    """The file with the record's weights if it is on this machine, else None. Fetches nothing."""
    if is_repository(record.weights):
        return _cached(record, filenames)
    try:
        return local_file(record.weights, record.name)
    except MissingWeights:
        return None


def may_change(record: Record, filenames: Sequence[str] = ()) -> str | None:
    """A sentence where a record's weights are a repository at no commit, whose content may change;
    else None. It has the commit and the SHA-256 that are on this machine."""
    pinned = record.sha256 or COMMIT.fullmatch(record.revision)
    if pinned or not is_repository(record.weights):
        return None
    named = f"the weights of encoder {record.name}, {record.weights} at '{record.revision}', "
    file = _cached(record, filenames)
    if file is None:
        return f"{named}are pinned to no commit"
    commit = file.parent.name if COMMIT.fullmatch(file.parent.name) else "<commit>"
    return (
        f"{named}are pinned to no commit and may change on the hub; read was SHA-256 "
        f"{str(sha256_once(file))[:16]}...; to pin them, name '{record.weights}@{commit}' in "
        f"'scoring.weights.{record.name}'"
    )


def given(record: Record, weights: str) -> Record:
    """The record with other weights: a file, or a repository as `owner/name[@revision]`."""
    repository, _, revision = weights.partition("@")
    if Path(weights).is_file() or not is_repository(repository):
        repository, revision = weights, "local"
        _check_kind(disk.expand(weights), record.name)
    return replace(record, weights=repository, revision=revision or "main", sha256=None)


def _check_kind(path: Path, name: str) -> None:
    """WrongWeights for a file that holds no weights, before any work is done."""
    if not path.is_file():
        return  # which is said where it is looked for
    if path.suffix not in SUFFIXES:
        raise WrongWeights(
            f"the weights of {name} are to be read from {path}, which is of another kind; allowed "
            f"are: {', '.join(SUFFIXES)}"
        )
    if path.suffix == ".safetensors":
        with reading(path, name), safe_open(path, "numpy"):
            pass


def sha256_of_tensors(values: Mapping[str, Any]) -> str | None:
    """Of all tensors among these values and in the modules among them; None where there is none."""
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    for name, value in values.items():
        if isinstance(value, Module):
            state = value.state_dict().items()
            tensors |= {f"{name}.{key}": t for key, t in state if isinstance(t, Tensor)}
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(uint8).numpy().tobytes())
    return digest.hexdigest() if tensors else None


def is_repository(weights: str) -> bool:
    """Whether the text has the form `owner/repository` and names no file."""
    named = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", weights) and not weights.endswith(SUFFIXES)
    return bool(named) and not Path(weights).is_file()


def local_file(weights: str, name: str) -> Path:
    """A file in the package or elsewhere on this machine."""
    path = disk.expand(weights)
    if not path.is_file():
        advice = "give the path of a file, or owner/name of a repository on the hub"
        if weights.startswith(PACKAGE):
            advice = "the installation is incomplete, install lycoris-bench again"
        raise MissingWeights(
            f"the weights of {name} are missing: there is no file {path}; {advice}"
        )
    return path


def _cached(record: Record, filenames: Sequence[str]) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError as error:
        raise needed("huggingface_hub", record.name) from error
    for name in filenames:
        path = try_to_load_from_cache(record.weights, name, revision=record.revision)
        if isinstance(path, str):
            return Path(path)
    return None


def _downloaded(record: Record, filenames: Sequence[str]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    reason = f"it has none of {', '.join(filenames)}"
    for name in filenames:
        try:
            return Path(hf_hub_download(record.weights, name, revision=record.revision))
        except EntryNotFoundError as error:
            if not isinstance(error, LocalEntryNotFoundError):
                continue  # the repository answered: its weights have another name
            reason = first_sentence(error)
        except (OSError, ValueError) as error:
            reason = first_sentence(error)
        break
    raise MissingWeights(
        f"the weights of {record.name} are missing: {record.weights} is not in the cache and "
        f"could not be downloaded ({reason}); where there is a network, type: "
        f"hf download {record.weights} --revision {record.revision}"
    )


class MissingLibrary(BenchError, ImportError):
    """A library that an encoder needs is not installed; says what to type."""


def needed(package: str, name: str) -> MissingLibrary:
    """The error for a library that is not installed."""
    return MissingLibrary(f"encoder {name} needs {package}; type: pip install {package}")


@contextmanager
def reading(path: Path, name: str) -> Iterator[None]:
    """Turns a library's error about a damaged or foreign file into one sentence."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise WrongWeights(
            f"{path} does not hold the weights of {name} "
            f"({type(error).__name__}: {first_sentence(error)})"
        ) from error


def first_sentence(error: Exception) -> str:
    """The first sentence of a library's error, whose messages are long."""
    return str(error).strip().split("\n")[0].split(". ")[0].rstrip(".:")
