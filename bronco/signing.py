"""Settings of signing: where the signer is, where its key is kept, and how much it signs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from bronco.sections import Address, Seconds, Section, listed
from models.chain import GAS_CAP

_LOOPBACK = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")


def _reachable_safely(value: str) -> str:
    if not value or value.startswith(("https://", *_LOOPBACK)):
        return value
    raise ValueError("write https://host:port; plain http:// only to this machine itself")


def _where(value: str) -> str:
    return value if value.startswith("unix:") and value != "unix:" else _reachable_safely(value)


SafeUrl = Annotated[str, AfterValidator(_reachable_safely)]


class SignerSettings(Section):
    """The signer (`bronco signer`): the process that holds the settler's key."""

    address: Address | None = Field(
        None, description="address it signs for; the signer and all workers must mean the same"
    )
    url: Annotated[str, AfterValidator(_where)] = Field(
        "unix:.bronco/signer.sock",
        description="where it listens and workers ask: unix:path, https://host:port, or "
        "http://127.0.0.1:port",
    )
    token_file: Path | None = Field(
        None, description="file with the bearer token workers show; required unless url is unix:"
    )
    ca_file: FilePath | None = Field(
        None, description="authority of an https: url's certificate; empty = the system's"
    )
    timeout_seconds: Seconds = Field(5.0, description="seconds for one signature")

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token_file is None and not self.is_socket:
            raise ValueError("token_file: is required, or every program here could ask")
        return self

    @property
    def is_socket(self) -> bool:
        """Whether it is reached over a Unix socket."""
        return self.url.startswith("unix:")


class KeyBackend(StrEnum):
    """Where the settler's key is kept."""

    KEYSTORE = "KEYSTORE"
    VAULT = "VAULT"
    WEB3SIGNER = "WEB3SIGNER"
    PLAIN = "PLAIN"


class KeySettings(Section):
    """The settler's key: for the signer alone, give these to no other process."""

    backend: KeyBackend = Field(
        KeyBackend.KEYSTORE,
        description="KEYSTORE, VAULT (HashiCorp, KV version 2), WEB3SIGNER or PLAIN (dev chains)",
    )
    keystore_file: Path | None = Field(None, description="encrypted JSON key, readable by us alone")
    keystore_password_file: Path | None = Field(
        None, description="file with the password of the keystore, readable by us alone"
    )
    audit_keystore_file: Path | None = Field(
        None, description="encrypted JSON key that vouches for the audit log; empty = nobody does"
    )
    audit_keystore_password_file: Path | None = Field(
        None, description="file with the password of that keystore, readable by us alone"
    )
    dev_key: SecretStr | None = Field(None, description="plain key, dev chains only (secret)")
    vault_url: SafeUrl = Field("", description="https://host:8200 of HashiCorp Vault")
    vault_mount: str = Field("secret", description="mount of the KV version 2 engine")
    vault_path: str = Field("bronco/settler", description="path of the secret below the mount")
    vault_field: str = Field("private_key", description="field of the secret that holds the key")
    vault_token_file: Path | None = Field(
        None, description="file with a token that may read it; or use AppRole"
    )
    vault_role_id: str = Field("", description="AppRole: the role id")
    vault_secret_id_file: Path | None = Field(None, description="AppRole: file with the secret id")
    vault_ca_file: FilePath | None = Field(
        None, description="certificate authority of Vault; empty = the system's"
    )
    web3signer_url: SafeUrl = Field("", description="https://host:9000 of web3signer in eth1 mode")
    web3signer_ca_file: FilePath | None = Field(
        None, description="certificate authority of web3signer; empty = the system's"
    )
    tls_cert_file: FilePath | None = Field(
        None, description="certificate the signer shows when its url is https:"
    )
    tls_key_file: Path | None = Field(
        None, description="private key of that certificate, readable by us alone"
    )
    peer_uids: Annotated[tuple[int, ...], NoDecode, BeforeValidator(listed)] = Field(
        (), description="user ids that may ask over a Unix socket, commas between; empty = our own"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_key_file: set it together with tls_cert_file")
        if bool(self.vault_role_id) != bool(self.vault_secret_id_file):
            raise ValueError("vault_secret_id_file: set it together with vault_role_id")
        if bool(self.audit_keystore_file) != bool(self.audit_keystore_password_file):
            raise ValueError("audit_keystore_password_file: set it with audit_keystore_file")
        return self


class LimitSettings(Section):
    """The most the signer signs: in one transaction, and in any hour. Workers read them too."""

    usdt_decimals: int = Field(6, ge=0, le=18, description="decimals of the chain's USDT")
    max_items: PositiveInt = Field(100, description="requests in one transaction")
    max_usdt: PositiveInt = Field(2_000_000, description="USDT paid out by one transaction")
    max_shares: PositiveInt = Field(20_000, description="shares minted by one transaction")
    max_share_price: PositiveInt = Field(
        1_000_000, description="USDT; no share costs more, so what would is counted at its worst"
    )
    # https://eips.ethereum.org/EIPS/eip-7825
    max_gas: PositiveInt = Field(GAS_CAP, description="gas of one transaction")
    max_fee_wei: PositiveInt = Field(500 * 10**9, description="wei per gas")
    max_cost_wei: PositiveInt = Field(10**18, description="wei one transaction may burn as gas")
    hour_usdt: PositiveInt = Field(5_000_000, description="USDT paid out in any hour")
    hour_shares: PositiveInt = Field(50_000, description="shares minted in any hour")
    hour_batches: PositiveInt = Field(4_000, description="different batches in any hour")
    hour_cost_wei: PositiveInt = Field(5 * 10**18, description="wei burnt as gas in any hour")

    @field_validator("hour_usdt", "hour_shares", "hour_cost_wei")
    @classmethod
    def _one_fits(cls, value: int, info: ValidationInfo) -> int:
        single = info.data.get(str(info.field_name).replace("hour_", "max_"))
        if single is not None and value < single:
            raise ValueError("is below what one transaction may have: that one would never pass")
        return value


class TargetSettings(Section):
    """What the signer knows of the chain: of its section, only what bounds a signature."""

    id: PositiveInt = Field(31337, description="as in the section CHAIN")
    vault: Address = Field(description="as in the section CHAIN")
