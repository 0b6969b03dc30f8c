"""`bronco opend ctl`: the control port from a terminal.

The commands, their arguments and their help are those of control_port.py and questions.py; the
faults are those of faults.py. Nothing is listed here a second time.
"""

import argparse
import asyncio
import inspect
import json
import sys
import typing
from collections.abc import Sequence
from typing import Any

from simulators.opend import faults
from simulators.opend.control import SimulatorControl
from simulators.opend.control_port import VERBS, ControlPort
from simulators.opend.errors import ControlError
from simulators.opend.options import OpenDOptions
from simulators.opend.tables import printed

DONE, FAILED = 0, 1
DEFAULT_PORT = OpenDOptions().port + 1
SWITCH = {"on": True, "off": False}
_SEPARATOR = "===="
ABOUT = "Tells a running simulator what to do, and asks it what it knows."
FAULT_EXAMPLES = """\
Parameters are KEY=VALUE, `off` ends what lasts:

  bronco opend ctl fault answer_lost
  bronco opend ctl fault reject n=2 message="Insufficient buying power"
  bronco opend ctl fault silence protocol=GetOrderList
  bronco opend ctl fault no_push
  bronco opend ctl fault no_push off
  bronco opend ctl fault late_fill order_id=1764214000001
"""


def fault_lines() -> dict[str, str]:
    """Every fault with the sentence that the table of faults.py has for it."""
    found: dict[str, str] = {}
    bounds, name = (0, 0), ""
    for line in (faults.__doc__ or "").splitlines():
        if line.startswith(_SEPARATOR):
            first, second = line.split()[:2]
            begin = line.index(second, len(first))
            bounds, name = (begin, begin + len(second)), ""
        elif line.split(" ")[0] in faults.ALL:
            name = line.split(" ")[0]
            found[name] = line[max(bounds[0], len(name)) : bounds[1]].strip()
        elif name and line.startswith(" "):
            found[name] = f"{found[name]} {line[slice(*bounds)].strip()}".strip()
        else:
            name = ""
    return found


def _fault_list() -> str:
    lines = fault_lines()
    width = max(len(name) for name in faults.ALL)
    return "".join(f"  {name:{width}}  {lines.get(name, '')}\n" for name in sorted(faults.ALL))


def _fault_kinds() -> dict[str, type]:
    """What each parameter of a fault is, from where the faults take them."""
    kinds = typing.get_type_hints(faults.Armed)
    for taker in (ControlPort._act, ControlPort._switch):
        kinds |= typing.get_type_hints(taker)
    return {name: _plain(kind) for name, kind in kinds.items()}


def _plain(kind: Any) -> type:
    """`int` of `int | None`."""
    options = [part for part in typing.get_args(kind) if part is not type(None)]
    plain: type = options[0] if options else kind
    return plain


def _fault_parameter(text: str) -> tuple[str, Any]:
    if text in SWITCH:
        return "on", SWITCH[text]
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, on or off")
    if _fault_kinds().get(key) is str:
        return key, value
    try:
        return key, SWITCH[value] if value in SWITCH else json.loads(value)
    except ValueError:
        return key, value


def _switch(text: str) -> bool:
    if text not in SWITCH:
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return SWITCH[text]


def _add_argument(
    parser: argparse.ArgumentParser, parameter: inspect.Parameter, alone: bool
) -> None:
    kind, name = _plain(parameter.annotation), parameter.name
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        parser.add_argument(
            name, nargs="*", type=_fault_parameter, metavar="KEY=VALUE", default=argparse.SUPPRESS
        )
    elif parameter.default is False:
        parser.add_argument(f"--{name}", action="store_true")
    elif kind is bool:
        optional = parameter.default is not inspect.Parameter.empty
        parser.add_argument(name, type=_switch, metavar="on|off", nargs="?" if optional else None)
    elif parameter.default is inspect.Parameter.empty:
        parser.add_argument(name, type=kind, metavar=name.upper())
    elif alone:
        parser.add_argument(name, type=kind, metavar=name.upper(), nargs="?")
    else:
        parser.add_argument(f"--{name}", type=kind, metavar=name.upper())


def parser() -> argparse.ArgumentParser:
    """One command for every verb of the control port."""
    raw = argparse.RawDescriptionHelpFormatter
    new = argparse.ArgumentParser(
        "bronco opend ctl",
        description=ABOUT,
        epilog=f"faults, for `fault NAME` (its --help has examples):\n{_fault_list()}",
        formatter_class=raw,
    )
    new.add_argument("--host", default="127.0.0.1", help="where the simulator is (127.0.0.1)")
    new.add_argument(
        "--control-port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"its control port, the API port + 1 unless it was chosen ({DEFAULT_PORT})",
    )
    new.add_argument("--json", action="store_true", help="print the answer as it came")
    commands = new.add_subparsers(
        dest="verb", required=True, metavar="COMMAND", title="commands", prog="bronco opend ctl"
    )
    for verb, method in sorted(VERBS.items()):
        about = (method.__doc__ or "").splitlines()[0]
        more = f"faults:\n{_fault_list()}\n{FAULT_EXAMPLES}" if verb == "fault" else None
        command = commands.add_parser(
            verb.replace("_", "-"), help=about, description=about, epilog=more, formatter_class=raw
        )
        parameters = list(inspect.signature(method).parameters.values())[1:]
        for parameter in parameters:
            _add_argument(command, parameter, alone=len(parameters) == 1)
    return new


def _request(given: dict[str, Any]) -> dict[str, Any]:
    """What was typed, without what was left out."""
    free = dict(given.pop("params", ()))
    return {name: value for name, value in given.items() if value is not None} | free


async def _ask(host: str, port: int, verb: str, params: dict[str, Any]) -> dict[str, Any]:
    try:
        return await SimulatorControl(port, host).call(verb, **params)
    except TimeoutError:
        raise ControlError(
            f"{host}:{port} does not answer: is it the control port of a simulator?"
        ) from None
    except ConnectionRefusedError:
        raise ControlError(
            f"nothing listens at {host}:{port}: start a simulator with `bronco opend`, "
            "or name its control port with --control-port"
        ) from None
    except OSError as error:
        raise ControlError(f"{host}:{port} cannot be asked: {error.strerror or error}") from None
    except ValueError:
        raise ControlError(f"{host}:{port} is no control port: it does not speak JSON") from None


def main(argv: Sequence[str]) -> int:
    """Exit code 0 done, 1 refused or nobody there, 2 wrong usage."""
    dashed = {verb: verb.replace("_", "-") for verb in VERBS}
    given = vars(parser().parse_args([dashed.get(word, word) for word in argv]))
    host, port, verb = given.pop("host"), given.pop("control_port"), given.pop("verb")
    as_json = given.pop("json")
    try:
        answer = asyncio.run(_ask(host, port, verb.replace("-", "_"), _request(given)))
    except ControlError as error:
        sys.stderr.write(f"opend ctl: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    sys.stdout.write(json.dumps(answer) + "\n" if as_json else printed(answer))
    return DONE
