"""What the signer listens on: a Unix socket of our own, or TCP with TLS; and who is at its end."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import struct
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bronco.signing import KeySettings, SignerSettings
from clients.private import read_private
from clients.signer import socket_path
from models.errors import ConfigurationError

_URL = "BRONCO_SIGNER_URL"
_BACKLOG = 16
# https://man7.org/linux/man-pages/man7/unix.7.html: pid, uid, gid
_UCRED = struct.Struct("3i")


@contextmanager
def listening(
    where: SignerSettings, key: KeySettings
) -> Iterator[tuple[socket.socket, ssl.SSLContext | None]]:
    """A socket that listens, and its TLS. A Unix one is taken away again in the end.

    Raises:
        ConfigurationError: it cannot be had, or another program listens there.
    """
    if not where.is_socket:
        with _tcp(where.url) as sock:
            yield sock, _tls(where, key)
        return
    path = Path(socket_path(where.url))
    with _unix(path, shared=bool(key.peer_uids)) as sock:
        made = path.stat().st_ino
        try:
            yield sock, None
        finally:
            with suppress(OSError):
                if path.stat().st_ino == made:  # not one that a successor put there
                    path.unlink()


def peer_uid(sock: socket.socket) -> int | None:
    """User at the other end of a Unix socket, by the kernel's word; None where it gives none."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def _unix(path: Path, *, shared: bool) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_way(path)
        # Ours alone from the first moment on; other users come in by the group of the folder.
        before = os.umask(0o117 if shared else 0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigurationError(_URL, f"{path} cannot be listened on ({error})") from error
    except ConfigurationError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _make_way(path: Path) -> None:
    """Take away a socket that a killed signer left; nothing else, and none that answers."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(_URL, f"{path} is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigurationError(_URL, f"another signer listens on {path}")


def _tcp(url: str) -> socket.socket:
    parts = urllib.parse.urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 0, type=socket.SOCK_STREAM)
        family, _, _, _, at = found[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(at)
        sock.listen(_BACKLOG)
    except (OSError, ValueError) as error:
        raise ConfigurationError(_URL, f"{url} cannot be listened on ({error})") from error
    sock.setblocking(False)
    return sock


def _tls(where: SignerSettings, key: KeySettings) -> ssl.SSLContext | None:
    if not where.url.startswith("https:"):
        return None
    name = "BRONCO_KEY_TLS_CERT_FILE"
    if key.tls_cert_file is None or key.tls_key_file is None:
        raise ConfigurationError(name, "is missing: an https: url needs a certificate and its key")
    read_private(key.tls_key_file, "BRONCO_KEY_TLS_KEY_FILE")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(key.tls_cert_file, key.tls_key_file)
    except OSError as error:
        raise ConfigurationError(name, f"does not fit its key ({error})") from error
    return context
