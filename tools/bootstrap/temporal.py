"""Where the Temporal server comes from, and its time-skipping sibling for tests.

The dev server is `temporal` on PATH, else the vendor's download, else a build of the module that
tools/temporal/go.mod pins; the time-skipping one is a set of jars from Maven Central.
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from tools.bootstrap import toolchains
from tools.bootstrap.setup import Setup, StepFailed, digest

MODULE = "github.com/temporalio/cli"
OLDEST = (1, 8)
PROBE_SECONDS = 3
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# The address the SDKs' own download uses:
# https://github.com/temporalio/sdk-core/blob/master/crates/sdk-core/src/ephemeral_server/mod.rs
DOWNLOAD = "https://temporal.download/cli/archive/v{version}?platform={system}&arch={arch}"

WRAPPER = """#!/bin/sh
# TieredStopAtLevel=1: the server lives for minutes; starting fast beats running fast.
exec java -XX:TieredStopAtLevel=1 -cp "{jars}/*" io.temporal.testserver.TestServer "$@"
"""


def server(setup: Setup) -> None:
    """Have `.tools/bin/temporal`, from PATH, the vendor or a build, in this order."""
    gomod = setup.root / "tools" / "temporal" / "go.mod"
    key = digest(gomod, gomod.with_name("go.sum"), str(shutil.which("temporal")))
    if setup.fresh("temporal", key, setup.bin / "temporal"):
        return
    setup.link("temporal", _server(setup, gomod))
    setup.mark("temporal", key)
    setup.say("temporal", "ready")


def _server(setup: Setup, gomod: Path) -> Path:
    found = toolchains.on_path("temporal", OLDEST)
    if found is not None:
        return found
    version, go_version = pinned(gomod.read_text())
    program = setup.tools / f"temporal-{version}" / "temporal"
    if toolchains.version_of(program, ["--version"]) is not None:
        return program
    program.parent.mkdir(exist_ok=True)
    if not _download(setup, version, program):
        _build(setup, gomod.parent, version, go_version, program)
    return program


def pinned(gomod: str) -> tuple[str, tuple[int, ...]]:
    """Read from go.mod which CLI is pinned, and the oldest Go that builds it."""
    version = re.search(rf"^\s*{re.escape(MODULE)} v(\S+)", gomod, re.MULTILINE)
    go_version = re.search(r"^go (\S+)", gomod, re.MULTILINE)
    if version is None or go_version is None:
        raise StepFailed(f"tools/temporal/go.mod names no version of {MODULE} or of Go")
    return version[1], tuple(map(int, go_version[1].split(".")))


def _download(setup: Setup, version: str, program: Path) -> bool:
    arch = ARCHITECTURES.get(platform.machine().lower())
    if arch is None:
        return False
    url = DOWNLOAD.format(version=version, system=sys.platform, arch=arch)
    archive = program.with_name("temporal.tar.gz")
    try:
        with (
            urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer,
            archive.open("wb") as out,
        ):
            setup.say("temporal", f"downloading {version} from temporal.download")
            shutil.copyfileobj(answer, out)
        with tarfile.open(archive) as tar:
            tar.extract("temporal", program.parent, filter="data")
    except (OSError, tarfile.TarError, KeyError) as error:
        setup.say("temporal", f"no download ({error})")
        return False
    finally:
        archive.unlink(missing_ok=True)
    return toolchains.version_of(program, ["--version"]) is not None


def _build(
    setup: Setup, module: Path, version: str, oldest: tuple[int, ...], program: Path
) -> None:
    go = toolchains.go(setup, "temporal", oldest)
    flags = f"-s -w -X {MODULE}/internal/temporalcli.Version={version}"
    setup.say("temporal", "building the pinned server with Go; about 4 minutes on 2 cores, once")
    setup.run(
        "temporal",
        [go, "build", "-trimpath", f"-ldflags={flags}", "-o", program, f"{MODULE}/cmd/temporal"],
        cwd=module,
        env={"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"},
    )


def test_server(setup: Setup) -> None:
    """Have `.tools/bin/temporal-test-server`, whose clock tests can skip."""
    pom = setup.root / "tools" / "testserver" / "pom.xml"
    jars = setup.tools / "temporal-test-server"
    program = setup.bin / "temporal-test-server"
    key = digest(pom, str(jars))
    if setup.fresh("test-server", key, jars, program):
        return
    setup.say("test-server", "fetching the time-skipping server's jars with Maven")
    shutil.rmtree(jars, ignore_errors=True)
    setup.run(
        "test-server",
        ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"],
        cwd=pom.parent,
    )
    program.write_text(WRAPPER.format(jars=jars))
    program.chmod(0o755)
    setup.mark("test-server", key)
    setup.say("test-server", "ready")
