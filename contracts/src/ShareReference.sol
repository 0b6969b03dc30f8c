// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IPriceFeed} from "./IPriceFeed.sol";

/// @title ShareReference
/// @notice What one share token is: how many shares it stands for, and what it is worth. Listed in the
/// vault as the token's feed, in front of a feed that tells the price of a share.
/// @dev Raw token units never change at a split; this ratio does. An answer is converted at the ratio of
/// its own time, so the price of a token does not jump when a split takes effect before the feed speaks
/// of new shares. While the feed is stale, a price posted by a second key may stand in, within bounds.
/// Roles are the vault's; the contract holds nothing and can call nobody.
contract ShareReference is IPriceFeed {
    /// @notice Posts prices that stand in for a stale feed. Never a settler.
    bytes32 public constant REFERENCE_ROLE = keccak256("REFERENCE_ROLE");
    bytes32 private constant CONFIG_ROLE = keccak256("CONFIG_ROLE");
    bytes32 private constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");
    bytes32 private constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    uint256 private constant BPS = 10_000;
    /// @notice One split makes at most this many shares of one, or one of this many.
    uint256 public constant MAX_STEP = 100;
    /// @notice Seconds for which a noted answer is good: from the last of a Friday to the opening after a
    /// holiday on Monday. Longer than that a share may be worth anything, and nobody has looked.
    uint256 public constant NOTED_FOR = 4 days;
    uint256 public constant version = 1;

    /// @dev One word. From `effectiveAt` on a token stands for numerator / denominator shares.
    struct Split {
        uint32 numerator;
        uint32 denominator;
        uint64 effectiveAt;
    }

    /// @dev One word.
    struct Newest {
        uint32 numerator;
        uint32 denominator;
        uint64 effectiveAt;
        uint32 epoch;
    }

    /// @dev heartbeat: seconds after which the feed is stale. maxAge: seconds for which a posted price
    /// counts. minNotice: seconds from a split's scheduling to its effect. maxMoveBps: how far a posted
    /// price may be from the feed's last answer, basis points, both per token.
    struct Bounds {
        uint32 heartbeat;
        uint32 maxAge;
        uint32 minNotice;
        uint16 maxMoveBps;
    }

    /// @notice Tells the price of one share.
    IPriceFeed public immutable primary;
    /// @notice Whose roles count.
    IAccessControl public immutable vault;
    uint8 public immutable decimals;
    uint32 public immutable heartbeat;
    uint32 public immutable maxAge;
    uint32 public immutable minNotice;
    uint16 public immutable maxMoveBps;

    /// @notice The newest live answer of the feed that somebody noted, per token.
    int256 public lastGood;
    /// @notice The posted price, per share of its time.
    int256 public posted;
    uint64 public postedAt;
    /// @notice When that answer was given, Unix seconds, by the feed's own word.
    uint64 public lastGoodAt;

    /// @dev By epoch; the first from the beginning of time, the last may be still to come.
    Split[] private _splits;
    /// @dev The last of them with its epoch, in one word: every settlement reads it.
    Newest private _newest;

    event SplitScheduled(uint32 indexed epoch, uint32 numerator, uint32 denominator, uint64 effectiveAt);
    event SplitCancelled(uint32 indexed epoch, address indexed by);
    event Noted(int256 pricePerToken);
    event Posted(address indexed by, int256 pricePerShare);

    error InvalidBounds();
    error NotAllowed(address caller);
    error UnexpectedEpoch(uint32 epoch);
    error SplitPending(uint64 effectiveAt);
    error NoSplitPending();
    error TooSoon(uint64 effectiveAt, uint256 earliest);
    error StepTooLarge(uint32 numerator, uint32 denominator);
    error NotLive();
    error NoLastGood();
    error MoveTooLarge(int256 pricePerToken, int256 lastGood);
    error NoAnswer();
    error NoHistory(uint80 roundId);

    /// @param numerator_ Shares that a token stands for: 1/1 for a new token, today's ratio when this
    /// takes another reference's place.
    constructor(
        IPriceFeed primary_,
        IAccessControl vault_,
        Bounds memory bounds,
        uint32 numerator_,
        uint32 denominator_
    ) {
        bool some = bounds.heartbeat != 0 && bounds.maxAge != 0 && bounds.maxMoveBps != 0;
        if (!some || bounds.maxMoveBps >= BPS) revert InvalidBounds();
        if (numerator_ == 0 || denominator_ == 0) revert InvalidBounds();
        (primary, vault, decimals) = (primary_, vault_, primary_.decimals());
        (heartbeat, maxAge) = (bounds.heartbeat, bounds.maxAge);
        (minNotice, maxMoveBps) = (bounds.minNotice, bounds.maxMoveBps);
        _append(Split(numerator_, denominator_, 0));
    }

    // ------------------------------------------------------------------ splits

    /// @notice Let a token stand for numerator / denominator shares from `effectiveAt` on: all splits
    /// until then multiplied, so 8/1 for a second split of 2:1 after one of 4:1. One at a time.
    /// @param expectedEpoch The epoch in force, so that the same call twice does nothing twice.
    function scheduleSplit(
        uint32 expectedEpoch,
        uint32 numerator,
        uint32 denominator,
        uint64 effectiveAt
    ) external {
        if (!vault.hasRole(CONFIG_ROLE, msg.sender)) revert NotAllowed(msg.sender);
        Newest memory last = _newest;
        if (last.effectiveAt > block.timestamp) revert SplitPending(last.effectiveAt);
        if (expectedEpoch != last.epoch) revert UnexpectedEpoch(last.epoch);
        uint256 earliest = block.timestamp + minNotice;
        if (effectiveAt <= block.timestamp || effectiveAt < earliest) revert TooSoon(effectiveAt, earliest);
        uint256 after_ = uint256(numerator) * last.denominator;
        uint256 before = uint256(denominator) * last.numerator;
        if (after_ == 0 || before == 0 || after_ > before * MAX_STEP || before > after_ * MAX_STEP) {
            revert StepTooLarge(numerator, denominator);
        }
        _append(Split(numerator, denominator, effectiveAt));
        emit SplitScheduled(last.epoch + 1, numerator, denominator, effectiveAt);
    }

    /// @notice Take back a split that has not taken effect. A guardian may too: it only stops.
    function cancelSplit() external {
        bool allowed = vault.hasRole(CONFIG_ROLE, msg.sender) || vault.hasRole(GUARDIAN_ROLE, msg.sender);
        if (!allowed) revert NotAllowed(msg.sender);
        Newest memory last = _newest;
        if (last.effectiveAt <= block.timestamp) revert NoSplitPending();
        _splits.pop();
        Split memory before = _splits[last.epoch - 1];
        _newest = Newest(before.numerator, before.denominator, before.effectiveAt, last.epoch - 1);
        emit SplitCancelled(last.epoch, msg.sender);
    }

    /// @notice Shares that a token stands for now, as a fraction, and how many splits came before.
    function sharesPerToken()
        external
        view
        returns (uint32 numerator, uint32 denominator, uint32 epoch)
    {
        return ratioAt(block.timestamp);
    }

    /// @notice The split still to come; all zero when there is none.
    function nextSplit()
        external
        view
        returns (uint32 numerator, uint32 denominator, uint64 effectiveAt)
    {
        Newest memory last = _newest;
        if (last.effectiveAt > block.timestamp) return (last.numerator, last.denominator, last.effectiveAt);
    }

    /// @notice `sharesPerToken` as it is at a time, in Unix seconds.
    function ratioAt(uint256 time)
        public
        view
        returns (uint32 numerator, uint32 denominator, uint32 epoch)
    {
        Newest memory last = _newest;
        if (last.effectiveAt <= time) return (last.numerator, last.denominator, last.epoch);
        epoch = last.epoch - 1;
        while (_splits[epoch].effectiveAt > time) epoch--;
        Split memory found = _splits[epoch];
        return (found.numerator, found.denominator, epoch);
    }

    // ------------------------------------------------------------------ prices

    /// @notice Remember the feed's answer as good, for when it gives none at all. Anyone may call, while
    /// it is live. It counts for NOTED_FOR from the time of that answer.
    function note() external {
        (, int256 current, uint256 time, bool live) = _primary();
        if (!live) revert NotLive();
        (lastGood, lastGoodAt) = (current, uint64(time));
        emit Noted(current);
    }

    /// @notice Post the price of one share, in the feed's decimals. It stands in only while the feed is
    /// stale and has said nothing since.
    function post(int256 pricePerShare) external {
        bool allowed =
            vault.hasRole(REFERENCE_ROLE, msg.sender) && !vault.hasRole(SETTLER_ROLE, msg.sender);
        if (!allowed) revert NotAllowed(msg.sender);
        (, int256 current, uint256 time, bool live) = _primary();
        if (live) (lastGood, lastGoodAt) = (current, uint64(time));
        int256 anchor = current > 0 ? current : _noted();
        if (anchor == 0) revert NoLastGood();
        int256 price = _perToken(_bounded(pricePerShare), block.timestamp);
        if (!_near(price, anchor)) revert MoveTooLarge(price, anchor);
        (posted, postedAt) = (pricePerShare, uint64(block.timestamp));
        emit Posted(msg.sender, pricePerShare);
    }

    /// @notice The price of one token: the feed's while it is live, else the posted one if it counts, else
    /// the feed's, stale as it is.
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        bool live;
        (roundId, answer, updatedAt, live) = _primary();
        if (!live) {
            int256 other = _perToken(posted, postedAt);
            if (_counts(other, answer, updatedAt)) (roundId, answer, updatedAt) = (0, other, postedAt);
            else if (updatedAt == 0) revert NoAnswer();
        }
        return (roundId, answer, updatedAt, updatedAt, roundId);
    }

    /// @notice Always reverts: rounds are the feed's to tell, by the share.
    function getRoundData(uint80 roundId_)
        external
        pure
        returns (uint80, int256, uint256, uint256, uint80)
    {
        revert NoHistory(roundId_);
    }

    function description() external view returns (string memory) {
        return primary.description();
    }

    // ------------------------------------------------------------------ within

    function _append(Split memory split) private {
        _splits.push(split);
        uint32 epoch = uint32(_splits.length - 1);
        _newest = Newest(split.numerator, split.denominator, split.effectiveAt, epoch);
    }

    /// @dev A chain of posts leads nowhere: each is held against the feed's own word.
    function _counts(int256 price, int256 current, uint256 time) private view returns (bool) {
        if (postedAt == 0 || block.timestamp - postedAt > maxAge) return false;
        if (current > 0) return postedAt > time && _near(price, current);
        return _near(price, _noted());
    }

    /// @dev 0 when nothing was noted, or too long ago.
    function _noted() private view returns (int256) {
        return block.timestamp - lastGoodAt > NOTED_FOR ? int256(0) : lastGood;
    }

    function _near(int256 price, int256 anchor) private view returns (bool) {
        if (price <= 0) return false;
        uint256 move = uint256(price > anchor ? price - anchor : anchor - price);
        return move * BPS <= uint256(anchor) * maxMoveBps;
    }

    /// @dev Rounded down. `price` is bounded, so no product overflows.
    function _perToken(int256 price, uint256 time) private view returns (int256) {
        (uint32 numerator, uint32 denominator,) = ratioAt(time);
        return (price * int256(uint256(numerator))) / int256(uint256(denominator));
    }

    /// @dev 0 for what is no price.
    function _bounded(int256 price) private pure returns (int256) {
        return price > 0 && price <= type(int128).max ? price : int256(0);
    }

    /// @dev All zero when the call failed or its data is short; the price 0 when it is none.
    function _primary()
        private
        view
        returns (uint80 roundId, int256 price, uint256 time, bool live)
    {
        (bool ok, bytes memory data) =
            address(primary).staticcall(abi.encodeCall(IPriceFeed.latestRoundData, ()));
        if (!ok || data.length < 160) return (0, 0, 0, false);
        uint256 round;
        (round, price,, time,) = abi.decode(data, (uint256, int256, uint256, uint256, uint256));
        roundId = uint80(round);
        price = _perToken(_bounded(price), time);
        live = price > 0 && time <= block.timestamp && block.timestamp - time <= heartbeat;
    }
}
