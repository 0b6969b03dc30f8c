"""EIP-2612 permits as a user signs them."""

from eth_account import Account

from bronco.deployment import FIRST_USER, dev_key

Permit = tuple[int, int, bytes, bytes]
# https://eips.ethereum.org/EIPS/eip-2612
PERMIT_TYPE = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]


def permit(token: str, name: str, spender: str, value: int, deadline: int) -> Permit:
    """Alice's first permit for a token, as the last four arguments of the vault's calls."""
    key = dev_key(FIRST_USER)
    message = {
        "owner": Account.from_key(key).address,
        "spender": spender,
        "value": value,
        "nonce": 0,
        "deadline": deadline,
    }
    domain = {"name": name, "version": "1", "chainId": 31337, "verifyingContract": token}
    signed = Account.sign_typed_data(key, domain, {"Permit": PERMIT_TYPE}, message)
    return deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
