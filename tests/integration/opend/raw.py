"""OpenD's protocol by hand, for what the vendor's client would never send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from simulators.opend import protocol, schema
from tests.integration.opend.rig import ACCOUNT


class RawClient:
    """One link; nothing is checked, nothing repeated."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._cipher, self._serial = protocol.Cipher(), 0
        self.conn_id = 0

    def request(self, name: str, **fields: Any) -> Any:
        full = schema.PROTOCOLS[schema.NUMBERS[name]]
        return schema.module(full).Request(c2s=schema.module(full).C2S(**fields))

    def order(self, serial: int, remark: str = "") -> Any:
        """Ten AAPL at a limit far below the market."""
        packet = schema.module("Common").PacketID(connID=self.conn_id, serialNo=serial)
        header = schema.module("Trd_Common").TrdHeader(trdEnv=0, accID=ACCOUNT, trdMarket=2)
        terms = {"trdSide": 1, "orderType": 1, "code": "AAPL", "qty": 10, "price": 100}
        return self.request("PlaceOrder", packetID=packet, header=header, remark=remark, **terms)

    async def send(self, name: str, request: Any) -> None:
        self._serial += 1
        body = request.SerializeToString()
        number = schema.NUMBERS[name]
        self._writer.write(protocol.pack(number, self._serial, body, self._cipher))
        await self._writer.drain()

    async def ask(self, name: str, request: Any) -> Any:
        await self.send(name, request)
        frame = await protocol.read(self._reader, self._cipher)
        assert (frame.protocol, frame.serial) == (schema.NUMBERS[name], self._serial)
        return schema.module(schema.PROTOCOLS[frame.protocol]).Response.FromString(frame.body)

    def leave(self) -> None:
        self._writer.close()


@asynccontextmanager
async def raw_client(port: int, init: bool = True) -> AsyncIterator[RawClient]:
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
    try:
        if init:
            hello = client.request("InitConnect", clientVer=1011, clientID="raw")
            client.conn_id = (await client.ask("InitConnect", hello)).s2c.connID
        yield client
    finally:
        client.leave()
