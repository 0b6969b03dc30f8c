// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {IPriceFeed} from "../IPriceFeed.sol";

/// @title DevFeed
/// @notice A price feed for dev chains with Chainlink's interface, whose owner sets the answer.
contract DevFeed is IPriceFeed {
    address public immutable owner;
    string public description;
    uint256 public constant version = 1;
    uint8 public decimals;

    uint80 private _round;
    int256 private _answer;
    uint256 private _updatedAt;

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

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        return (_round, _answer, _updatedAt, _updatedAt, _round);
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
