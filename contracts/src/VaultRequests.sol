// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Approvals} from "./Approvals.sol";
import {Eligibility} from "./Eligibility.sol";
import {VaultLedger} from "./VaultLedger.sol";
import {VaultViews} from "./VaultViews.sol";

/// @title VaultRequests
/// @notice What users do: ask for shares, ask for money, change their mind; and how requests are read.
/// @dev Requests are numbered without gaps, so a reader needs `count` and no log scan. The id hashes
/// every term, so a number that is used again after a reorganisation has another id.
abstract contract VaultRequests is VaultLedger {
    using SafeERC20 for IERC20;

    /// @notice A deposit's limit that means: market, within the band. (For a redeem it is 0.)
    uint128 public constant MARKET_BUY = type(uint128).max;

    /// @notice After deadline + this the owner may take the escrow back without us. Fixed for ever.
    uint64 public immutable settleGrace;
    /// @notice How far ahead a deadline must and may be.
    uint64 public immutable minLifetime;
    uint64 public immutable maxLifetime;

    /// @notice Number of the newest request; the first is 1.
    uint64 public count;

    constructor(uint64 settleGrace_, uint64 minLifetime_, uint64 maxLifetime_) {
        // Longer than any market closure or outage that a filled order has to survive.
        if (settleGrace_ < 7 days || settleGrace_ > 365 days) revert InvalidConfig("settle grace");
        if (minLifetime_ == 0 || minLifetime_ >= maxLifetime_ || maxLifetime_ > 365 days) {
            revert InvalidConfig("lifetime");
        }
        (settleGrace, minLifetime, maxLifetime) = (settleGrace_, minLifetime_, maxLifetime_);
    }

    // ------------------------------------------------------------------ asking

    /// @notice Escrow USDT to buy whole shares of `asset`; what is not spent comes back to the caller.
    /// @param amount USDT units to pull; what really arrives is what counts.
    /// @param limitPrice Most the caller pays per share token, fee included; MARKET_BUY for market.
    /// @param deadline No order works for this request after it.
    /// @param recipient Who gets the shares.
    /// @return n The request's number.
    function deposit(
        address asset,
        uint256 amount,
        uint128 limitPrice,
        uint64 deadline,
        address recipient
    ) external nonReentrant whenNotPaused returns (uint256 n) {
        return _deposit(asset, amount, limitPrice, deadline, recipient);
    }

    /// @notice `deposit` with an EIP-2612 approval, for money tokens that have it (USDT on mainnet has not).
    /// @dev A permit that somebody else submitted first has done its work: the failure of ours is
    /// ignored and the allowance decides.
    function depositWithPermit(
        address asset,
        uint256 amount,
        uint128 limitPrice,
        uint64 deadline,
        address recipient,
        uint256 permitDeadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant whenNotPaused returns (uint256 n) {
        _permit(address(usdt), amount, permitDeadline, v, r, s);
        return _deposit(asset, amount, limitPrice, deadline, recipient);
    }

    /// @notice Escrow share tokens to sell whole shares of `asset`; what is not sold comes back.
    /// @param shares Share units to pull, at least the asset's `minRedeem`.
    /// @param limitPrice Least the caller gets per share token, fee deducted; 0 for market.
    /// @param recipient Who gets the USDT.
    function redeem(
        address asset,
        uint256 shares,
        uint128 limitPrice,
        uint64 deadline,
        address recipient
    ) external nonReentrant whenNotPaused returns (uint256 n) {
        return _redeem(asset, shares, limitPrice, deadline, recipient);
    }

    /// @notice `redeem` with an EIP-2612 approval of the share token.
    function redeemWithPermit(
        address asset,
        uint256 shares,
        uint128 limitPrice,
        uint64 deadline,
        address recipient,
        uint256 permitDeadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant whenNotPaused returns (uint256 n) {
        if (_assetIds[asset] == 0) revert UnknownAsset(asset);
        _permit(asset, shares, permitDeadline, v, r, s);
        return _redeem(asset, shares, limitPrice, deadline, recipient);
    }

    /// @notice Ask once for the request to be cancelled; what is already filled is settled all the same.
    function requestCancel(uint256 n) external {
        Request storage request_ = _open(n);
        if (request_.owner != msg.sender) revert NotRequestOwner(n, msg.sender);
        _cancel(n, request_, _idOf(n, request_));
    }

    /// @notice `requestCancel` for the owner, who signed EIP-712 Cancel(n, id, deadline) and pays no
    /// gas. Anyone may call; contracts sign by ERC-1271.
    function requestCancelFor(uint256 n, uint64 deadline, bytes calldata signature) external {
        Request storage request_ = _open(n);
        bytes32 id = _idOf(n, request_);
        Approvals.checkCancel(request_.owner, n, id, deadline, signature);
        _cancel(n, request_, id);
    }

    // ------------------------------------------------------------------ reading

    /// @notice The id of request `n`; 0 when there is none.
    function idOf(uint256 n) external view returns (bytes32) {
        return n == 0 || n > count ? bytes32(0) : _idOf(n, _book.requests[n]);
    }

    /// @notice Request `n`; all zero when there is none.
    function request(uint256 n) external view returns (RequestView memory found) {
        _answer(abi.encodeWithSelector(VaultViews.one.selector, _bookSlot(), n, settleGrace));
        return found;
    }

    /// @notice Requests `from` to `to`, both included, cut at `count`.
    function requests(uint256 from, uint256 to) external view returns (RequestView[] memory found) {
        if (to > count) to = count;
        _answer(
            abi.encodeWithSelector(VaultViews.range.selector, _bookSlot(), from, to, settleGrace)
        );
        return found;
    }

    /// @notice Requests by number, in the order asked; all zero where there is none.
    function requestsOf(uint256[] calldata ns) external view returns (RequestView[] memory found) {
        _answer(abi.encodeWithSelector(VaultViews.byNumber.selector, _bookSlot(), ns, settleGrace));
        return found;
    }

    /// @notice Who may approve now (strictly ascending), their epoch, and how many of them must sign.
    function approvers()
        external
        view
        returns (uint64 epoch, uint8 threshold, address[] memory signers)
    {
        _answer(abi.encodeWithSelector(VaultViews.approvers.selector, _approversSlot()));
        return (epoch, threshold, signers);
    }

    // ------------------------------------------------------------------ inside

    function _deposit(
        address asset,
        uint256 amount,
        uint128 limitPrice,
        uint64 deadline,
        address recipient
    ) private returns (uint256 n) {
        uint16 assetId = _admit(asset, deadline, recipient);
        if (limitPrice != MARKET_BUY) _checkLimit(assetId, limitPrice);
        uint128 received = _pull(address(usdt), amount);
        if (received < _minDeposit) revert AmountTooSmall(received, _minDeposit);
        _escrowUsdt += received;
        bytes32 id;
        (n, id) = _store(Side.Deposit, assetId, received, limitPrice, deadline, recipient);
        emit DepositRequested(
            n, id, msg.sender, recipient, asset, received, limitPrice, deadline, _feeBps
        );
    }

    function _redeem(
        address asset,
        uint256 shares,
        uint128 limitPrice,
        uint64 deadline,
        address recipient
    ) private returns (uint256 n) {
        uint16 assetId = _admit(asset, deadline, recipient);
        if (limitPrice != 0) _checkLimit(assetId, limitPrice);
        uint128 received = _pull(asset, shares);
        uint256 minimum = _book.assets[assetId].minRedeem;
        if (received < minimum) revert AmountTooSmall(received, minimum);
        bytes32 id;
        (n, id) = _store(Side.Redeem, assetId, received, limitPrice, deadline, recipient);
        emit RedeemRequested(
            n, id, msg.sender, recipient, asset, received, limitPrice, deadline, _feeBps
        );
    }

    function _admit(address asset, uint64 deadline, address recipient)
        private
        view
        returns (uint16 assetId)
    {
        assetId = _assetIds[asset];
        if (assetId == 0) revert UnknownAsset(asset);
        if (!_book.assets[assetId].open) revert AssetClosed(asset);
        _checkRecipient(recipient);
        address list = eligibility;
        if (!Eligibility.allows(list, msg.sender)) revert NotEligible(msg.sender);
        if (!Eligibility.allows(list, recipient)) revert NotEligible(recipient);
        uint256 earliest = block.timestamp + minLifetime;
        uint256 latest = block.timestamp + maxLifetime;
        if (deadline < earliest || deadline > latest) {
            revert DeadlineOutOfBounds(deadline, earliest, latest);
        }
    }

    /// @dev Only while the feed is live: a dead feed must not keep users from leaving with a limit.
    function _checkLimit(uint16 assetId, uint256 limitPrice) private view {
        Asset memory asset = _book.assets[assetId];
        uint256 price = _reference(asset);
        if (price == 0) return;
        uint256 lowest = (price * (BPS - asset.gapBps)) / BPS;
        uint256 highest = (price * (BPS + asset.gapBps)) / BPS;
        if (limitPrice < lowest || limitPrice > highest) {
            revert LimitOutOfReach(limitPrice, lowest, highest);
        }
    }

    function _permit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        private
    {
        try IERC20Permit(token).permit(msg.sender, address(this), value, deadline, v, r, s) {} catch {}
    }

    /// @dev What arrived, which a token with a fee makes less than `amount`.
    function _pull(address token, uint256 amount) private returns (uint128) {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received > type(uint128).max) revert AmountTooLarge(received);
        return uint128(received);
    }

    function _store(
        Side side,
        uint16 assetId,
        uint128 amount,
        uint128 limitPrice,
        uint64 deadline,
        address recipient
    ) private returns (uint256 n, bytes32 id) {
        n = ++count;
        Request storage r = _book.requests[n];
        (r.owner, r.deadline, r.createdBlock, r.feeBps) =
            (msg.sender, uint40(deadline), uint40(block.number), _feeBps);
        (r.recipient, r.assetId, r.side, r.status) = (recipient, assetId, side, Status.Open);
        (r.amount, r.limitPrice) = (amount, limitPrice);
        id = _idOf(n, r);
    }

    function _cancel(uint256 n, Request storage request_, bytes32 id) private {
        if (request_.cancelRequested) revert CancelAlreadyRequested(n);
        request_.cancelRequested = true;
        emit CancelRequested(n, id, request_.owner);
    }

    function _open(uint256 n) internal view returns (Request storage request_) {
        request_ = _book.requests[n];
        if (request_.status == Status.None) revert UnknownRequest(n);
        if (request_.status != Status.Open) revert RequestNotOpen(n, request_.status);
    }

    function _idOf(uint256 n, Request memory r) internal view returns (bytes32) {
        return VaultViews.idOf(_book, n, r);
    }

    function _bookSlot() private pure returns (uint256 slot) {
        assembly ("memory-safe") {
            slot := _book.slot
        }
    }

    function _approversSlot() private pure returns (uint256 slot) {
        assembly ("memory-safe") {
            slot := _approvers.slot
        }
    }

    /// @dev End this call with what the library of views answers, byte for byte: decoding it only to
    /// encode it again would cost a kilobyte of code. The cast says what the compiler cannot see:
    /// the functions of that library are views.
    function _answer(bytes memory data) private view {
        function(bytes memory) view answer;
        function(bytes memory) asked = _ask;
        assembly ("memory-safe") {
            answer := asked
        }
        answer(data);
    }

    function _ask(bytes memory data) private {
        address views = address(VaultViews);
        assembly ("memory-safe") {
            let ok := delegatecall(gas(), views, add(data, 32), mload(data), 0, 0)
            let free := mload(64)
            returndatacopy(free, 0, returndatasize())
            if iszero(ok) { revert(free, returndatasize()) }
            return(free, returndatasize())
        }
    }
}
