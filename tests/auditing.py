"""Signed heads of audit logs, as the signer makes them."""

from bronco.devchain import AUDITOR, dev_address, dev_key
from clients.auditing import sign_head
from clients.keys import account_of
from models.audit import SignedHead
from models.drafts import AuditHead
from tests.contracts.builders import CHAIN, VAULT

AUDITOR_ADDRESS = dev_address(AUDITOR)


def signed(head: AuditHead, *, time: int = 1_767_627_000, index: int = AUDITOR) -> SignedHead:
    """This head with the signature of a dev account."""
    return sign_head(head, time, account_of(dev_key(index)), chain_id=CHAIN, vault=VAULT)
