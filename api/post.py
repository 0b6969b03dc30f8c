"""What making an endpoint needs: where it may lead, and the key that its secret is derived from."""

from collections.abc import Sequence
from pathlib import Path

from clients.outside import Outside
from clients.webhooks import Secrets
from models.errors import Conflict


class Post:
    """key_file: as in the settings of the workers, which sign; None = there are no webhooks."""

    def __init__(
        self, key_file: Path | None, networks: Sequence[str] = (), *, plain: bool = False
    ) -> None:
        self.outside = Outside(networks, plain=plain)
        self._key_file = key_file

    def secrets(self) -> Secrets:
        """Derives secrets.

        Raises:
            Conflict: there is no key to derive them from.
            ConfigurationError: its file is not fit.
        """
        if self._key_file is None:
            raise Conflict("webhooks", "BRONCO_WEBHOOK_KEY_FILE", "is not set: there are none")
        return Secrets.of_file(self._key_file)
