"""Signatures in microseconds, for tests that need tens of thousands of them.

ECDSA with the nonce 1: the point that is otherwise computed is the curve's generator, so only sums
are left. It gives the key away to whoever sees it, and everybody knows the dev keys.
"""

from bronco.deployment import dev_address, dev_key
from clients.approvals import Approval

# https://www.secg.org/sec2-v2.pdf, 2.4.1
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_GENERATOR_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
_EVEN, _ODD = 27, 28
"""v by the point's y; the generator's is even."""


def quickly_signed(digest: str, index: int) -> Approval:
    """A dev account's signature under 32 bytes, 0x hex."""
    s = (int(digest, 16) + _GENERATOR_X * int(dev_key(index), 16)) % _ORDER
    # The vault wants the lower of the two: https://eips.ethereum.org/EIPS/eip-2
    v, s = (_EVEN, s) if s <= _ORDER // 2 else (_ODD, _ORDER - s)
    signature = _GENERATOR_X.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
    return Approval(dev_address(index), signature)
