"""How the timelock refuses."""

from typing import NamedTuple

from tests.integration.vault.office import HOUR, Office
from tests.integration.vault.reverts.table import CONTRACTS, Ask, reverts, word

TIMELOCK = "Timelock"
ABI = CONTRACTS[TIMELOCK]
BOTH = "schedule scheduleBatch"
RUN = "execute executeBatch"
UNEXPECTED = "TimelockUnexpectedOperationState"
NONE, OTHER = bytes(32), b"\1" * 32


class Operation(NamedTuple):
    """A call that the timelock is to make, as its functions want it."""

    single: bool
    target: str
    data: bytes = b""
    after: bytes = NONE

    @property
    def args(self) -> tuple[object, ...]:
        if self.single:
            return (self.target, 0, self.data, self.after, NONE)
        return ([self.target], [0], [self.data], self.after, NONE)


def deployed(office: Office) -> str:
    """One with an hour's delay that the admin alone may use."""
    return office.revm.create(ABI, HOUR, [office.dev.admin], [office.dev.admin])


def operation(office: Office, function: str, data: bytes = b"", after: bytes = NONE) -> Operation:
    return Operation("Batch" not in function, office.dev.usdt, data, after)


def announced(office: Office, lock: str, asked: Operation) -> None:
    """Scheduled, and its hour has passed."""
    function = "schedule" if asked.single else "scheduleBatch"
    office.revm.call(office.dev.admin, function, *asked.args, HOUR, abi=ABI, to=lock)
    office.revm.warp_to(office.revm.now + HOUR)


@reverts(TIMELOCK, BOTH, "AccessControlUnauthorizedAccount")
async def proposed_by_another(office: Office, function: str) -> Ask:
    asked = operation(office, function)
    return Ask(office.alice, (*asked.args, HOUR), to=deployed(office))


@reverts(TIMELOCK, RUN, "AccessControlUnauthorizedAccount")
async def run_by_another(office: Office, function: str) -> Ask:
    lock, asked = deployed(office), operation(office, function)
    announced(office, lock, asked)
    return Ask(office.alice, asked.args, to=lock)


@reverts(TIMELOCK, BOTH, "TimelockInsufficientDelay")
async def a_second_short(office: Office, function: str) -> Ask:
    asked = operation(office, function)
    return Ask(office.dev.admin, (*asked.args, HOUR - 1), to=deployed(office))


@reverts(TIMELOCK, BOTH, UNEXPECTED)
async def announced_before(office: Office, function: str) -> Ask:
    lock, asked = deployed(office), operation(office, function)
    announced(office, lock, asked)
    return Ask(office.dev.admin, (*asked.args, HOUR), to=lock)


@reverts(TIMELOCK, RUN, UNEXPECTED)
async def a_second_early(office: Office, function: str) -> Ask:
    lock, asked = deployed(office), operation(office, function)
    announced(office, lock, asked)
    office.revm.warp_to(office.revm.now - 1)
    return Ask(office.dev.admin, asked.args, to=lock)


@reverts(TIMELOCK, RUN, "TimelockUnexecutedPredecessor")
async def before_its_turn(office: Office, function: str) -> Ask:
    lock, asked = deployed(office), operation(office, function, after=OTHER)
    announced(office, lock, asked)
    return Ask(office.dev.admin, asked.args, to=lock)


@reverts(TIMELOCK, RUN, "FailedCall")
async def calls_what_fails_silently(office: Office, function: str) -> Ask:
    lock, asked = deployed(office), operation(office, function, data=b"\xff" * 4)
    announced(office, lock, asked)
    return Ask(office.dev.admin, asked.args, to=lock)


@reverts(TIMELOCK, "scheduleBatch executeBatch", "TimelockInvalidOperationLength")
async def uneven(office: Office, function: str) -> Ask:
    args: tuple[object, ...] = ([office.dev.usdt], [], [b""], NONE, NONE)
    delay = (HOUR,) if function == "scheduleBatch" else ()
    return Ask(office.dev.admin, (*args, *delay), to=deployed(office))


@reverts(TIMELOCK, "cancel", "AccessControlUnauthorizedAccount")
async def cancelled_by_another(office: Office, _: str) -> Ask:
    return Ask(office.alice, (OTHER,), to=deployed(office))


@reverts(TIMELOCK, "cancel", UNEXPECTED)
async def never_announced(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (OTHER,), to=deployed(office))


@reverts(TIMELOCK, "updateDelay", "TimelockUnauthorizedCaller")
async def not_through_itself(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (0,), to=deployed(office))


@reverts(TIMELOCK, "grantRole revokeRole", "AccessControlUnauthorizedAccount")
async def roles_by_another(office: Office, _: str) -> Ask:
    lock = deployed(office)
    role = word(ABI, office, "PROPOSER_ROLE", lock)
    return Ask(office.dev.admin, (role, office.alice), to=lock)


@reverts(TIMELOCK, "renounceRole", "AccessControlBadConfirmation")
async def renounced_for_another(office: Office, _: str) -> Ask:
    lock = deployed(office)
    role = word(ABI, office, "PROPOSER_ROLE", lock)
    return Ask(office.alice, (role, office.dev.admin), to=lock)
