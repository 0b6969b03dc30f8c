"""Log events as JSON lines on stderr; nothing is configured unless the simulator is a process."""

import json
import logging

LOGGER = logging.getLogger("simulators.opend")


def event(name: str, **fields: object) -> None:
    """One event of normal work."""
    LOGGER.info(name, extra={"fields": fields})


def warning(name: str, **fields: object) -> None:
    """One event that a developer should look at."""
    LOGGER.warning(name, extra={"fields": fields})


class JsonLines(logging.Formatter):
    """{"at": …, "level": …, "event": …, fields}."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {"at": round(record.created, 6), "level": record.levelname.lower()}
        fields = getattr(record, "fields", {})
        text = {**line, "event": record.getMessage(), **fields}
        if record.exc_info:
            text["exception"] = self.formatException(record.exc_info)
        return json.dumps(text, default=str)


def to_stderr(quiet: bool) -> None:
    """For a simulator that is its own process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, handlers=[handler])
