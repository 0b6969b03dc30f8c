// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title SupplyMonitor
/// @notice What somebody who sees the broker's account attests to be held there, beside what is minted.
/// @dev It gates nothing: a guardian who sees a token uncovered pauses the vault and suspends settlers.
/// Amounts are token units, which a split does not change. Roles are the vault's; whoever carries a
/// signature here pays the gas.
contract SupplyMonitor is EIP712 {
    /// @notice Attests. Never a settler: who mints must not vouch for what backs it.
    bytes32 public constant ATTESTOR_ROLE = keccak256("ATTESTOR_ROLE");
    bytes32 private constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    bytes32 private constant ATTESTATION =
        keccak256("Attestation(address token,uint256 backed,uint64 time)");

    /// @dev backed: token units that the shares held at `time` stand for.
    struct Attestation {
        uint256 backed;
        uint64 time;
        address attestor;
    }

    /// @notice Whose roles count.
    IAccessControl public immutable vault;
    /// @notice Seconds for which an attestation is fresh.
    uint64 public immutable maxAge;
    mapping(address token => Attestation) public attestations;

    event Attested(address indexed token, uint256 backed, uint64 time, address indexed attestor);

    error InvalidAge();
    error NotAttestor(address signer);
    error InvalidSignature(address signer);
    error OutOfTime(uint64 time);
    error Superseded(uint64 time, uint64 newest);

    constructor(IAccessControl vault_, uint64 maxAge_) EIP712("BroncoSupplyMonitor", "1") {
        if (maxAge_ == 0) revert InvalidAge();
        (vault, maxAge) = (vault_, maxAge_);
    }

    /// @notice Keep an attestation: shares worth `backed` units of `token` were held at `time`.
    /// @param time Unix seconds; newer than the last one kept, not in the future, not older than `maxAge`.
    /// @param attestor Who signed; a contract signs by ERC-1271.
    /// @param signature Of EIP-712 Attestation(token, backed, time).
    function attest(
        address token,
        uint256 backed,
        uint64 time,
        address attestor,
        bytes calldata signature
    ) external {
        if (time > block.timestamp || block.timestamp - time > maxAge) revert OutOfTime(time);
        uint64 newest = attestations[token].time;
        if (time <= newest) revert Superseded(time, newest);
        if (!_attests(attestor)) revert NotAttestor(attestor);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(ATTESTATION, token, backed, time)));
        if (!SignatureChecker.isValidSignatureNow(attestor, digest, signature)) {
            revert InvalidSignature(attestor);
        }
        attestations[token] = Attestation(backed, time, attestor);
        emit Attested(token, backed, time, attestor);
    }

    /// @notice Token units attested and minted now, and whether that is attested freshly enough, by
    /// somebody who may still attest, to mean anything.
    function supplyOf(address token)
        external
        view
        returns (uint256 backed, uint256 minted, bool fresh)
    {
        Attestation memory found = attestations[token];
        fresh = found.time != 0 && block.timestamp - found.time <= maxAge && _attests(found.attestor);
        return (found.backed, IERC20(token).totalSupply(), fresh);
    }

    function _attests(address who) private view returns (bool) {
        return vault.hasRole(ATTESTOR_ROLE, who) && !vault.hasRole(SETTLER_ROLE, who);
    }
}
