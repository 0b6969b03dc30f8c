// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title IPriceFeed
/// @notice Chainlink's AggregatorV3Interface, so that a mainnet feed can be listed unchanged.
/// @dev https://docs.chain.link/data-feeds/api-reference#aggregatorv3interface
interface IPriceFeed {
    function decimals() external view returns (uint8);

    function description() external view returns (string memory);

    function version() external view returns (uint256);

    function getRoundData(uint80 roundId_)
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);

    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}
