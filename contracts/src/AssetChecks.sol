// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IPriceFeed} from "./IPriceFeed.sol";
import {ShareToken} from "./ShareToken.sol";
import {VaultTypes} from "./VaultTypes.sol";

/// @title AssetChecks
/// @notice What an asset must be to be listed.
/// @dev A library linked at deployment, stateless: listing is rare, and the vault's code size is scarce.
library AssetChecks {
    uint256 private constant BPS = 10_000;

    /// @notice Revert unless the vault (whose call this is) can settle such an asset.
    function check(
        ShareToken token,
        IPriceFeed feed,
        uint32 heartbeat,
        uint16 bandBps,
        uint16 gapBps,
        uint96 minRedeem
    ) external view returns (uint8 feedDecimals) {
        if (token.vault() != address(this)) revert VaultTypes.InvalidConfig("share token of another vault");
        if (token.decimals() != 18) revert VaultTypes.InvalidConfig("share token decimals");
        if (heartbeat == 0) revert VaultTypes.InvalidConfig("heartbeat");
        if (bandBps == 0 || bandBps >= BPS) revert VaultTypes.InvalidConfig("band");
        if (gapBps == 0 || gapBps >= BPS) revert VaultTypes.InvalidConfig("gap");
        if (minRedeem == 0) revert VaultTypes.InvalidConfig("minimum redeem");
        feedDecimals = feed.decimals();
        if (feedDecimals > 18) revert VaultTypes.InvalidConfig("feed decimals");
    }
}
