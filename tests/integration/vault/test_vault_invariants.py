"""Random call sequences: after every call the chain holds exactly what the model says."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bronco.devchain import DevChain
from clients.rpc import Rpc
from tests.integration.vault.chains import OnAnvil, OnRevm
from tests.integration.vault.desk import Desk
from tests.integration.vault.play import Run, sequence
from tests.integration.vault.revm import Revm

SEEDS = st.integers(0, 2**32)
CALLS = 30
AT_SCALE = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
async def begun() -> Run:
    """A play in process at its beginning: three holders, approvals given."""
    run = Run(OnRevm(Revm()))
    await run.begin()
    return run


@pytest.fixture(scope="module")
def revm(begun: Run) -> Revm:
    assert isinstance(begun.chain, OnRevm)
    return begun.chain.revm


async def play(revm: Revm, begun: Run, seed: int) -> None:
    """One sequence from that beginning."""
    snapshot = revm.snapshot()
    try:
        run = copy.copy(begun)
        run.model = copy.deepcopy(begun.model)
        for kind, args in sequence(seed, CALLS):
            await run.step(kind, args)
        chain = OnRevm(revm)
        accounts = run.accounts()
        assert await chain.balances(accounts) == await chain.told_balances(accounts)
    finally:
        revm.restore(snapshot)


@settings(AT_SCALE, max_examples=2_000)
@given(seed=SEEDS)
async def test_vault__any_sequence_of_calls__holds_what_the_model_says(
    revm: Revm, begun: Run, seed: int
) -> None:
    await play(revm, begun, seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(AT_SCALE, max_examples=20_000)
@given(seed=SEEDS)
async def test_vault__ten_times_as_many_sequences__hold_what_the_model_says(
    revm: Revm, begun: Run, seed: int
) -> None:
    await play(revm, begun, seed)


@settings(AT_SCALE, max_examples=3)
@given(seed=SEEDS)
async def test_vault__sequences_on_anvil__hold_what_the_model_says(
    vault_rpc: Rpc, vault_chain: DevChain, seed: int
) -> None:
    """The same on another chain's machinery, in case revm in process is lenient with us."""
    snapshot = await vault_rpc.call("evm_snapshot")
    try:
        run = Run(OnAnvil(Desk(vault_rpc, vault_chain)))
        await run.begin()
        for kind, args in sequence(seed, CALLS):
            await run.step(kind, args)
    finally:
        await vault_rpc.call("evm_revert", snapshot)
