"""HashiCorp Vault: the settler's key from a KV version 2 engine, read once at the start.

Vault's transit engine knows no secp256k1, so it cannot sign for Ethereum; the key has to come out.
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import hvac
import requests
from hvac.exceptions import VaultError

from clients.keys import LocalKey, account_of
from clients.private import read_secret_line
from models.errors import ConfigurationError, SourceUnavailable

_TIMEOUT_SECONDS = 10
_SOURCE = "HashiCorp Vault"


@dataclass(frozen=True)
class KeyPlace:
    """Where the key is, and how to be let in: by token, or by AppRole."""

    url: str
    mount: str
    path: str
    field: str
    token_file: Path | None = None
    role_id: str = ""
    secret_id_file: Path | None = None
    ca_file: Path | None = None


def vault_key(place: KeyPlace) -> LocalKey:
    """The key, in our memory from now on. Blocks: for the start of the process only.

    Raises:
        ConfigurationError: the place does not fit: no way in, no such secret or field, no key.
        SourceUnavailable: Vault does not answer, or refuses.
    """
    client = _client(place)
    try:
        _let_in(client, place)
        answer = client.secrets.kv.v2.read_secret_version(
            path=place.path, mount_point=place.mount, raise_on_deleted_version=True
        )
        secret = answer["data"]["data"]
    except (VaultError, requests.RequestException) as error:
        # Of the vendor's text only the kind: an answer could carry what it should not.
        doing = f"reading {place.mount}/{place.path}"
        raise SourceUnavailable(_SOURCE, doing, type(error).__name__) from None
    except (KeyError, TypeError):
        raise ConfigurationError("BRONCO_KEY_VAULT_PATH", "holds no secret of KV 2") from None
    finally:
        client.adapter.close()
    return LocalKey(account_of(_field(secret, place.field)))


def _client(place: KeyPlace) -> hvac.Client:
    if not place.url:
        raise ConfigurationError("BRONCO_KEY_VAULT_URL", "is missing")
    session = requests.Session()
    # Neither proxies nor a .netrc of the machine: settings say where the key comes from.
    session.trust_env = False
    session.verify = str(place.ca_file) if place.ca_file else True
    return hvac.Client(
        url=place.url,
        token="",  # else hvac looks for one in the environment and in ~/.vault-token
        verify=session.verify,
        timeout=_TIMEOUT_SECONDS,
        allow_redirects=False,
        session=session,
    )


def _let_in(client: hvac.Client, place: KeyPlace) -> None:
    if place.token_file is not None:
        client.token = read_secret_line(place.token_file, "BRONCO_KEY_VAULT_TOKEN_FILE")
    elif place.role_id and place.secret_id_file is not None:
        secret_id = read_secret_line(place.secret_id_file, "BRONCO_KEY_VAULT_SECRET_ID_FILE")
        client.auth.approle.login(role_id=place.role_id, secret_id=secret_id)
    else:
        problem = "is missing: give a token file, or BRONCO_KEY_VAULT_ROLE_ID and its secret id"
        raise ConfigurationError("BRONCO_KEY_VAULT_TOKEN_FILE", problem)


def _field(secret: object, field: str) -> str:
    found = secret.get(field) if isinstance(secret, dict) else None
    if not isinstance(found, str):
        raise ConfigurationError("BRONCO_KEY_VAULT_FIELD", f"the secret has no text field {field}")
    return found.strip()
