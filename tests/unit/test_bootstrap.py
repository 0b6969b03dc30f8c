"""Set-up skips what is done, shows what failed, and stops when told."""

import sys
import threading
from pathlib import Path

import pytest

from tools.bootstrap import temporal, toolchains
from tools.bootstrap.setup import Setup, Step, StepFailed, digest, run_all


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def setup(tmp_path: Path, said: list[str]) -> Setup:
    return Setup(tmp_path, echo=said.append)


def test_fresh__key_and_products_unchanged__skips_the_step(setup: Setup, tmp_path: Path) -> None:
    product = tmp_path / "product"
    setup.mark("step", "key")
    assert not setup.fresh("step", "key", product)
    product.touch()
    assert setup.fresh("step", "key", product)
    assert not setup.fresh("step", "other", product)


def test_digest__parts_moved_between_files__differs(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("ab")
    first = digest(lock, "c")
    lock.write_text("a")
    assert digest(lock, "bc") != first


def test_run__command_fails__shows_the_end_of_its_log(setup: Setup) -> None:
    code = "import sys; print('no such package'); sys.exit(4)"
    with pytest.raises(StepFailed, match=r"(?s)ended with 4.*no such package"):
        setup.run("step", [sys.executable, "-c", code])


def test_run__program_is_missing__names_it(setup: Setup) -> None:
    with pytest.raises(StepFailed, match="cannot start /no/such/program"):
        setup.run("step", ["/no/such/program"])


def test_stop__command_running__ends_it_and_begins_no_other(setup: Setup) -> None:
    failures: dict[str, Exception] = {}
    wait = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"]
    steps = [Step("wait", lambda setup: setup.run("wait", wait))]
    thread = threading.Thread(target=lambda: failures.update(run_all(setup, steps)))
    thread.start()
    log = setup.tools / "logs" / "wait.log"
    while not (log.exists() and "up" in log.read_text()):
        thread.join(0.01)
    setup.stop()
    thread.join(10)
    assert "ended with -15" in str(failures["wait"])
    with pytest.raises(StepFailed, match="stopped before"):
        setup.run("wait", wait)


def test_run_all__a_needed_step_fails__the_next_is_not_begun(setup: Setup) -> None:
    begun = []

    def fail(_: Setup) -> None:
        raise StepFailed("install it")

    steps = [
        Step("first", fail),
        Step("second", lambda _: begun.append("second"), needs=("first",)),
        Step("other", lambda _: begun.append("other")),
    ]
    failures = run_all(setup, steps)
    assert begun == ["other"]
    assert {name: str(error) for name, error in failures.items()} == {
        "first": "install it",
        "second": "not begun, because first failed",
    }


def test_link__made_twice__points_to_the_second(setup: Setup, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        setup.link("tool", tmp_path / name)
    assert (setup.bin / "tool").read_text() == "two"


@pytest.mark.parametrize(
    ("prints", "version"), [("v20.11.1", (20, 11, 1)), ("go version go1.26.8 x", (1, 26, 8))]
)
def test_version_of__program_answers__is_read(prints: str, version: tuple[int, ...]) -> None:
    assert toolchains.version_of(sys.executable, ["-c", f"print({prints!r})"]) == version


def test_version_of__program_fails__is_none() -> None:
    assert toolchains.version_of(sys.executable, ["-c", "raise SystemExit('1.2')"]) is None
    assert toolchains.version_of("/no/such/program", []) is None


def test_pinned__go_mod_of_the_checkout__names_cli_and_go() -> None:
    gomod = Path(temporal.__file__).parents[1] / "temporal" / "go.mod"
    version, oldest = temporal.pinned(gomod.read_text())
    assert version.startswith("1.")
    assert oldest >= (1, 26)
    with pytest.raises(StepFailed, match="names no version"):
        temporal.pinned("module x")
