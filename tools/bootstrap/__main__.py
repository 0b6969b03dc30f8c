"""`python3 -m tools.bootstrap run|test|lint`: make the checkout ready, or say what is missing."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

from tools.bootstrap.setup import Setup, run_all
from tools.bootstrap.steps import LINT, RUN, TEST

PLANS = {"run": RUN, "test": TEST, "lint": LINT}
INTERRUPTED = 130


def main(argv: list[str]) -> int:
    """Run one plan; 0 when all of it is ready."""
    if len(argv) != 1 or argv[0] not in PLANS:
        sys.stderr.write(f"usage: python3 -m tools.bootstrap {'|'.join(PLANS)}\n")
        return 2
    setup = Setup()
    _forget(setup.bin)
    started = time.monotonic()
    try:
        with (setup.tools / "lock").open("w") as lock:
            _take(setup, lock.fileno())
            failures = run_all(setup, PLANS[argv[0]])
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run it again to go on where it stopped\n")
        return INTERRUPTED
    for name, error in failures.items():
        setup.say(name, f"FAILED: {error}")
    if failures:
        return 1
    if time.monotonic() - started > 1:
        setup.say("setup", "everything is ready")
    return 0


def _forget(own: Path) -> None:
    # Somebody may have our own links on PATH; found there, they would come to point to themselves.
    entries = os.environ.get("PATH", "").split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(path for path in entries if path != str(own))


def _take(setup: Setup, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        setup.say("setup", "waiting for another set-up of this checkout to finish")
        fcntl.flock(lock, fcntl.LOCK_EX)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
