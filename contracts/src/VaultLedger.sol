// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Eligibility} from "./Eligibility.sol";
import {VaultConfig} from "./VaultConfig.sol";

/// @title VaultLedger
/// @notice Whose money is what: escrow of open requests, claims that a token refused to deliver,
/// payouts still owed, and the rest, which is free.
/// @dev balance = escrow + claimable + free. Owed is paid from free, first in first out, ahead of
/// any withdrawal. Free is measured, not counted, so money sent here by mistake is never lost to
/// the books and a short balance shows as free = 0.
abstract contract VaultLedger is VaultConfig, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint128 internal _escrowUsdt;
    uint128 internal _claimableUsdt;
    uint128 internal _owedTotal;
    uint128 internal _feesTotal;
    /// @dev A head of 0: nobody is owed, and the tail means nothing.
    uint64 internal _owedHead;
    uint64 internal _owedTail;

    /// @notice What `account` can take with `claim`.
    mapping(address token => mapping(address account => uint256)) public claimable;

    // ------------------------------------------------------------------ money of users

    /// @notice Take what a token once refused to deliver to the caller, to any address. Never paused.
    function claim(address token, address to) external nonReentrant returns (uint256 amount) {
        _checkRecipient(to);
        return _claim(token, msg.sender, to);
    }

    /// @notice Try again to deliver to `account` itself what a token once refused: for accounts that
    /// cannot call `claim`. Anyone may call.
    function deliver(address token, address account) external nonReentrant returns (uint256) {
        return _claim(token, account, account);
    }

    /// @notice Pay up to `max` owed payouts from the free balance, oldest first. Anyone may call.
    /// @return paid USDT units that left the queue.
    function payOwed(uint256 max) external nonReentrant returns (uint256 paid) {
        return _payOwed(max, 0);
    }

    // ------------------------------------------------------------------ money of the desk

    /// @notice Add to the free balance.
    function fund(uint256 amount) external nonReentrant {
        IERC20(usdt).safeTransferFrom(msg.sender, address(this), amount);
        emit Funded(msg.sender, amount);
    }

    /// @notice Take free USDT, leaving what is owed and the floor.
    function withdraw(address to, uint256 amount) external nonReentrant onlyRole(TREASURER_ROLE) {
        _checkRecipient(to);
        uint256 available = withdrawableUsdt();
        if (amount > available) revert WithdrawalTooLarge(amount, available);
        IERC20(usdt).safeTransfer(to, amount);
        emit Withdrawn(to, amount);
    }

    // ------------------------------------------------------------------ reading

    /// @notice USDT that is neither escrow nor claimable; what is owed is paid from it.
    function freeUsdt() external view returns (uint256) {
        return _freeUsdt();
    }

    /// @notice What `withdraw` would allow now.
    function withdrawableUsdt() public view returns (uint256) {
        return _minus(_freeUsdt(), uint256(_owedTotal) + _floor);
    }

    /// @notice What the payout of request `n` still lacks.
    function owedOf(uint256 n) external view returns (uint256) {
        return _book.debts[n].amount;
    }

    function _freeUsdt() internal view returns (uint256) {
        return _minus(usdt.balanceOf(address(this)), uint256(_escrowUsdt) + _claimableUsdt);
    }

    function _minus(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    function _checkRecipient(address to) internal view {
        if (to == address(0) || to == address(this)) revert InvalidRecipient(to);
    }

    // ------------------------------------------------------------------ moving

    function _claim(address token, address account, address to) private returns (uint256 amount) {
        amount = claimable[token][account];
        if (amount == 0) revert NothingToClaim(token, account);
        // Shares only: money goes to whom it belongs, whoever may hold shares.
        if (token != address(usdt) && !Eligibility.allows(eligibility, to)) revert NotEligible(to);
        claimable[token][account] = 0;
        if (token == address(usdt)) _claimableUsdt -= uint128(amount);
        IERC20(token).safeTransfer(to, amount);
        emit Claimed(token, account, to, amount);
    }

    /// @dev Pay `amount` for request `n` from what is free beyond the queue; the rest joins it.
    function _pay(uint256 n, address to, uint128 amount) internal {
        uint256 available = _minus(_freeUsdt(), _owedTotal);
        uint128 paid = available < amount ? uint128(available) : amount;
        if (paid != 0) _push(address(usdt), to, paid, n);
        if (paid != amount) _owe(n, to, amount - paid);
    }

    /// @dev Deliver, or let the account claim: one unwilling token must not hold up a batch.
    function _push(address token, address to, uint256 amount, uint256 n) internal {
        if (!IERC20(token).trySafeTransfer(to, amount)) _credit(token, to, amount, n);
    }

    /// @dev The vault holds `amount` for the account from now on.
    function _credit(address token, address to, uint256 amount, uint256 n) internal {
        claimable[token][to] += amount;
        if (token == address(usdt)) _claimableUsdt += uint128(amount);
        emit ClaimCredited(token, to, amount, n);
    }

    function _owe(uint256 n, address recipient, uint128 amount) private {
        _book.debts[n] = Debt(recipient, 0, amount);
        if (_owedHead == 0) _owedHead = uint64(n);
        else _book.debts[_owedTail].next = uint64(n);
        _owedTail = uint64(n);
        _owedTotal += amount;
        emit Owed(n, recipient, amount);
    }

    /// @dev Stops where the free balance or the gas does: never reverts for want of either.
    function _payOwed(uint256 max, uint256 gasEach) internal returns (uint256 paid) {
        for (uint256 i; i < max && _owedHead != 0 && gasleft() >= gasEach; ++i) {
            uint128 part = _payHead(_freeUsdt());
            if (part == 0) break;
            paid += part;
        }
    }

    function _payHead(uint256 free) private returns (uint128 part) {
        uint256 n = _owedHead;
        Debt memory debt = _book.debts[n];
        part = free < debt.amount ? uint128(free) : debt.amount;
        if (part == 0) return 0;
        _owedTotal -= part;
        if (part == debt.amount) {
            _owedHead = debt.next;
            delete _book.debts[n];
        } else {
            _book.debts[n].amount = debt.amount - part;
        }
        _push(address(usdt), debt.recipient, part, n);
        emit OwedPaid(n, debt.recipient, part, debt.amount - part);
    }
}
