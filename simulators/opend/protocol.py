"""OpenD's packets: a 44-byte header, a protobuf body, its SHA-1, and optional RSA + AES.

https://openapi.futunn.com/futu-api-doc/en/ftapi/protocol.html
"""

import asyncio
import hashlib
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from Crypto.Cipher import AES, PKCS1_v1_5
from Crypto.Cipher._mode_cbc import CbcMode
from Crypto.PublicKey import RSA
from Crypto.Util.Padding import pad, unpad

from simulators.opend.errors import BadFrame, OpenDError

# flags, protocol, body format, version, serial, body length, SHA-1 of the plain body, reserved
HEADER = struct.Struct("<1s1sI2B2I20s8s")
INIT_CONNECT = 1001
PROTOBUF_FORMAT = 0
# OpenD's bodies are far below this; a larger length is a stray client, not a request.
MAX_BODY_BYTES = 16 * 1024 * 1024
# A 1024-bit key encrypts at most 117 bytes with PKCS#1 padding; futu-api cuts at 100 and 128.
RSA_PLAIN_CHUNK, RSA_CIPHER_CHUNK = 100, 128
AES_CBC = 2  # Common.PacketEncAlgo


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet as read, body already decrypted."""

    protocol: int
    serial: int
    body: bytes


class Cipher:
    """Plain, or RSA for InitConnect and AES-CBC after it.

    The client sends InitConnect under RSA whenever it holds a key file, even if it asks for
    plain bodies afterwards; so the two halves are switched on separately.
    """

    def __init__(self, rsa_key: Path | None = None) -> None:
        self._rsa = PKCS1_v1_5.new(_key(rsa_key)) if rsa_key else None
        self.aes_key = secrets.token_hex(8) if rsa_key else ""
        self.aes_iv = secrets.token_hex(8) if rsa_key else ""
        self._aes_on = False

    @property
    def available(self) -> bool:
        """Whether a key file was given."""
        return self._rsa is not None

    def start_aes(self) -> None:
        """From now on every body is AES-CBC, both ways."""
        self._aes_on = True

    def seal(self, protocol: int, body: bytes) -> bytes:
        """Encrypts an outgoing body as the connection's state asks."""
        if self._rsa and protocol == INIT_CONNECT:
            chunks = _chunks(body, RSA_PLAIN_CHUNK)
            return b"".join(self._rsa.encrypt(chunk) for chunk in chunks)
        return self._aes().encrypt(pad(body, AES.block_size)) if self._aes_on else body

    def open(self, protocol: int, body: bytes) -> bytes:
        """Decrypts an incoming body.

        Raises:
            BadFrame: wrong key, or a plain body where an encrypted one is due.
        """
        try:
            if self._rsa and protocol == INIT_CONNECT:
                chunks = _chunks(body, RSA_CIPHER_CHUNK)
                return b"".join(self._rsa.decrypt(chunk, b"") for chunk in chunks)
            return unpad(self._aes().decrypt(body), AES.block_size) if self._aes_on else body
        except ValueError as error:
            raise BadFrame(f"body of protocol {protocol} does not decrypt: {error}") from error

    def _aes(self) -> CbcMode:
        return AES.new(self.aes_key.encode(), AES.MODE_CBC, iv=self.aes_iv.encode())


def _key(path: Path) -> RSA.RsaKey:
    try:
        key = RSA.import_key(path.read_text())
    except OSError as error:
        raise OpenDError(f"RSA key {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise OpenDError(f"RSA key {path} is no PKCS#1 private key: {error}.") from error
    if not key.has_private() or key.size_in_bytes() != RSA_CIPHER_CHUNK:
        raise OpenDError(
            f"RSA key {path} must be a private one of {8 * RSA_CIPHER_CHUNK} bits, as futu-api's: "
            f"openssl genrsa -traditional -out {path.name} 1024"
        )
    return key


def _chunks(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def pack(protocol: int, serial: int, body: bytes, cipher: Cipher) -> bytes:
    """One packet, ready for the wire. The digest is of the plain body."""
    digest = hashlib.sha1(body).digest()
    sealed = cipher.seal(protocol, body)
    header = HEADER.pack(
        b"F", b"T", protocol, PROTOBUF_FORMAT, 0, serial, len(sealed), digest, bytes(8)
    )
    return header + sealed


async def read(reader: asyncio.StreamReader, cipher: Cipher) -> Frame:
    """Waits for the next packet.

    Raises:
        asyncio.IncompleteReadError: the peer closed the connection.
        BadFrame: not an OpenD packet, wrong digest, or the JSON format.
    """
    fields = HEADER.unpack(await reader.readexactly(HEADER.size))
    first, second, protocol, body_format, _version, serial, length, digest, _reserved = fields
    if (first, second) != (b"F", b"T"):
        raise BadFrame(f"packet starts with {first + second!r} instead of b'FT'")
    if length > MAX_BODY_BYTES:
        raise BadFrame(f"body of {length} bytes is longer than {MAX_BODY_BYTES}")
    body = cipher.open(protocol, await reader.readexactly(length))
    if body_format != PROTOBUF_FORMAT:
        raise BadFrame("only the protobuf body format is supported, not JSON")
    if hashlib.sha1(body).digest() != digest:
        raise BadFrame(f"SHA-1 of protocol {protocol}, serial {serial} does not match its body")
    return Frame(protocol, serial, body)
