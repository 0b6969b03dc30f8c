// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {Approvals} from "./Approvals.sol";
import {VaultTypes} from "./VaultTypes.sol";

/// @title VaultViews
/// @notice How requests and approvers are read, and the id of a request.
/// @dev A library linked at deployment, stateless; `idOf` is compiled into the vault itself.
library VaultViews {
    /// @dev Where the vault keeps what a reader sees.
    struct Book {
        mapping(uint256 n => VaultTypes.Request) requests;
        mapping(uint256 assetId => VaultTypes.Asset) assets;
        mapping(uint256 n => VaultTypes.Debt) debts;
    }

    /// @notice Requests by number, in the order asked; all zero where there is none.
    function byNumber(Book storage book, uint256[] memory ns, uint64 settleGrace)
        external
        view
        returns (VaultTypes.RequestView[] memory found)
    {
        found = new VaultTypes.RequestView[](ns.length);
        for (uint256 i; i < ns.length; ++i) {
            found[i] = _view(book, ns[i], settleGrace);
        }
    }

    /// @notice Requests `from` to `to`, both included.
    function range(Book storage book, uint256 from, uint256 to, uint64 settleGrace)
        external
        view
        returns (VaultTypes.RequestView[] memory found)
    {
        if (from == 0 || from > to) return found;
        found = new VaultTypes.RequestView[](to - from + 1);
        for (uint256 i; i < found.length; ++i) {
            found[i] = _view(book, from + i, settleGrace);
        }
    }

    /// @notice Request `n`; all zero when there is none.
    function one(Book storage book, uint256 n, uint64 settleGrace)
        external
        view
        returns (VaultTypes.RequestView memory)
    {
        return _view(book, n, settleGrace);
    }

    /// @notice The approvers: their epoch, how many must sign, and who they are, ascending.
    function approvers(Approvals.Signers storage self)
        external
        view
        returns (uint64 epoch, uint8 threshold, address[] memory signers)
    {
        return (self.epoch, self.threshold, self.signers);
    }

    /// @dev The id of request `n` with these terms.
    function idOf(Book storage book, uint256 n, VaultTypes.Request memory r)
        internal
        view
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                block.chainid,
                address(this),
                n,
                r.owner,
                r.recipient,
                r.side,
                book.assets[r.assetId].token,
                r.amount,
                r.limitPrice,
                uint256(r.deadline),
                r.feeBps
            )
        );
    }

    function _view(Book storage book, uint256 n, uint64 settleGrace)
        private
        view
        returns (VaultTypes.RequestView memory v)
    {
        VaultTypes.Request memory r = book.requests[n];
        if (r.status == VaultTypes.Status.None) return v;
        (v.n, v.id) = (n, idOf(book, n, r));
        (v.asset, v.owed) = (book.assets[r.assetId].token, book.debts[n].amount);
        v.reclaimAt = r.deadline + settleGrace;
        _copy(r, v);
    }

    function _copy(VaultTypes.Request memory r, VaultTypes.RequestView memory v) private pure {
        (v.owner, v.recipient, v.side) = (r.owner, r.recipient, r.side);
        (v.amount, v.limitPrice, v.deadline) = (r.amount, r.limitPrice, r.deadline);
        (v.feeBps, v.createdBlock, v.cancelRequested) = (r.feeBps, r.createdBlock, r.cancelRequested);
        (v.status, v.terms) = (r.status, r.terms);
    }
}
