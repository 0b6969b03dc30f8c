// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title VaultTypes
/// @notice The vocabulary of BroncoVault: what is stored, what goes in, what is said.
/// @dev Units. USDT amounts: the token's own units. Share amounts: 1e18 units per share token, however
/// many shares that stands for. Prices and limits: USDT units per token. Times: Unix seconds. Rates: basis points (1/10,000).
interface VaultTypes {
    enum Side {
        Deposit,
        Redeem
    }

    enum Status {
        None,
        Open,
        Settled,
        Refunded,
        Reclaimed
    }

    /// @notice Why an item of a batch was refused. The others in the batch go on.
    enum Rejection {
        None,
        UnknownRequest, // no request has this number (yet, or on this fork)
        IdMismatch, // the number now carries other terms: the chain was reorganised
        AlreadyEnded, // refunded or reclaimed
        Conflict, // settled with other terms than these
        Amount, // zero, or more than is escrowed
        Fee, // above the rate frozen into the request
        Limit, // worse for the user than the request's limit
        StaleReference, // the feed gives no usable price: try again when it does
        Band, // outside the band around the reference
        Payout, // the share token refused to mint or burn
        Cap, // the window's cap is used up: again later, or with approvals
        ReturnLimit // more would be given back than a settler may alone: needs approvals
    }

    /// @dev Three words; 8 bits of the second are left for the split epoch. `terms` tells a repeated
    /// settlement from a contradicting one. Neither moves money, so 48 bits of a hash are plenty.
    struct Request {
        address owner;
        uint40 deadline;
        uint40 createdBlock;
        uint16 feeBps;
        // ---
        address recipient;
        uint16 assetId;
        Side side;
        Status status;
        bool cancelRequested;
        bytes6 terms; // of the settlement: hash of (taken, out, fee, fillHash)
        // ---
        uint128 amount;
        uint128 limitPrice;
    }

    /// @notice A request as readers see it. All zero when there is none.
    struct RequestView {
        uint256 n;
        bytes32 id;
        address owner;
        address recipient;
        Side side;
        address asset;
        uint128 amount;
        uint128 limitPrice;
        uint64 deadline;
        uint64 reclaimAt;
        uint16 feeBps;
        uint64 createdBlock;
        bool cancelRequested;
        Status status;
        bytes6 terms;
        uint128 owed;
    }

    /// @notice One fill to settle.
    /// @dev Deposit: `taken` USDT all-in of the escrow, `out` share units to mint.
    /// Redeem: `taken` share units to burn, `out` USDT to pay, net of `fee`. `fee` is USDT in both.
    struct Item {
        uint256 n;
        bytes32 id;
        uint128 taken;
        uint128 out;
        uint128 fee;
        bytes32 fillHash;
    }

    /// @notice One request to give back whole.
    struct RefundItem {
        uint256 n;
        bytes32 id;
        uint8 reason;
    }

    /// @notice One signature under an EIP-712 digest. Contracts sign by ERC-1271.
    struct Approval {
        address signer;
        bytes signature;
    }

    /// @notice What settlers may do alone within a window of `window` seconds, USDT units: the value
    /// of the shares minted, at the reference price, and the USDT paid out.
    /// @dev One word. What was used drains away at cap / window a second.
    struct Caps {
        uint96 minted;
        uint96 paid;
        uint32 window;
    }

    /// @dev One word. As it was at `time`; less by now.
    struct Usage {
        uint96 minted;
        uint96 paid;
        uint64 time;
    }

    /// @dev Two words.
    struct Asset {
        address token;
        uint32 heartbeat;
        uint16 bandBps;
        uint16 gapBps;
        uint8 feedDecimals;
        bool open;
        // ---
        address feed;
        uint96 minRedeem;
    }

    /// @dev One entry of the queue of owed payouts, keyed by request number.
    struct Debt {
        address recipient;
        uint64 next;
        // ---
        uint128 amount;
    }

    /// @notice What the vault holds and owes, in one read.
    struct Books {
        uint256 count;
        uint256 balance;
        uint256 escrow;
        uint256 claimable;
        uint256 free;
        uint256 owed;
        uint256 floor;
        uint256 fees;
        uint256 minDeposit;
        uint16 feeBps;
        bool paused;
    }

    event DepositRequested(
        uint256 indexed n,
        bytes32 indexed id,
        address indexed owner,
        address recipient,
        address asset,
        uint128 amount,
        uint128 limitPrice,
        uint64 deadline,
        uint16 feeBps
    );
    event RedeemRequested(
        uint256 indexed n,
        bytes32 indexed id,
        address indexed owner,
        address recipient,
        address asset,
        uint128 amount,
        uint128 limitPrice,
        uint64 deadline,
        uint16 feeBps
    );
    event CancelRequested(uint256 indexed n, bytes32 indexed id, address indexed owner);
    /// @param returned What went back to the owner: USDT of a deposit, share units of a redeem.
    event Settled(
        uint256 indexed n,
        bytes32 indexed id,
        uint128 taken,
        uint128 out,
        uint128 fee,
        bytes32 fillHash,
        uint128 returned
    );
    event Refunded(uint256 indexed n, bytes32 indexed id, uint128 amount, uint8 reason);
    event Reclaimed(uint256 indexed n, bytes32 indexed id, uint128 amount);
    event SettlementRejected(uint256 indexed n, bytes32 indexed id, Rejection code);
    event Owed(uint256 indexed n, address indexed recipient, uint128 amount);
    event OwedPaid(uint256 indexed n, address indexed recipient, uint128 amount, uint128 remaining);
    event ClaimCredited(address indexed token, address indexed account, uint256 amount, uint256 n);
    event Claimed(address indexed token, address indexed account, address to, uint256 amount);
    event Funded(address indexed from, uint256 amount);
    event Withdrawn(address indexed to, uint256 amount);
    event AssetConfigured(
        address indexed token,
        address feed,
        uint8 feedDecimals,
        uint32 heartbeat,
        uint16 bandBps,
        uint16 gapBps,
        bool open,
        uint96 minRedeem
    );
    event TermsConfigured(uint128 minDeposit, uint16 feeBps, uint128 floor);
    event SettlerSuspended(address indexed settler, address indexed guardian);
    event CapsConfigured(uint96 minted, uint96 paid, uint32 window, uint128 returnLimit);
    event EligibilityConfigured(address list);
    event ApproversConfigured(uint64 indexed epoch, uint8 threshold, address[] signers);
    /// @notice An item went through on M-of-N approvals: band, caps and return limit were not asked.
    event ApprovalsUsed(uint256 indexed n, bytes32 indexed id, bytes32 digest, uint64 epoch);

    error UnknownAsset(address asset);
    error AssetClosed(address asset);
    error AmountTooSmall(uint256 amount, uint256 minimum);
    error AmountTooLarge(uint256 amount);
    error DeadlineOutOfBounds(uint256 deadline, uint256 earliest, uint256 latest);
    error LimitOutOfReach(uint256 limitPrice, uint256 lowest, uint256 highest);
    error InvalidRecipient(address recipient);
    error UnknownRequest(uint256 n);
    error NotRequestOwner(uint256 n, address caller);
    error RequestNotOpen(uint256 n, Status status);
    error CancelAlreadyRequested(uint256 n);
    error TooEarly(uint256 n, uint256 reclaimAt);
    error NothingToClaim(address token, address account);
    error WithdrawalTooLarge(uint256 amount, uint256 available);
    error BatchGasTooLow(uint256 index, uint256 gasNeeded);
    error InvalidConfig(string what);
    error NotEligible(address account);
    error ItemRefused(uint256 n, Rejection code);
    error SignatureExpired(uint256 deadline);
    error InvalidSignature(address signer);
    error NotAnApprover(address signer);
    error SignersNotAscending(address signer);
    error TooFewApprovals(uint256 given, uint256 needed);
}
