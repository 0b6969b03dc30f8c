"""How the supply monitor refuses."""

from eth_account import Account

from bronco.deployment import SETTLER, dev_key
from clients.approvals import signable
from clients.attesting import Attestation, attestation_data
from tests.integration.vault.office import Office
from tests.integration.vault.reverts.table import Ask, never, reverts
from tests.integration.vault.revm import CHAIN_ID

MONITOR = "SupplyMonitor"


def attesting(office: Office, *, key: int = 0, who: str = "", ago: int = 0, backed: int = 5) -> Ask:
    """The admin is the attestor of a dev chain."""
    said = Attestation(office.share, backed, office.revm.now - ago)
    data = attestation_data(said, chain_id=CHAIN_ID, monitor=office.dev.monitor)
    signature = bytes(Account.sign_message(signable(data), dev_key(key)).signature)
    signer = who or office.dev.admin
    return Ask(office.carol, (said.token, said.backed, said.time, signer, signature))


@reverts(MONITOR, "constructor", "InvalidAge")
async def fresh_for_ever(office: Office, _: str) -> Ask:
    return Ask(office.dev.admin, (office.dev.vault, 0))


@reverts(MONITOR, "attest", "OutOfTime")
async def from_tomorrow(office: Office, _: str) -> Ask:
    return attesting(office, ago=-1)


@reverts(MONITOR, "attest", "Superseded")
async def the_same_again(office: Office, _: str) -> Ask:
    ask = attesting(office)
    office.tell_monitor(ask.args)
    return ask


@reverts(MONITOR, "attest", "NotAttestor")
async def by_a_settler(office: Office, _: str) -> Ask:
    return attesting(office, key=SETTLER, who=office.dev.settler)


@reverts(MONITOR, "attest", "InvalidSignature")
async def by_somebody_else(office: Office, _: str) -> Ask:
    return attesting(office, key=SETTLER)


never(MONITOR, "constructor", "StringTooLong", "a long name is stored as a string instead")
never(MONITOR, "eip712Domain", "InvalidShortString", "only a name that is short was stored so")
