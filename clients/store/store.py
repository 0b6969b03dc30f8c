"""The store as one object with a part per subject."""

from clients.store.api_keys import ApiKeys
from clients.store.approvals import Approvals
from clients.store.audit import AuditLog
from clients.store.book import BrokerBook
from clients.store.changes import Changes
from clients.store.decisions import HouseDecisions
from clients.store.deliveries import Deliveries
from clients.store.engine import Database
from clients.store.events import ChainEvents
from clients.store.findings import Findings
from clients.store.holds import Holds
from clients.store.house import House
from clients.store.items import Items
from clients.store.levels import LevelReader
from clients.store.once import RequestKeys
from clients.store.orders import Orders
from clients.store.placements import Placements
from clients.store.prices import Prices
from clients.store.receipts import Receipts
from clients.store.reserves import ReserveBook
from clients.store.review import Review
from clients.store.sessions import Sessions
from clients.store.statements import Statements
from clients.store.stats import Stats
from clients.store.webhooks import Webhooks


class Store:
    """Every query of Bronco; safe to share between tasks, one per process.

    All methods are coroutines and raise SourceUnavailable when the database could not be asked; an
    empty answer always is an answer. Repeating any call is harmless. Addresses, request ids and
    transaction hashes are stored and looked up in lower case; times are naive UTC (aware ones are
    converted).
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self._database = Database(url, pool_size=pool_size)
        self.orders = Orders(self._database)
        self.placements = Placements(self._database)
        self.items = Items(self._database)
        self.approvals = Approvals(self._database)
        self.book = BrokerBook(self._database)
        self.house = House(self._database)
        self.decisions = HouseDecisions(self._database)
        self.holds = Holds(self._database)
        self.audit = AuditLog(self._database)
        self.receipts = Receipts(self.audit)
        self.changes = Changes(self._database)
        self.webhooks = Webhooks(self._database, self.changes)
        self.deliveries = Deliveries(self._database, self.changes)
        self.findings = Findings(self._database)
        self.reserves = ReserveBook(self._database)
        self.events = ChainEvents(self._database)
        self.review = Review(self._database)
        self.levels = LevelReader(self._database)
        self.api_keys = ApiKeys(self._database)
        self.day_statements = Statements(self._database)
        self.stats = Stats(self._database)
        self.sessions = Sessions(self._database)
        self.prices = Prices(self._database)
        self.request_keys = RequestKeys(self._database)

    @property
    def statements(self) -> int:
        """SQL statements sent so far, BEGIN, COMMIT and pings not counted."""
        return self._database.statements

    async def ping(self) -> None:
        """Prove that the database answers and has Bronco's tables."""
        await self._database.ping()

    def close(self) -> None:
        """Wait for running statements, then close every connection."""
        self._database.close()
