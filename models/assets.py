"""What can be bought and sold, from configuration: nothing in code names a symbol."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from models.errors import FinalError, InvalidInput


class UnknownAsset(FinalError):
    """A request names a share token that is not configured."""

    def __init__(self, token: str) -> None:
        super().__init__(f"no asset is configured for share token {token}: add it to the assets")
        self.token = token


class Asset(BaseModel):
    """One stock and its share token. tick: dollars; lot: whole shares.

    exchange: whose calendar says when it trades, e.g. XNAS or XNYS; "": the broker alone says it,
    which is for simulators that never close.
    """

    model_config = ConfigDict(frozen=True)

    symbol: str
    token: str
    feed: str
    tick: Decimal = Field(default=Decimal("0.01"), gt=0)
    lot: int = Field(default=1, ge=1)
    exchange: str = "XNAS"


class AssetBook(BaseModel):
    """All configured assets."""

    model_config = ConfigDict(frozen=True)

    assets: tuple[Asset, ...]

    def of_symbol(self, symbol: str) -> Asset:
        """The asset of a symbol.

        Raises:
            InvalidInput: it is not configured.
        """
        known = {asset.symbol: asset for asset in self.assets}
        if symbol not in known:
            raise InvalidInput("symbol", symbol, f"use one of {', '.join(sorted(known))}")
        return known[symbol]

    def of_token(self, token: str) -> Asset:
        """The asset of a share token.

        Raises:
            UnknownAsset: it is not configured.
        """
        for asset in self.assets:
            if asset.token.lower() == token.lower():
                return asset
        raise UnknownAsset(token)
