// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title ShareToken
/// @notice One share at the broker is 1e18 units here. Raw units never rebase; a split changes the
/// vault's conversion, never a balance.
/// @dev The vault is fixed for ever: nobody else can mint, and even the vault can burn only what it
/// holds itself, so no key in the system can take tokens out of a holder's account.
contract ShareToken is ERC20, ERC20Permit {
    /// @notice The only minter and burner.
    address public immutable vault;

    /// @notice The caller is not the vault.
    error NotVault(address caller);

    constructor(string memory name_, string memory symbol_, address vault_)
        ERC20(name_, symbol_)
        ERC20Permit(name_)
    {
        vault = vault_;
    }

    modifier onlyVault() {
        if (msg.sender != vault) revert NotVault(msg.sender);
        _;
    }

    /// @notice Create `amount` units for `to`.
    function mint(address to, uint256 amount) external onlyVault {
        _mint(to, amount);
    }

    /// @notice Destroy `amount` units of the vault's own balance (escrowed by a redeem).
    function burn(uint256 amount) external onlyVault {
        _burn(vault, amount);
    }
}
