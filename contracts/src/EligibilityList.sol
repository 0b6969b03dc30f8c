// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IEligibility} from "./Eligibility.sol";

/// @title EligibilityList
/// @notice An allow list or a block list, kept by its owner.
contract EligibilityList is Ownable, IEligibility {
    /// @notice True: only who is listed may hold shares. False: who is listed may not.
    bool public immutable allowing;
    mapping(address account => bool) public listed;

    event Listed(address indexed account, bool listed);

    constructor(address owner_, bool allowing_) Ownable(owner_) {
        allowing = allowing_;
    }

    /// @notice Put accounts on the list, or take them off.
    function list(address[] calldata accounts, bool on) external onlyOwner {
        for (uint256 i; i < accounts.length; ++i) {
            listed[accounts[i]] = on;
            emit Listed(accounts[i], on);
        }
    }

    /// @inheritdoc IEligibility
    function eligible(address account) external view returns (bool) {
        return listed[account] == allowing;
    }
}
