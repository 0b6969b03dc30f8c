"""Runs set-up steps side by side, says what they do, and remembers what is already done.

A step is skipped when the files it was made from have not changed: their digest is kept in
`.tools/stamps/<step>`. Its commands write to `.tools/logs/<step>.log`, whose end is shown when
one fails.
"""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class StepFailed(Exception):
    """A step could not be done; its text says what to do about it."""


@dataclass(frozen=True)
class Step:
    """One piece of set-up, begun when those it needs are done."""

    name: str
    run: Callable[[Setup], None]
    needs: tuple[str, ...] = ()


class Setup:
    """The checkout being set up, and the commands running for it."""

    def __init__(self, root: Path = ROOT, echo: Callable[[str], object] = sys.stderr.write) -> None:
        self.root = root
        self.tools = root / ".tools"
        self.bin = self.tools / "bin"
        self._echo = echo
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        for folder in (self.bin, self.tools / "stamps", self.tools / "logs"):
            folder.mkdir(parents=True, exist_ok=True)

    def say(self, step: str, text: str) -> None:
        """Print one progress line with the seconds since the beginning."""
        with self._lock:
            self._echo(f"[{time.monotonic() - self._started:6.1f}s] {step:<12} {text}\n")

    def run(
        self,
        step: str,
        argv: Sequence[str | Path],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command to its end.

        Raises:
            StepFailed: it could not be started, or ended with anything but 0.
        """
        log = self.tools / "logs" / f"{step}.log"
        with log.open("ab") as out:
            process = self._spawn(
                argv, cwd or self.root, {**os.environ, **(env or {})}, out.fileno()
            )
            code = process.wait()
        with self._lock:
            self._running.discard(process)
        if code != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            command = " ".join(map(str, argv))
            raise StepFailed(f"`{command}` ended with {code}; the end of {log}:\n{tail}")

    def _spawn(
        self, argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str], out: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise StepFailed("stopped before it began")
            try:
                process = subprocess.Popen(
                    argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise StepFailed(f"cannot start {argv[0]}: {error}") from error
            self._running.add(process)
            return process

    def stop(self) -> None:
        """End every running command and let no new one begin."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue

    def fresh(self, step: str, key: str, *products: Path) -> bool:
        """Tell whether the step was done with this key and its products are still there."""
        stamp = self.tools / "stamps" / step
        if not stamp.is_file() or stamp.read_text() != key:
            return False
        return all(product.exists() for product in products)

    def mark(self, step: str, key: str) -> None:
        """Remember that the step is done with this key."""
        (self.tools / "stamps" / step).write_text(key)

    def link(self, name: str, target: Path) -> None:
        """Offer a program under `.tools/bin`, where the stack looks first."""
        link = self.bin / name
        link.unlink(missing_ok=True)
        ours = target.is_relative_to(self.root)
        link.symlink_to(os.path.relpath(target, self.bin) if ours else target)


def digest(*parts: Path | str) -> str:
    """Digest the contents of files, any other text, and the machine's kind."""
    total = hashlib.sha256(f"{sys.platform} {platform.machine()}".encode())
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()


def run_all(setup: Setup, steps: Sequence[Step]) -> dict[str, Exception]:
    """Run steps side by side, each after those it needs; return the ones that failed."""
    futures: dict[str, Future[None]] = {}

    def one(step: Step) -> None:
        for need in step.needs:
            if need in futures and futures[need].exception() is not None:
                raise StepFailed(f"not begun, because {need} failed")
        step.run(setup)

    with ThreadPoolExecutor(max_workers=len(steps)) as pool:
        try:
            for step in steps:
                futures[step.name] = pool.submit(one, step)
            for future in futures.values():
                future.exception()
        except KeyboardInterrupt:
            setup.stop()
            raise
    failures = {name: future.exception() for name, future in futures.items()}
    return {name: error for name, error in failures.items() if isinstance(error, Exception)}
