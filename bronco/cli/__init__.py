"""The `bronco` command.

A module here that has `register(app)` adds commands. It imports typer alone at its top and all else
inside its functions, so that `bronco --help` answers at once.
"""

import contextlib
import functools
import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

import typer

app = typer.Typer(
    name="bronco",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns deposits on a chain into shares at a broker, and back. "
    "Settings come from the environment and ./.env: see [bold]bronco settings[/].",
    epilog="Exit codes: 0 done · 1 failed · 2 wrong usage · 3 not all could be asked or confirmed.",
)
FAILED = 1
_MADE_BETWEEN_COLLECTIONS = 50_000


def main() -> None:
    """Run the command, and end the process at once.

    Without `_exit`, temporalio sometimes aborts while Python shuts down.
    https://github.com/temporalio/sdk-python/issues/300
    """
    # Importing makes hundreds of thousands of objects that stay: looking through them for rubbish
    # after every 700 was a fifth of a process's start.
    gc.set_threshold(_MADE_BETWEEN_COLLECTIONS)
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command line; the exit code. An error of ours is one line on standard error."""
    _register()
    from models.errors import BroncoError

    try:
        app(list(argv))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    except BroncoError as error:
        from bronco.logs import Redaction

        sys.stderr.write(f"bronco: {Redaction().text(str(error))}\n")
        return FAILED
    except BrokenPipeError:
        return FAILED
    return 0


@functools.cache
def _register() -> None:
    for module in pkgutil.iter_modules(__path__):
        register = getattr(importlib.import_module(f"{__name__}.{module.name}"), "register", None)
        if register:
            register(app)
