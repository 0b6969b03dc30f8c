// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title DevUSDT
/// @notice USDT for dev chains, with the habits of the one on mainnet that break naive callers:
/// 6 decimals, no return values, an approval that must pass through zero, a fee that can be
/// switched on, a pause and a blocklist.
/// @dev Stricter than mainnet in one way: a blocked account can also not receive, as with USDC, so
/// that the vault's path for undeliverable money can be exercised.
contract DevUSDT {
    string public constant name = "Tether USD (dev)";
    string public constant symbol = "USDT";
    uint8 public constant decimals = 6;

    address public immutable owner;
    uint256 public totalSupply;
    /// @dev One word per account, so a transfer touches as many words as on mainnet.
    struct Account {
        uint248 balance;
        bool blocked;
    }

    mapping(address => Account) private _accounts;
    mapping(address => mapping(address => uint256)) public allowance;
    bool public paused;
    /// @notice Fee on every transfer, in 1/10,000, kept by the owner and bounded by `maximumFee`.
    uint256 public basisPointsRate;
    uint256 public maximumFee;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    error NotOwner(address caller);
    error Blocked(address account);
    error Paused();
    error InsufficientBalance(address account, uint256 value);
    error ApproveFromNonZero(uint256 current);

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    constructor() {
        owner = msg.sender;
    }

    /// @notice Create `value` units for `to`.
    function mint(address to, uint256 value) external onlyOwner {
        totalSupply += value;
        _accounts[to].balance += uint248(value);
        emit Transfer(address(0), to, value);
    }

    function setBlocked(address account, bool blocked) external onlyOwner {
        _accounts[account].blocked = blocked;
    }

    function balanceOf(address account) external view returns (uint256) {
        return _accounts[account].balance;
    }

    function isBlackListed(address account) external view returns (bool) {
        return _accounts[account].blocked;
    }

    function setPaused(bool paused_) external onlyOwner {
        paused = paused_;
    }

    function setFee(uint256 basisPoints, uint256 maximum) external onlyOwner {
        basisPointsRate = basisPoints;
        maximumFee = maximum;
    }

    // No return values on the next three: a caller that decodes a bool reverts, as on mainnet.

    function transfer(address to, uint256 value) external {
        _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - value;
        _move(from, to, value);
    }

    function approve(address spender, uint256 value) external {
        uint256 current = allowance[msg.sender][spender];
        if (value != 0 && current != 0) revert ApproveFromNonZero(current);
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
    }

    function _move(address from, address to, uint256 value) private {
        if (paused) revert Paused();
        if (_accounts[from].blocked) revert Blocked(from);
        if (_accounts[to].blocked) revert Blocked(to);
        uint256 fee = (value * basisPointsRate) / 10_000;
        if (fee > maximumFee) fee = maximumFee;
        if (value > _accounts[from].balance) revert InsufficientBalance(from, value);
        _accounts[from].balance -= uint248(value);
        _accounts[to].balance += uint248(value - fee);
        emit Transfer(from, to, value - fee);
        if (fee == 0) return;
        _accounts[owner].balance += uint248(fee);
        emit Transfer(from, owner, fee);
    }
}
