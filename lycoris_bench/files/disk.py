"""Plain files: the one way to read a text that a user wrote, and to write a file whole.

A pipe, a device, a folder or a socket in a file's place is an answer in one sentence, never a
hang and never replaced. Standard library only, so that everything may import it."""

import contextlib
import errno
import json
import os
import re
import stat
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

from lycoris_bench.files.shipped import PACKAGE, shipped
from lycoris_bench.messages.errors import BenchError

SYSTEM = (Path("/dev"), Path("/proc"), Path("/sys"))  # what lies there is the system's own
MEMORY = Path("/dev/shm")
MOST_LINKS = 40  # as the system itself follows
PARTIAL = ".part"  # the end of a name under which a file is being written
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BREAKS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]+")  # which str.splitlines takes for ends
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
          (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))  # fmt: skip


class FileError(BenchError):
    """A file cannot be read or written: one sentence that begins with its path."""


class NoSuchFile(FileError):
    """The file does not exist."""


def expand(path: str | Path) -> Path:
    """The place that a user named: "~" and "~name" are home folders, `package:...` is what ships
    with lycoris-bench. FileError: there is no such user."""
    if str(path).startswith(PACKAGE):
        return shipped(str(path))
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FileError(f"{path} cannot be followed ({str(error).rstrip('.').lower()})") from None


def kind_of(path: str | Path) -> str | None:
    """What is there in a plain file's place, such as "a folder"; None for a plain file or none.

    A link is what it points to."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # a NUL in the name is a ValueError
        return None
    return next((name for is_kind, name in _KINDS if is_kind(mode)), None)


def never_written(path: str | Path, *, folder: bool = False) -> str | None:
    """What is at a place to write and is never replaced, such as "a pipe" or "a link into /proc".

    Links are followed one by one: that at the end of /dev/stdout may lead to a plain file. With
    `folder` a folder may be there. /dev/shm is memory to keep files in, and counts as a disk."""
    kind = kind_of(path)
    if kind and not (folder and kind == "a folder"):
        return kind
    step = Path(path).absolute()
    for links in range(MOST_LINKS):
        try:
            step = step.parent.resolve() / step.name
            inside = next((root for root in SYSTEM if step.is_relative_to(root)), None)
            if inside and not step.is_relative_to(MEMORY):
                return f"a link into {inside}" if links else f"a place in {inside}"
            if not step.is_symlink():
                return None
            step = step.parent / step.readlink()
        except (OSError, RuntimeError, ValueError):  # a circle, no right to look, a NUL
            return None
    return None


def read_bytes(path: str | Path) -> bytes:
    """All of a plain file. FileError: it is none, or cannot be read; NoSuchFile: it is missing."""
    if "\0" in str(path):
        raise NoSuchFile(f"{str(path)!r} is no file name")
    if kind := kind_of(path):
        raise FileError(f"{path} is {kind}; a plain file is needed")
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchFile(f"{path} is missing") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror})") from None


def read_text(path: str | Path) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark; without the mark, every line ended by
    "\\n". What only looks like the end of a line (U+2028, form feed) becomes a space.

    FileError: it is no text, or holds NUL characters."""
    data = read_bytes(path)
    mark, encoding = next(((m, e) for m, e in _BOMS if data.startswith(m)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} is not {encoding.upper()} text (byte {error.start + len(mark)}); "
            "save it as UTF-8"
        ) from None
    if "\0" in text:
        raise FileError(f"{path} holds NUL characters; save it as UTF-8 text")
    text = text.removeprefix("\ufeff")  # a second mark, as concatenated files have it
    return _BREAKS.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text, without the white space around them; empty ones are kept."""
    return [line.strip() for line in read_text(path).split("\n")]


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file's table. FileError: it is no text or no TOML."""
    try:
        return tomllib.loads(read_text(path))
    except ValueError as error:  # a number of 5000 digits is no TOMLDecodeError
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be read as TOML: {error}") from None
    except RecursionError:
        raise FileError(f"{path} cannot be read as TOML: it is nested too deeply") from None


def read_json(path: str | Path) -> Any:
    """A JSON file's value. FileError: it is no text or no JSON."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be read as JSON: {error}") from None
    except RecursionError:
        raise FileError(f"{path} cannot be read as JSON: it is nested too deeply") from None


def composed(name: str) -> str:
    """A name in Unicode's form C: file systems and editors differ in how they spell an é.

    >>> composed("e\\u0301") == "\\xe9"
    True
    """
    return unicodedata.normalize("NFC", name)


def named(folder: Path, name: str) -> Path:
    """The entry of that name in a folder, spelled in whichever Unicode form."""
    exact = folder / name
    if name.isascii() or exact.exists():
        return exact
    with contextlib.suppress(OSError):
        return next((p for p in folder.iterdir() if composed(p.name) == composed(name)), exact)
    return exact


def cache_folder() -> Path:
    """What outlives a run: `LYCORIS_BENCH_CACHE`, else the user's cache folder."""
    if own := os.environ.get("LYCORIS_BENCH_CACHE"):
        return expand(own)
    return expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "lycoris-bench"


def refuse_special(path: str | Path) -> None:
    """FileError where a folder, pipe, device or socket lies in the place of a file to write, or
    where it is the system's (`never_written`)."""
    if kind := never_written(path):
        raise FileError(f"{path} is {kind}, which is not replaced; give another place")


def write(path: Path, data: bytes | str) -> Path:
    """The whole file or none of it: a temporary name beside it, fsync, rename.

    FileError: the disk is full, or the place cannot be written."""
    data = data.encode() if isinstance(data, str) else data
    refuse_special(path)
    part = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FileError(
                f"no space left on the disk for {path}; free some and run the same command "
                "again, it continues"
            ) from None
        raise FileError(f"{path} cannot be written ({error.strerror})") from None
    finally:  # an interrupt, too, leaves nothing half written
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path
