// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ShareToken} from "./ShareToken.sol";
import {VaultConfig} from "./VaultConfig.sol";
import {VaultRequests} from "./VaultRequests.sol";

/// @title BroncoVault
/// @notice Holds the money of requests until each ends, exactly once: settled, refunded or reclaimed.
/// @dev No proxy: the code that took a user's money is the code that gives it back. The bounds on a
/// stolen settler key are the request's limit and frozen fee, and the band around a price that the
/// settler does not make; see `_settle`.
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

    /// @dev The asset of the items at hand, read once for a run of items of the same asset.
    struct Quote {
        uint256 assetId;
        ShareToken token;
        uint256 lowest; // price x (BPS - band); 0 = no reference
        uint256 highest;
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
        Quote memory quote;
        for (uint256 i; i < items.length; ++i) {
            _ensureGas(i);
            Item calldata item = items[i];
            Rejection code = _settle(item, quote);
            if (code != Rejection.None) emit SettlementRejected(item.n, item.id, code);
        }
        for (uint256 i; i < refunds.length; ++i) {
            _ensureGas(items.length + i);
            RefundItem calldata item = refunds[i];
            Rejection code = _refund(item);
            if (code != Rejection.None) emit SettlementRejected(item.n, item.id, code);
        }
        // What deposits just freed goes to who waits longest; nobody needs to call for it.
        if (_owedTotal != 0) _payOwed(OWED_PER_BATCH, OWED_GAS);
    }

    /// @notice Take the escrow back when `reclaimAt` has passed. Nothing can pause this.
    function reclaim(uint256 n) external nonReentrant {
        Request storage request_ = _ownOpen(n);
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

    function _settle(Item calldata item, Quote memory quote) private returns (Rejection) {
        Request memory r = _requests[item.n];
        Rejection code = _identify(item.n, item.id, r);
        if (code != Rejection.None) return code;
        bytes6 terms =
            bytes6(keccak256(abi.encode(item.taken, item.out, item.fee, item.fillHash)));
        if (r.status == Status.Settled) {
            return r.terms == terms ? Rejection.None : Rejection.Conflict;
        }
        if (r.status != Status.Open) return Rejection.AlreadyEnded;
        _loadQuote(quote, r.assetId);
        code = _judge(item, r, quote);
        if (code != Rejection.None) return code;
        return r.side == Side.Deposit
            ? _settleDeposit(item, r, terms, quote.token)
            : _settleRedeem(item, r, terms, quote.token);
    }

    function _identify(uint256 n, bytes32 id, Request memory r) private view returns (Rejection) {
        if (r.status == Status.None) return Rejection.UnknownRequest;
        return _idOf(n, r) == id ? Rejection.None : Rejection.IdMismatch;
    }

    /// @dev Amount, fee, limit and band, each by cross-multiplication. Amounts are below 2^128 and
    /// reference edges below 2^110, so no product reaches 2^256.
    function _judge(Item calldata item, Request memory r, Quote memory quote)
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
        if (quote.highest == 0) return Rejection.StaleReference;
        uint256 scaled = gross * SHARE * BPS;
        if (scaled < quote.lowest * shares || scaled > quote.highest * shares) return Rejection.Band;
        return Rejection.None;
    }

    function _loadQuote(Quote memory quote, uint256 assetId) private view {
        if (quote.assetId == assetId) return;
        Asset memory asset = _assets[assetId];
        uint256 price = _reference(asset);
        quote.assetId = assetId;
        quote.token = ShareToken(asset.token);
        quote.lowest = price * (BPS - asset.bandBps);
        quote.highest = price * (BPS + asset.bandBps);
    }

    function _settleDeposit(Item calldata item, Request memory r, bytes6 terms, ShareToken token)
        private
        returns (Rejection)
    {
        try token.mint(r.recipient, item.out) {}
        catch {
            return Rejection.Payout;
        }
        _end(item.n, Status.Settled, terms);
        _escrowUsdt -= r.amount;
        _feesTotal += item.fee;
        uint128 rest = r.amount - item.taken;
        if (rest != 0) _push(address(usdt), r.owner, rest, item.n);
        _announce(item, rest);
        return Rejection.None;
    }

    function _settleRedeem(Item calldata item, Request memory r, bytes6 terms, ShareToken token)
        private
        returns (Rejection)
    {
        try token.burn(item.taken) {}
        catch {
            return Rejection.Payout;
        }
        _end(item.n, Status.Settled, terms);
        _feesTotal += item.fee;
        _pay(item.n, r.recipient, item.out);
        uint128 rest = r.amount - item.taken;
        if (rest != 0) _push(address(token), r.owner, rest, item.n);
        _announce(item, rest);
        return Rejection.None;
    }

    function _refund(RefundItem calldata item) private returns (Rejection) {
        Request memory r = _requests[item.n];
        Rejection code = _identify(item.n, item.id, r);
        if (code != Rejection.None) return code;
        if (r.status == Status.Refunded) return Rejection.None;
        if (r.status == Status.Settled) return Rejection.Conflict;
        if (r.status != Status.Open) return Rejection.AlreadyEnded;
        _giveBack(item.n, r, Status.Refunded);
        emit Refunded(item.n, item.id, r.amount, item.reason);
        return Rejection.None;
    }

    function _giveBack(uint256 n, Request memory r, Status status) private {
        _end(n, status, 0);
        address token = address(usdt);
        if (r.side == Side.Deposit) _escrowUsdt -= r.amount;
        else token = _assets[r.assetId].token;
        _push(token, r.owner, r.amount, n);
    }

    function _end(uint256 n, Status status, bytes6 terms) private {
        Request storage request_ = _requests[n];
        (request_.terms, request_.status) = (terms, status);
    }

    function _announce(Item calldata item, uint128 rest) private {
        emit Settled(item.n, item.id, item.taken, item.out, item.fee, item.fillHash, rest);
    }
}
