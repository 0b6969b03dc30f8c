// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title IEligibility
/// @notice Who may hold shares. Listed by the vault's configuration; none by default.
interface IEligibility {
    function eligible(address account) external view returns (bool);
}

/// @title Eligibility
/// @notice Asks such a list without trusting it: what fails, or answers nothing, is a no.
library Eligibility {
    /// @dev Bounds what a list can cost a batch.
    uint256 private constant GAS = 50_000;

    function allows(address list, address account) internal view returns (bool) {
        if (list == address(0)) return true;
        (bool ok, bytes memory data) =
            list.staticcall{gas: GAS}(abi.encodeCall(IEligibility.eligible, (account)));
        return ok && data.length == 32 && abi.decode(data, (uint256)) == 1;
    }
}
