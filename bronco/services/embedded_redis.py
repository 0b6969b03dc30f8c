"""A Redis server in Python, as a process of its own: its one argument is the port."""

import signal
import sys
from types import FrameType

from fakeredis import TcpFakeServer

_HOST = "127.0.0.1"


class EmbeddedRedis(TcpFakeServer):
    """Listens on a loopback port (0: any free one)."""

    allow_reuse_address = True
    # A pool opens all its connections at once. socketserver lets 5 wait, and a connection that is
    # dropped for that is tried again after a second, when its caller has given up.
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__((_HOST, port), server_type="redis")


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    EmbeddedRedis(int(sys.argv[1])).serve_forever()


if __name__ == "__main__":
    main()
