"""The built contracts (contracts/build.mjs writes the JSON) and their encoding."""

from clients.abi.codec import ContractAbi, DecodedError, load_contract

__all__ = ["ContractAbi", "DecodedError", "load_contract"]
