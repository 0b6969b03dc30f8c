"""Private servers for demo, tests and bench; none touches the system's own.

Each keeps its ports and its data directory, so that `await service.process.kill()` and
`await service.process.start()` are a crash and its recovery.
"""

from bronco.services.anvil import Anvil, start_anvil
from bronco.services.mariadb import Mariadb, start_mariadb
from bronco.services.redis import Redis, start_redis
from bronco.services.temporal import TemporalServer, start_temporal

__all__ = [
    "Anvil",
    "Mariadb",
    "Redis",
    "TemporalServer",
    "start_anvil",
    "start_mariadb",
    "start_redis",
    "start_temporal",
]
