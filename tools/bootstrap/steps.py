"""The steps: packages, the chain's tools, Temporal, its test server, servers and a browser."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.bootstrap import temporal, toolchains
from tools.bootstrap.setup import Setup, Step, StepFailed, digest

NPM_QUIET = ("--ignore-scripts", "--no-audit", "--no-fund")
ANVIL = "@foundry-rs/anvil-*/bin/anvil"

APT_PACKAGES = {
    "mariadbd": "mariadb-server",
    "redis-server": "redis-server",
    "java": "default-jre-headless",
    "mvn": "maven",
    "chromium": "chromium",
    "promtool": "prometheus",
}

APT_SCRIPT = """
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends "$@"
"""
"""Installs without starting the services (invoke-rc.d obeys policy-rc.d): we run private ones."""


def python(setup: Setup) -> None:
    """Make `.venv` exactly what uv.lock says, compiled, since importing web3 uncompiled is slow."""
    project = tomllib.loads((setup.root / "pyproject.toml").read_text())
    shape = {name: project[name] for name in ("project", "dependency-groups", "build-system")}
    key = digest(setup.root / "uv.lock", json.dumps(shape, sort_keys=True), sys.version)
    if setup.fresh("python", key, setup.root / ".venv" / "bin" / "bronco"):
        return
    uv = toolchains.uv(setup, "python")
    setup.say("python", "installing the packages of uv.lock into .venv")
    interpreter = getattr(sys, "_base_executable", sys.executable)
    setup.run(
        "python",
        [uv, "sync", "--frozen", "--compile-bytecode", "--python", interpreter],
        env={
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_SYSTEM_CERTS": "true",  # as pip, Go and Maven do: a company's own authority counts
            "UV_PROJECT_ENVIRONMENT": str(setup.root / ".venv"),
            "VIRTUAL_ENV": "",
            "PYTHONDONTWRITEBYTECODE": "",
        },
    )
    setup.mark("python", key)
    setup.say("python", "ready")


def chain(setup: Setup) -> None:
    """Install anvil, solc and OpenZeppelin as contracts/package-lock.json says."""
    contracts = setup.root / "contracts"
    installed = contracts / "node_modules"
    key = digest(contracts / "package.json", contracts / "package-lock.json")
    if setup.fresh("chain", key, installed / "solc", setup.bin / "anvil", setup.bin / "node"):
        return
    node = toolchains.node(setup, "chain")
    setup.say("chain", "installing anvil, solc and OpenZeppelin from npm")
    setup.run("chain", [*node.npm, "ci", *NPM_QUIET], cwd=contracts, env=node.env)
    anvil = next(installed.glob(ANVIL), None) or _unlocked_anvil(setup, node)
    setup.link("anvil", anvil)
    setup.link("node", node.program)
    setup.mark("chain", key)
    setup.say("chain", "ready")


def _unlocked_anvil(setup: Setup, node: toolchains.Node) -> Path:
    """Find anvil for a machine whose package the lock file does not carry (see docs/decisions)."""
    found = shutil.which("anvil")
    if found is not None:
        return Path(found)
    contracts = setup.root / "contracts"
    lock = json.loads((contracts / "package.json").read_text())
    (package, version), *_ = lock["optionalDependencies"].items()
    system, arch = sys.platform, temporal.ARCHITECTURES.get(platform.machine().lower(), "unknown")
    package = f"{package.rsplit('-', 2)[0]}-{system}-{arch}@{version}"
    try:
        argv = [*node.npm, "install", "--no-save", *NPM_QUIET, package]
        setup.run("chain", argv, cwd=contracts, env=node.env)
        return next((contracts / "node_modules").glob(ANVIL))
    except (StepFailed, StopIteration) as error:
        raise StepFailed(f"cannot install {package}: put a Foundry `anvil` on PATH") from error


def databases(setup: Setup) -> None:
    """Find the servers, the browser and the tools that tests run, or install them with apt."""
    missing = [name for name in APT_PACKAGES if _program(name) is None]
    if not missing:
        return
    packages = [APT_PACKAGES[name] for name in missing]
    prefix = _root_prefix()
    if shutil.which("apt-get") is None or prefix is None:
        raise StepFailed(
            f"not found: {', '.join(missing)}. The tests run on real ones and never skip them. "
            f"Install them and run this again; on Debian or Ubuntu: "
            f"sudo apt-get install {' '.join(packages)}"
        )
    setup.say("databases", f"installing {', '.join(packages)} with apt, services not started")
    setup.run("databases", [*prefix, "sh", "-c", APT_SCRIPT, "sh", *packages])
    setup.say("databases", "ready")


def _program(name: str) -> str | None:
    # Debian keeps servers in sbin, which is not on every user's PATH.
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    asked = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
    return [sudo, "-n"] if asked.returncode == 0 else None


RUN = (
    # Temporal first: a cold build is by far the longest, and nothing here waits for it.
    Step("temporal", temporal.server),
    Step("python", python),
    Step("chain", chain),
)
TEST = (
    *RUN,
    Step("databases", databases),
    Step("test-server", temporal.test_server, needs=("databases",)),
)
LINT = (Step("python", python),)
