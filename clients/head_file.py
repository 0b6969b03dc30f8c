"""Signed heads in a file outside the database: a line of JSON each, only ever added to."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from models.audit import SignedHead
from models.errors import SourceUnavailable

_SOURCE = "file of signed heads"
_BLOCK = 4096


class KeptHeads(NamedTuple):
    """What the file holds. spoilt: numbers of lines that are no signed head."""

    heads: list[SignedHead]
    spoilt: list[int]


class HeadFile:
    """One file per vault, in a folder that the database's masters cannot write to.

    A line is on disk before `append` returns. One that a crash cut short has no end, never counted,
    and is cut off by the next; whole lines are never touched again.
    """

    def __init__(self, folder: Path, chain_id: int, vault: str) -> None:
        self.path = folder / f"audit-heads-{chain_id}-{vault.lower()}.jsonl"

    def exists(self) -> bool:
        """Whether anything was ever written to it."""
        return self.path.exists()

    def append(self, head: SignedHead) -> None:
        """Add a head; blocking. Raises SourceUnavailable: it is not on disk."""
        line = head.model_dump_json().encode() + b"\n"
        try:
            new = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write_whole(descriptor, _after_torn_line(descriptor) + line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise SourceUnavailable(_SOURCE, f"writing {self.path}", str(error)) from error

    def read(self) -> KeptHeads:
        """All heads, oldest first; blocking. No file is no heads. Raises SourceUnavailable."""
        return read_heads(self.path) if self.exists() else KeptHeads([], [])


def read_heads(path: Path) -> KeptHeads:
    """The heads in a file, oldest first; blocking. Raises SourceUnavailable."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise SourceUnavailable(_SOURCE, f"reading {path}", str(error)) from error
    found = KeptHeads([], [])
    for number, line in enumerate(lines, 1):
        try:
            found.heads.append(SignedHead.model_validate_json(line))
        except ValidationError:
            found.spoilt.append(number)
    return found


def _after_torn_line(descriptor: int) -> bytes:
    """Cut what follows the last line's end: the head it was to be never counted.

    Where the file system lets nobody cut, what ends that line, which then counts as spoilt.
    """
    size = whole = os.fstat(descriptor).st_size
    while whole > 0:
        start = max(0, whole - _BLOCK)
        end = os.pread(descriptor, whole - start, start).rfind(b"\n")
        if end >= 0:
            whole = start + end + 1
            break
        whole = start
    if whole == size:
        return b""
    try:
        os.ftruncate(descriptor, whole)
    except PermissionError:
        return b"\n"
    return b""


def _write_whole(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
