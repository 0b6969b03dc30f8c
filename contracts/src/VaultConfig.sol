// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {AccessControlDefaultAdminRules} from
    "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Approvals} from "./Approvals.sol";
import {AssetChecks} from "./AssetChecks.sol";
import {IPriceFeed} from "./IPriceFeed.sol";
import {ShareToken} from "./ShareToken.sol";
import {VaultTypes} from "./VaultTypes.sol";
import {VaultViews} from "./VaultViews.sol";

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
    uint128 internal _returnLimit;
    Caps internal _caps;
    Usage internal _usage;
    /// @notice Who may hold shares, an IEligibility; zero: everybody.
    address public eligibility;

    VaultViews.Book internal _book;
    mapping(address token => uint16) internal _assetIds;
    Approvals.Signers internal _approvers;

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
    /// @param minRedeem Least share units of a redeem: one share, which a split makes fewer units.
    function configureAsset(
        ShareToken token,
        IPriceFeed feed,
        uint32 heartbeat,
        uint16 bandBps,
        uint16 gapBps,
        bool open,
        uint96 minRedeem
    ) external onlyRole(CONFIG_ROLE) {
        uint8 feedDecimals = AssetChecks.check(token, feed, heartbeat, bandBps, gapBps, minRedeem);
        uint16 assetId = _assetIds[address(token)];
        if (assetId == 0) {
            assetId = ++assetCount;
            _assetIds[address(token)] = assetId;
        }
        _book.assets[assetId] =
            Asset(
            address(token), heartbeat, bandBps, gapBps, feedDecimals, open, address(feed), minRedeem
        );
        emit AssetConfigured(
            address(token), address(feed), feedDecimals, heartbeat, bandBps, gapBps, open, minRedeem
        );
    }

    /// @notice Set what new requests are subject to, and what withdrawals must leave behind.
    function configureTerms(uint128 minDeposit, uint16 feeBps, uint128 floor)
        external
        onlyRole(CONFIG_ROLE)
    {
        _setTerms(minDeposit, feeBps, floor);
    }

    /// @notice Set what settlers may do without approvals; at first nothing.
    /// @param caps Per window; see Caps.
    /// @param returnLimit Most that one item may give back to its owner, in USDT units; shares at the
    /// reference price. The largest number: no limit.
    function configureCaps(Caps calldata caps, uint128 returnLimit) external onlyRole(CONFIG_ROLE) {
        if (caps.window == 0) revert InvalidConfig("window");
        // What was used until now drained at the old rate.
        _usage = _usageNow();
        (_caps, _returnLimit) = (caps, returnLimit);
        emit CapsConfigured(caps.minted, caps.paid, caps.window, returnLimit);
    }

    /// @notice Let a list decide who may hold shares; zero: everybody may.
    /// @dev Asked at requests, at mints and by the share tokens at transfers. Money is never held by
    /// it: refunds, reclaims and claims of USDT go to whom they belong.
    function configureEligibility(address list) external onlyRole(CONFIG_ROLE) {
        if (list != address(0) && list.code.length == 0) revert InvalidConfig("eligibility list");
        eligibility = list;
        emit EligibilityConfigured(list);
    }

    /// @notice Replace who may approve what settlers may not do alone; every signature given before
    /// is void.
    /// @param signers Strictly ascending.
    /// @param threshold How many must sign.
    function configureApprovers(address[] calldata signers, uint8 threshold)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        Approvals.configure(_approvers, signers, threshold);
    }

    function _setTerms(uint128 minDeposit, uint16 feeBps, uint128 floor) internal {
        if (minDeposit == 0) revert InvalidConfig("minimum deposit");
        if (feeBps > MAX_FEE_BPS) revert InvalidConfig("fee");
        (_minDeposit, _feeBps, _floor) = (minDeposit, feeBps, floor);
        emit TermsConfigured(minDeposit, feeBps, floor);
    }

    // ------------------------------------------------------------------ reading

    /// @notice The caps, what of them is used now, and the most that one item may give back.
    function capsNow() external view returns (Caps memory caps, Usage memory used, uint128 returnLimit) {
        return (_caps, _usageNow(), _returnLimit);
    }

    /// @notice How the asset is configured; all zero when it is not listed.
    function assetOf(address token) external view returns (Asset memory) {
        return _book.assets[_assetIds[token]];
    }

    /// @notice The asset's token by its number.
    function assetAt(uint256 assetId) external view returns (address) {
        return _book.assets[assetId].token;
    }

    /// @notice The reference price in USDT units per share token, USD taken 1:1.
    /// @return price 0 when the feed gives no usable answer.
    function referencePrice(address token) external view returns (uint256 price) {
        return _reference(_book.assets[_assetIds[token]]);
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

    /// @dev Used so much less than at the last settlement as drained since, at cap / window a second.
    function _usageNow() internal view returns (Usage memory used) {
        used = _usage;
        uint256 elapsed = block.timestamp - used.time;
        used.time = uint64(block.timestamp);
        Caps memory caps = _caps;
        if (caps.window == 0) return used;
        used.minted = _drained(used.minted, caps.minted, elapsed, caps.window);
        used.paid = _drained(used.paid, caps.paid, elapsed, caps.window);
    }

    function _drained(uint256 used, uint256 cap, uint256 elapsed, uint256 window)
        private
        pure
        returns (uint96)
    {
        uint256 gone = (cap * elapsed) / window;
        return uint96(gone < used ? used - gone : 0);
    }
}
