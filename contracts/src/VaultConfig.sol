// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {IPriceFeed} from "./IPriceFeed.sol";
import {ShareToken} from "./ShareToken.sol";
import {VaultTypes} from "./VaultTypes.sol";

/// @title VaultConfig
/// @notice Who may do what, which assets there are, and what the reference price of one is.
abstract contract VaultConfig is VaultTypes, AccessControlDefaultAdminRules, Pausable {
    bytes32 public constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");
    bytes32 public constant TREASURER_ROLE = keccak256("TREASURER_ROLE");
    bytes32 public constant CONFIG_ROLE = keccak256("CONFIG_ROLE");

    uint256 internal constant BPS = 10_000;
    uint256 internal constant SHARE = 1e18;
    /// @notice The fee can never be set above this, whoever holds CONFIG_ROLE.
    uint16 public constant MAX_FEE_BPS = 500;
    /// @dev Keeps every product of the band check below 2^256; $79 sextillion a share at 6 decimals.
    uint256 private constant MAX_REFERENCE = 2 ** 96;

    /// @notice The money token, and its unit as the token itself states it.
    IERC20Metadata public immutable usdt;
    uint8 public immutable usdtDecimals;

    uint128 internal _minDeposit;
    uint128 internal _floor;
    uint16 internal _feeBps;
    /// @notice Assets are numbered 1, 2, 3…
    uint16 public assetCount;

    mapping(uint256 assetId => Asset) internal _assets;
    mapping(address token => uint16) internal _assetIds;

    constructor(IERC20Metadata usdt_, address admin, uint48 adminDelay)
        AccessControlDefaultAdminRules(adminDelay, admin)
    {
        usdt = usdt_;
        usdtDecimals = usdt_.decimals();
        if (usdtDecimals > 18) revert InvalidConfig("money token decimals");
    }

    // ------------------------------------------------------------------ roles

    /// @notice Stop new requests. Nothing else stops: settle, refund, reclaim and claim go on.
    function pause() external onlyRole(GUARDIAN_ROLE) {
        _pause();
    }

    /// @notice Accept new requests again; not the guardian's to decide.
    function unpause() external onlyRole(DEFAULT_ADMIN_ROLE) {
        _unpause();
    }

    /// @notice Take a settler's role away at once. Only the admin can give it back.
    function suspendSettler(address settler) external onlyRole(GUARDIAN_ROLE) {
        if (!_revokeRole(SETTLER_ROLE, settler)) revert InvalidConfig("not a settler");
        emit SettlerSuspended(settler, msg.sender);
    }

    // ------------------------------------------------------------------ configuration

    /// @notice List an asset, or change how a listed one is treated.
    /// @param heartbeat An answer older than this many seconds is no reference.
    /// @param bandBps A settlement further than this from the reference is refused.
    /// @param gapBps A limit further than this from the reference is refused at creation.
    /// @param open Whether new requests are accepted; open ones are settled or refunded all the same.
    function configureAsset(
        ShareToken token,
        IPriceFeed feed,
        uint32 heartbeat,
        uint16 bandBps,
        uint16 gapBps,
        bool open
    ) external onlyRole(CONFIG_ROLE) {
        if (token.vault() != address(this)) revert InvalidConfig("share token of another vault");
        if (token.decimals() != 18) revert InvalidConfig("share token decimals");
        if (heartbeat == 0) revert InvalidConfig("heartbeat");
        if (bandBps == 0 || bandBps >= BPS) revert InvalidConfig("band");
        if (gapBps == 0 || gapBps >= BPS) revert InvalidConfig("gap");
        uint8 feedDecimals = feed.decimals();
        if (feedDecimals > 18) revert InvalidConfig("feed decimals");
        uint16 assetId = _assetIds[address(token)];
        if (assetId == 0) {
            assetId = ++assetCount;
            _assetIds[address(token)] = assetId;
        }
        _assets[assetId] =
            Asset(address(token), heartbeat, bandBps, gapBps, feedDecimals, open, address(feed));
        emit AssetConfigured(
            address(token), address(feed), feedDecimals, heartbeat, bandBps, gapBps, open
        );
    }

    /// @notice Set what new requests are subject to, and what withdrawals must leave behind.
    function configureTerms(uint128 minDeposit, uint16 feeBps, uint128 floor)
        external
        onlyRole(CONFIG_ROLE)
    {
        _setTerms(minDeposit, feeBps, floor);
    }

    function _setTerms(uint128 minDeposit, uint16 feeBps, uint128 floor) internal {
        if (minDeposit == 0) revert InvalidConfig("minimum deposit");
        if (feeBps > MAX_FEE_BPS) revert InvalidConfig("fee");
        (_minDeposit, _feeBps, _floor) = (minDeposit, feeBps, floor);
        emit TermsConfigured(minDeposit, feeBps, floor);
    }

    // ------------------------------------------------------------------ reading

    /// @notice How the asset is configured; all zero when it is not listed.
    function assetOf(address token) external view returns (Asset memory) {
        return _assets[_assetIds[token]];
    }

    /// @notice The asset's token by its number.
    function assetAt(uint256 assetId) external view returns (address) {
        return _assets[assetId].token;
    }

    /// @notice The reference price in USDT units per whole share, USD taken 1:1.
    /// @return price 0 when the feed gives no usable answer.
    function referencePrice(address token) external view returns (uint256 price) {
        return _reference(_assets[_assetIds[token]]);
    }

    /// @dev 0 = no reference: the call failed, its data is short, or the answer is not positive,
    /// too old, from the future, or absurd. A low-level call, because a feed that changed under
    /// us must cost its own items a rejection, not the whole batch a revert.
    function _reference(Asset memory asset) internal view returns (uint256) {
        if (asset.feed == address(0)) return 0;
        (bool ok, bytes memory data) =
            asset.feed.staticcall(abi.encodeCall(IPriceFeed.latestRoundData, ()));
        if (!ok || data.length < 160) return 0;
        (, int256 answer,, uint256 updatedAt,) =
            abi.decode(data, (uint256, int256, uint256, uint256, uint256));
        if (answer <= 0 || uint256(answer) >= MAX_REFERENCE) return 0;
        if (updatedAt > block.timestamp || block.timestamp - updatedAt > asset.heartbeat) return 0;
        uint256 price = (uint256(answer) * 10 ** usdtDecimals) / 10 ** asset.feedDecimals;
        return price < MAX_REFERENCE ? price : 0;
    }
}
