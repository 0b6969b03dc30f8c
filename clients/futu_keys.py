"""OpenD's RSA key, looked at before the vendor does: it would tell of a bad one by a hang."""

from pathlib import Path

from Crypto.PublicKey import RSA

from clients.private import read_private
from models.errors import ConfigurationError

RSA_KEY = "BRONCO_BROKER_RSA_KEY"
# https://openapi.futunn.com/futu-api-doc/en/qa/other.html (RSA key: PKCS#1, 1024 bits, no password)
_PKCS1 = "-----BEGIN RSA PRIVATE KEY-----"
_BITS = 1024


def checked_rsa_key(path: Path) -> Path:
    """The path of a key the vendor can use.

    Raises:
        ConfigurationError: it cannot be read or others may read it, or it is no such key. The
            sentence names the file and never its content.
    """
    text = read_private(path, RSA_KEY)
    if not text.lstrip().startswith(_PKCS1):
        problem = f"{path} is no private key in PKCS#1: its first line must be {_PKCS1}"
        raise ConfigurationError(RSA_KEY, problem)
    try:
        key = RSA.import_key(text)
    except (ValueError, IndexError, TypeError):
        problem = f"{path} cannot be read as a key; is it cut short, or has it a password?"
        raise ConfigurationError(RSA_KEY, problem) from None
    if not key.has_private() or key.size_in_bits() != _BITS:
        problem = f"{path} has {key.size_in_bits()} bits; OpenD and its client need {_BITS}"
        raise ConfigurationError(RSA_KEY, problem)
    return path
