"""Runs a simulator as its own process, or (`ctl`) commands one that runs."""

import asyncio
import signal
import sys
from collections.abc import Sequence

from simulators.opend import ctl, log
from simulators.opend.arguments import parse
from simulators.opend.errors import OpenDError
from simulators.opend.options import OpenDOptions
from simulators.opend.server import OpenDServer

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(options: OpenDOptions) -> None:
    """Runs until SIGTERM, Ctrl-C or cancellation, then closes everything.

    Prints one line for programs on stdout when both ports answer: `ready port=… control=…`.
    """
    server, stop = OpenDServer(options), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    await server.start()
    try:
        sys.stdout.write(f"ready port={server.port} control={server.control_port}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await server.close()
        log.event("stopped")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; exit code 2 for what the user can mend, with one sentence on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "ctl":
        return ctl.main(argv[1:])
    options = parse(argv)
    log.to_stderr(options.quiet)
    try:
        asyncio.run(serve(options))
    except (OpenDError, OSError) as error:
        sys.stderr.write(f"opend: {error}\n")
        return 2
    except KeyboardInterrupt:  # before or after the loop listened to signals
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
