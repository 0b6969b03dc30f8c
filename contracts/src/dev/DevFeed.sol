// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IPriceFeed} from "../IPriceFeed.sol";

/// @title DevFeed
/// @notice A price feed for dev chains with Chainlink's interface, whose owner sets the answer.
/// @dev It answers as a share reference does: prices are set per share and told per token, at the
/// shares per token that were in force when the price was set.
contract DevFeed is IPriceFeed {
    address public immutable owner;
    string public description;
    uint256 public constant version = 1;
    uint8 public decimals;

    uint80 private _round;
    int256 private _answer;
    uint256 private _updatedAt;

    struct Split {
        uint32 numerator;
        uint32 denominator;
        uint64 effectiveAt;
    }

    Split[] private _splits;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    error NotOwner(address caller);
    error NoData(uint80 roundId);

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    constructor(string memory description_, uint8 decimals_, int256 answer_) {
        owner = msg.sender;
        description = description_;
        decimals = decimals_;
        _set(answer_, block.timestamp);
    }

    /// @notice Post `answer_` as of now.
    function setAnswer(int256 answer_) external onlyOwner {
        _set(answer_, block.timestamp);
    }

    /// @notice Post `answer_` as of `updatedAt_`: in the past for a stale feed, in the future for a broken one.
    function setRound(int256 answer_, uint256 updatedAt_) external onlyOwner {
        _set(answer_, updatedAt_);
    }

    function setDecimals(uint8 decimals_) external onlyOwner {
        decimals = decimals_;
    }

    /// @notice From `effectiveAt_` on a token is `numerator_` / `denominator_` shares.
    function setSplit(uint32 numerator_, uint32 denominator_, uint64 effectiveAt_) external onlyOwner {
        _splits.push(Split(numerator_, denominator_, effectiveAt_));
    }

    function sharesPerToken() external view returns (uint32 numerator, uint32 denominator, uint32 epoch) {
        return ratioAt(block.timestamp);
    }

    function nextSplit() external view returns (uint32 numerator, uint32 denominator, uint64 effectiveAt) {
        for (uint256 i = 0; i < _splits.length; i++) {
            Split memory s = _splits[i];
            if (s.effectiveAt > block.timestamp) return (s.numerator, s.denominator, s.effectiveAt);
        }
    }

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        (uint32 numerator, uint32 denominator,) = ratioAt(_updatedAt);
        answer = _answer * int256(uint256(numerator)) / int256(uint256(denominator));
        return (_round, answer, _updatedAt, _updatedAt, _round);
    }

    function ratioAt(uint256 time_)
        public
        view
        returns (uint32 numerator, uint32 denominator, uint32 epoch)
    {
        (numerator, denominator) = (1, 1);
        for (; epoch < _splits.length && _splits[epoch].effectiveAt <= time_; epoch++) {
            (numerator, denominator) = (_splits[epoch].numerator, _splits[epoch].denominator);
        }
    }

    /// @dev Only the latest round is kept.
    function getRoundData(uint80 roundId_)
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        if (roundId_ != _round) revert NoData(roundId_);
        return (_round, _answer, _updatedAt, _updatedAt, _round);
    }

    function _set(int256 answer_, uint256 updatedAt_) private {
        _round += 1;
        _answer = answer_;
        _updatedAt = updatedAt_;
        emit AnswerUpdated(answer_, _round, updatedAt_);
    }
}
