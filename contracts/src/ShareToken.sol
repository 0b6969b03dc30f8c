// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Eligibility} from "./Eligibility.sol";

/// @dev What the token asks its vault.
interface IVaultEligibility {
    function eligibility() external view returns (address);
}

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
    /// @notice The vault's list of who may hold shares does not let this account.
    error NotEligible(address account);

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

    /// @dev Between holders both ends are asked for. What goes to or comes from the vault it has
    /// judged itself, and its way back to an owner is never closed.
    function _update(address from, address to, uint256 value) internal override {
        if (from != address(0) && from != vault && to != vault) {
            address list = IVaultEligibility(vault).eligibility();
            if (!Eligibility.allows(list, from)) revert NotEligible(from);
            if (!Eligibility.allows(list, to)) revert NotEligible(to);
        }
        super._update(from, to, value);
    }
}
