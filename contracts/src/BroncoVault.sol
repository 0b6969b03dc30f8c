// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Approvals} from "./Approvals.sol";
import {Eligibility} from "./Eligibility.sol";
import {ShareToken} from "./ShareToken.sol";
import {VaultConfig} from "./VaultConfig.sol";
import {VaultRequests} from "./VaultRequests.sol";

/// @title BroncoVault
/// @notice Holds the money of requests until each ends, exactly once: settled, refunded or reclaimed.
/// @dev No proxy: the code that took a user's money is the code that gives it back. The bounds on a
/// stolen settler key are the request's limit and frozen fee, the band around a price that the
/// settler does not make, and the caps on what goes out in a window; see `_judge`.
contract BroncoVault is VaultRequests {
    /// @notice What must be left before each item of a batch. Far above what an item can use, so a
    /// token call inside it never fails for want of gas and is then booked as refused.
    uint256 public constant ITEM_GAS = 400_000;
    /// @notice How many owed payouts a batch pays at its end, if so much gas is left before each.
    uint256 public constant OWED_PER_BATCH = 3;
    uint256 public constant OWED_GAS = 130_000;

    struct Deployment {
        IERC20Metadata usdt;
        address admin;
        uint48 adminDelay;
        uint64 settleGrace;
        uint64 minLifetime;
        uint64 maxLifetime;
        uint128 minDeposit;
        uint16 feeBps;
        uint128 floor;
    }

    /// @dev What a batch reads once: the asset of the items at hand (for a run of items of the same
    /// asset), and what the settler may still do.
    struct Frame {
        uint256 assetId;
        ShareToken token;
        uint256 price; // 0 = no reference
        uint256 lowest; // price x (BPS - band)
        uint256 highest;
        // ---
        bool approved; // M-of-N: the rest is not asked
        uint256 minted; // left of the window
        uint256 paid;
        uint256 returnLimit;
        address eligibility;
        // ---
        uint256 released; // escrow and fees of items settled, not yet written
        uint256 fees;
    }

    constructor(Deployment memory d)
        VaultConfig(d.usdt, d.admin, d.adminDelay)
        VaultRequests(d.settleGrace, d.minLifetime, d.maxLifetime)
    {
        _setTerms(d.minDeposit, d.feeBps, d.floor);
    }

    /// @notice End requests: pay out fills and give back what could not be filled.
    /// @dev Each item stands alone: one that cannot be accepted emits SettlementRejected and changes
    /// nothing. The same item again does nothing. Only the gas rule reverts the batch. A batch of
    /// nothing still pays what is owed and can be paid.
    function settle(Item[] calldata items, RefundItem[] calldata refunds)
        external
        nonReentrant
        onlyRole(SETTLER_ROLE)
    {
        (Frame memory frame, Usage memory used) = _openFrame();
        (uint256 minted, uint256 paid) = (frame.minted, frame.paid);
        uint256 free = _freeMemory();
        for (uint256 i; i < items.length; ++i) {
            _ensureGas(i);
            Item calldata item = items[i];
            Rejection code = _settle(item, frame);
            if (code != Rejection.None) emit SettlementRejected(item.n, item.id, code);
            // Nothing of an item is kept in memory but numbers in the frame, and fifty items' worth of
            // memory would cost each of them some 250 gas.
            assembly ("memory-safe") {
                mstore(0x40, free)
            }
        }
        for (uint256 i; i < refunds.length; ++i) {
            _ensureGas(items.length + i);
            RefundItem calldata item = refunds[i];
            Rejection code = _refund(item, frame);
            if (code != Rejection.None) emit SettlementRejected(item.n, item.id, code);
        }
        _write(frame);
        (minted, paid) = (minted - frame.minted, paid - frame.paid);
        if (minted | paid != 0) {
            _usage = Usage(used.minted + uint96(minted), used.paid + uint96(paid), used.time);
        }
        // What deposits just freed goes to who waits longest; nobody needs to call for it.
        if (_owedTotal != 0) _payOwed(OWED_PER_BATCH, OWED_GAS);
    }

    /// @notice Settle one request that a settler may not settle alone: outside the band, without a
    /// reference, beyond the caps or giving back more than the return limit. Anyone who holds the
    /// approvals may call.
    /// @dev The request's limit, its frozen fee and its amount bind approvers like everybody. The same
    /// item again does nothing.
    /// @param approvals Signatures of EIP-712 Settlement(...), strictly ascending by signer.
    function settleWithApprovals(Item calldata item, uint64 deadline, Approval[] calldata approvals)
        external
        nonReentrant
    {
        _ensureGas(0);
        Approvals.checkSettlement(_approvers, item, deadline, approvals);
        Frame memory frame = _approvedFrame();
        Rejection code = _settle(item, frame);
        _write(frame);
        if (code != Rejection.None) revert ItemRefused(item.n, code);
    }

    /// @notice Give back whole what is above the return limit. Anyone who holds the approvals may call.
    /// @param approvals Signatures of EIP-712 Refund(...), strictly ascending by signer.
    function refundWithApprovals(
        RefundItem calldata item,
        uint64 deadline,
        Approval[] calldata approvals
    ) external nonReentrant {
        _ensureGas(0);
        Approvals.checkRefund(_approvers, item, deadline, approvals);
        Rejection code = _refund(item, _approvedFrame());
        if (code != Rejection.None) revert ItemRefused(item.n, code);
    }

    /// @notice Take the escrow back when `reclaimAt` has passed. Nothing can pause this.
    function reclaim(uint256 n) external nonReentrant {
        Request storage request_ = _open(n);
        if (request_.owner != msg.sender) revert NotRequestOwner(n, msg.sender);
        uint256 reclaimAt = request_.deadline + settleGrace;
        if (block.timestamp < reclaimAt) revert TooEarly(n, reclaimAt);
        Request memory r = request_;
        _giveBack(n, r, Status.Reclaimed);
        emit Reclaimed(n, _idOf(n, r), r.amount);
    }

    /// @notice What the vault holds and owes.
    function books() external view returns (Books memory) {
        return Books({
            count: count,
            balance: usdt.balanceOf(address(this)),
            escrow: _escrowUsdt,
            claimable: _claimableUsdt,
            free: _freeUsdt(),
            owed: _owedTotal,
            floor: _floor,
            fees: _feesTotal,
            minDeposit: _minDeposit,
            feeBps: _feeBps,
            paused: paused()
        });
    }

    // ------------------------------------------------------------------ inside

    function _ensureGas(uint256 index) private view {
        if (gasleft() < ITEM_GAS) revert BatchGasTooLow(index, ITEM_GAS);
    }

    function _freeMemory() private pure returns (uint256 free) {
        assembly ("memory-safe") {
            free := mload(0x40)
        }
    }

    function _openFrame() private view returns (Frame memory frame, Usage memory used) {
        used = _usageNow();
        frame.minted = _minus(_caps.minted, used.minted);
        frame.paid = _minus(_caps.paid, used.paid);
        (frame.returnLimit, frame.eligibility) = (_returnLimit, eligibility);
    }

    function _approvedFrame() private view returns (Frame memory frame) {
        (frame.approved, frame.eligibility) = (true, eligibility);
    }

    function _settle(Item calldata item, Frame memory frame) private returns (Rejection) {
        Request memory r = _book.requests[item.n];
        Rejection code = _identify(item.n, item.id, r);
        if (code != Rejection.None) return code;
        bytes6 terms =
            bytes6(keccak256(abi.encode(item.taken, item.out, item.fee, item.fillHash)));
        if (r.status == Status.Settled) {
            return r.terms == terms ? Rejection.None : Rejection.Conflict;
        }
        if (r.status != Status.Open) return Rejection.AlreadyEnded;
        _loadQuote(frame, r.assetId);
        code = _judge(item, r, frame);
        if (code != Rejection.None) return code;
        return r.side == Side.Deposit
            ? _settleDeposit(item, r, terms, frame)
            : _settleRedeem(item, r, terms, frame);
    }

    function _identify(uint256 n, bytes32 id, Request memory r) private view returns (Rejection) {
        if (r.status == Status.None) return Rejection.UnknownRequest;
        return _idOf(n, r) == id ? Rejection.None : Rejection.IdMismatch;
    }

    /// @dev Amount, fee and limit bind everybody; band, caps and return limit whoever has no approvals.
    /// Each by cross-multiplication. Amounts are below 2^128 and reference edges below 2^110, so no
    /// product reaches 2^256.
    function _judge(Item calldata item, Request memory r, Frame memory frame)
        private
        pure
        returns (Rejection)
    {
        (uint256 taken, uint256 out, uint256 fee) = (item.taken, item.out, item.fee);
        if (taken == 0 || out == 0 || taken > r.amount) return Rejection.Amount;
        bool isDeposit = r.side == Side.Deposit;
        if (isDeposit && fee >= taken) return Rejection.Amount;
        // What the market gave or took, and for how many share units.
        (uint256 gross, uint256 shares) = isDeposit ? (taken - fee, out) : (out + fee, taken);
        if (fee * BPS > gross * r.feeBps) return Rejection.Fee;
        bool worse = isDeposit
            ? r.limitPrice != MARKET_BUY && taken * SHARE > uint256(r.limitPrice) * out
            : out * SHARE < uint256(r.limitPrice) * taken;
        if (worse) return Rejection.Limit;
        if (frame.approved) return Rejection.None;
        if (frame.price == 0) return Rejection.StaleReference;
        uint256 scaled = gross * SHARE * BPS;
        if (scaled < frame.lowest * shares || scaled > frame.highest * shares) return Rejection.Band;
        if (isDeposit ? _worth(out, frame) > frame.minted : out > frame.paid) return Rejection.Cap;
        uint256 rest = r.amount - taken;
        if (!isDeposit) rest = _worth(rest, frame);
        return rest > frame.returnLimit ? Rejection.ReturnLimit : Rejection.None;
    }

    /// @dev USDT units, rounded up, that so many share units are worth at the reference.
    function _worth(uint256 shares, Frame memory frame) private pure returns (uint256) {
        return (shares * frame.price + SHARE - 1) / SHARE;
    }

    function _loadQuote(Frame memory frame, uint256 assetId) private view {
        if (frame.assetId == assetId) return;
        Asset memory asset = _book.assets[assetId];
        uint256 price = _reference(asset);
        frame.assetId = assetId;
        frame.token = ShareToken(asset.token);
        frame.price = price;
        frame.lowest = price * (BPS - asset.bandBps);
        frame.highest = price * (BPS + asset.bandBps);
    }

    /// @dev A recipient who may hold no shares (any more) does not stop the settlement: the shares are
    /// bought. The vault holds them, and the owner claims them when a list lets them.
    function _settleDeposit(Item calldata item, Request memory r, bytes6 terms, Frame memory frame)
        private
        returns (Rejection)
    {
        bool screened = !Eligibility.allows(frame.eligibility, r.recipient);
        try frame.token.mint(screened ? address(this) : r.recipient, item.out) {}
        catch {
            return Rejection.Payout;
        }
        if (screened) _credit(address(frame.token), r.owner, item.out, item.n);
        if (!frame.approved) frame.minted -= _worth(item.out, frame);
        _end(item.n, Status.Settled, terms);
        unchecked {
            // Sums of what the vault holds, or of fees below it.
            frame.released += r.amount;
            frame.fees += item.fee;
        }
        uint128 rest = r.amount - item.taken;
        if (rest != 0) _push(address(usdt), r.owner, rest, item.n);
        _announce(item, rest);
        return Rejection.None;
    }

    function _settleRedeem(Item calldata item, Request memory r, bytes6 terms, Frame memory frame)
        private
        returns (Rejection)
    {
        try frame.token.burn(item.taken) {}
        catch {
            return Rejection.Payout;
        }
        if (!frame.approved) frame.paid -= item.out;
        _end(item.n, Status.Settled, terms);
        frame.fees += item.fee;
        // What is free must be true before it is paid from.
        _write(frame);
        _pay(item.n, r.recipient, item.out);
        uint128 rest = r.amount - item.taken;
        if (rest != 0) _push(address(frame.token), r.owner, rest, item.n);
        _announce(item, rest);
        return Rejection.None;
    }

    function _refund(RefundItem calldata item, Frame memory frame) private returns (Rejection) {
        Request memory r = _book.requests[item.n];
        Rejection code = _identify(item.n, item.id, r);
        if (code != Rejection.None) return code;
        if (r.status == Status.Refunded) return Rejection.None;
        if (r.status == Status.Settled) return Rejection.Conflict;
        if (r.status != Status.Open) return Rejection.AlreadyEnded;
        code = _judgeReturn(r, frame);
        if (code != Rejection.None) return code;
        _giveBack(item.n, r, Status.Refunded);
        emit Refunded(item.n, item.id, r.amount, item.reason);
        return Rejection.None;
    }

    /// @dev Shares are measured by the reference; without one nobody can say how much it is.
    function _judgeReturn(Request memory r, Frame memory frame) private view returns (Rejection) {
        if (frame.approved || frame.returnLimit == type(uint128).max) return Rejection.None;
        uint256 worth = r.amount;
        if (r.side == Side.Redeem) {
            _loadQuote(frame, r.assetId);
            if (frame.price == 0) return Rejection.StaleReference;
            worth = _worth(worth, frame);
        }
        return worth > frame.returnLimit ? Rejection.ReturnLimit : Rejection.None;
    }

    function _giveBack(uint256 n, Request memory r, Status status) private {
        _end(n, status, 0);
        address token = address(usdt);
        if (r.side == Side.Deposit) _escrowUsdt -= r.amount;
        else token = _book.assets[r.assetId].token;
        _push(token, r.owner, r.amount, n);
    }

    function _end(uint256 n, Status status, bytes6 terms) private {
        Request storage request_ = _book.requests[n];
        (request_.terms, request_.status) = (terms, status);
    }

    /// @dev Write the books once for many items.
    function _write(Frame memory frame) private {
        if (frame.released != 0) _escrowUsdt -= uint128(frame.released);
        if (frame.fees != 0) _feesTotal += uint128(frame.fees);
        (frame.released, frame.fees) = (0, 0);
    }

    function _announce(Item calldata item, uint128 rest) private {
        emit Settled(item.n, item.id, item.taken, item.out, item.fee, item.fillHash, rest);
    }
}
