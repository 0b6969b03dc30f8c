// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {VaultTypes} from "./VaultTypes.sol";

/// @title Approvals
/// @notice EIP-712 signatures that the vault accepts: M-of-N approvals, and an owner's cancel.
/// @dev A library linked at deployment, stateless and without a key: the vault's code size allows no
/// more. It runs as the vault (delegatecall), so the domain is the vault's own. An approval binds
/// the request (n and id, which hashes chain, vault and all terms), every term of the item, the
/// epoch of the signers and a deadline. Using one twice is impossible since a request ends once.
library Approvals {
    /// @dev An account may approve while `epochOf` it is the epoch; changing the signers raises it, so
    /// every signature given before is void.
    struct Signers {
        uint64 epoch;
        uint8 threshold;
        mapping(address signer => uint64) epochOf;
        address[] signers;
    }

    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME = keccak256("BroncoVault");
    bytes32 private constant VERSION = keccak256("1");
    bytes32 private constant SETTLEMENT = keccak256(
        "Settlement(uint256 n,bytes32 id,uint128 taken,uint128 out,uint128 fee,bytes32 fillHash,uint64 epoch,uint64 deadline)"
    );
    bytes32 private constant REFUND =
        keccak256("Refund(uint256 n,bytes32 id,uint8 reason,uint64 epoch,uint64 deadline)");
    bytes32 private constant CANCEL = keccak256("Cancel(uint256 n,bytes32 id,uint64 deadline)");
    uint256 private constant MOST_SIGNERS = 32;

    /// @notice Replace the signers. None at all, with a threshold of 0, switches approvals off.
    function configure(Signers storage self, address[] calldata signers, uint8 threshold) external {
        bool none = signers.length == 0 && threshold == 0;
        if (signers.length > MOST_SIGNERS) revert VaultTypes.InvalidConfig("too many approvers");
        if (!none && (threshold == 0 || threshold > signers.length)) {
            revert VaultTypes.InvalidConfig("threshold");
        }
        uint64 epoch = ++self.epoch;
        self.threshold = threshold;
        self.signers = signers;
        address last;
        for (uint256 i; i < signers.length; ++i) {
            if (signers[i] <= last) revert VaultTypes.SignersNotAscending(signers[i]);
            last = signers[i];
            self.epochOf[last] = epoch;
        }
        emit VaultTypes.ApproversConfigured(epoch, threshold, signers);
    }

    /// @notice Revert unless enough approvers signed exactly this settlement.
    function checkSettlement(
        Signers storage self,
        VaultTypes.Item calldata item,
        uint64 deadline,
        VaultTypes.Approval[] calldata approvals
    ) external {
        bytes32 terms = keccak256(
            abi.encode(
                SETTLEMENT,
                item.n,
                item.id,
                item.taken,
                item.out,
                item.fee,
                item.fillHash,
                self.epoch,
                deadline
            )
        );
        _check(self, item.n, item.id, terms, deadline, approvals);
    }

    /// @notice Revert unless enough approvers signed exactly this refund.
    function checkRefund(
        Signers storage self,
        VaultTypes.RefundItem calldata item,
        uint64 deadline,
        VaultTypes.Approval[] calldata approvals
    ) external {
        bytes32 terms =
            keccak256(abi.encode(REFUND, item.n, item.id, item.reason, self.epoch, deadline));
        _check(self, item.n, item.id, terms, deadline, approvals);
    }

    /// @notice Revert unless `owner` signed that request `n` is to be cancelled.
    function checkCancel(
        address owner,
        uint256 n,
        bytes32 id,
        uint64 deadline,
        bytes calldata signature
    ) external view {
        if (block.timestamp > deadline) revert VaultTypes.SignatureExpired(deadline);
        bytes32 digest = _digest(keccak256(abi.encode(CANCEL, n, id, deadline)));
        _checkSignature(owner, digest, signature);
    }

    function _check(
        Signers storage self,
        uint256 n,
        bytes32 id,
        bytes32 terms,
        uint64 deadline,
        VaultTypes.Approval[] calldata approvals
    ) private {
        (uint64 epoch, uint256 threshold) = (self.epoch, self.threshold);
        if (block.timestamp > deadline) revert VaultTypes.SignatureExpired(deadline);
        if (threshold == 0 || approvals.length < threshold) {
            revert VaultTypes.TooFewApprovals(approvals.length, threshold);
        }
        bytes32 digest = _digest(terms);
        address last;
        for (uint256 i; i < approvals.length; ++i) {
            address signer = approvals[i].signer;
            if (signer <= last) revert VaultTypes.SignersNotAscending(signer);
            if (self.epochOf[signer] != epoch) revert VaultTypes.NotAnApprover(signer);
            _checkSignature(signer, digest, approvals[i].signature);
            last = signer;
        }
        emit VaultTypes.ApprovalsUsed(n, id, digest, epoch);
    }

    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) {
            revert VaultTypes.InvalidSignature(signer);
        }
    }

    function _digest(bytes32 terms) private view returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN, NAME, VERSION, block.chainid, address(this)));
        return MessageHashUtils.toTypedDataHash(domain, terms);
    }
}
