"""A Redis server in Python, as a process of its own: its one argument is the port."""

import signal
import sys
from types import FrameType

from fakeredis import TcpFakeServer

_HOST = "127.0.0.1"


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    TcpFakeServer.allow_reuse_address = True
    TcpFakeServer((_HOST, int(sys.argv[1])), server_type="redis").serve_forever()


if __name__ == "__main__":
    main()
