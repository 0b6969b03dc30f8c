"""`bronco` as a user types it: in a process of its own, or in this one."""

import asyncio
import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bronco.cli import run

_USER = {"COLUMNS": "160", "LOGNAME": "grace"}


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int | None
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs `bronco` as a user would, with settings in the environment alone."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._environment = environment

    async def __call__(self, *arguments: str, **changes: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bronco", *arguments),
            env=self._environment | _USER | changes,
            cwd=self._directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        return Ran(process.returncode, out.decode(), error.decode())


class Inline(Shell):
    """The same in this process: importing all for each line would take most of a test's time."""

    async def __call__(self, *arguments: str, **changes: str) -> Ran:
        out, error = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("BRONCO_")]:
                patch.delenv(name)
            for name, value in (self._environment | _USER | changes).items():
                patch.setenv(name, value)
            patch.chdir(self._directory)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                code = await asyncio.to_thread(run, arguments)
        return Ran(code, out.getvalue(), error.getvalue())
