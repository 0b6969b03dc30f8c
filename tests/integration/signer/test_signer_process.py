"""The signer as its operator meets it: it starts, says who it is, is killed, and ends clean."""

import asyncio
import json
import os
import re
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from bronco.processes import free_port
from bronco.sections import MetricsSettings
from bronco.settings import load_section
from bronco.signing import KeySettings, LimitSettings, SignerSettings, TargetSettings
from clients.keys import plain_key
from models.errors import ConfigurationError, SigningRefused, SourceUnavailable
from tests.integration.signer.rig import PASSWORD, TOKEN, SignerRig, question, running
from tests.integration.signer.tls import authority
from tests.signing import ADDRESS, KEY, OTHER, POLICY, USDT, VAULT_ADDRESS, batch, sold, tx
from workers.signer import serve


@pytest_asyncio.fixture(scope="module")
async def signer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SignerRig]:
    port = str(free_port())
    async with running(tmp_path_factory.mktemp("signer"), BRONCO_METRICS_PORT=port) as rig:
        yield rig


async def test_signer__asked_by_a_worker__signs_what_the_key_would(signer: SignerRig) -> None:
    remote = signer.remote()
    assert await remote.sign(tx()) == await plain_key(KEY, 31337).sign(tx())
    await remote.matches(31337, VAULT_ADDRESS.lower())
    await remote.close()


async def test_signer__many_at_once__answers_each(signer: SignerRig) -> None:
    remote = signer.remote()
    asked = [tx(nonce=nonce) for nonce in range(100, 110)]
    signed = await asyncio.gather(*(remote.sign(one) for one in asked))
    assert len({one.tx_hash for one in signed}) == 10
    await remote.close()


async def test_signer__refuses__as_an_error_with_its_reason(signer: SignerRig) -> None:
    remote = signer.remote()
    with pytest.raises(SigningRefused, match="is not the vault"):
        await remote.sign(tx(to=OTHER))
    await remote.close()


@pytest.mark.parametrize("target", [(1, VAULT_ADDRESS), (31337, OTHER)])
async def test_signer__is_for_something_else__is_told_to_whoever_checks(
    signer: SignerRig, target: tuple[int, str]
) -> None:
    remote = signer.remote()
    with pytest.raises(ConfigurationError, match="not for ours"):
        await remote.matches(*target)
    await remote.close()


async def test_signer__each_signature__is_a_line_in_its_log(signer: SignerRig) -> None:
    answer = await signer.ask(body=question(tx(nonce=77)))
    (line,) = [one for one in signer.log if one.get("nonce") == 77]
    assert line["event"] == "signed"
    assert line["tx_hash"] == answer.json()["tx_hash"]
    assert (line["items"], line["usdt_units"]) == (3, str(950 * USDT))
    assert re.fullmatch("[0-9a-f]{12}", line["batch"])


async def test_signer__at_work__shows_its_secrets_nowhere(signer: SignerRig) -> None:
    await signer.ask(body=question())
    await signer.ask(body=question(to=OTHER))
    await signer.ask(body=question(), headers={"Authorization": "Bearer " + TOKEN[::-1]})
    process = psutil.Process(signer.process.pid)
    url = f"http://127.0.0.1:{signer.settings['BRONCO_METRICS_PORT']}/metrics"
    async with httpx.AsyncClient() as http:
        metrics = (await http.get(url)).text
    said = [
        *process.cmdline(),
        metrics,
        signer.process.program.log.read_text(),
        *(path.read_bytes().decode("latin-1") for path in (signer.home / "state").iterdir()),
        *("".join(pair) for pair in signer.settings.items()),
    ]
    for secret in (KEY[2:], PASSWORD, TOKEN):
        assert not [text for text in said if secret.lower() in text.lower()]
    assert 'bronco_signatures_total{outcome="signed"}' in metrics
    assert 'bronco_signatures_total{outcome="refused"}' in metrics


async def test_signer__its_files__are_its_users_alone(signer: SignerRig) -> None:
    mode = signer.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    for path in (signer.home / "state").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_signer__its_memory__is_for_no_other_program(signer: SignerRig) -> None:
    """The kernel gives /proc of such a process to root, so nobody of our user can look into it."""
    limits = Path(f"/proc/{signer.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0", limits)
    if os.geteuid() != 0:
        assert Path(f"/proc/{signer.process.pid}/mem").stat().st_uid == 0


async def test_signer__asked_by_a_user_it_does_not_know__does_not_answer(tmp_path: Path) -> None:
    """With the right token: the kernel says who asks, and it is not the one user who may."""
    async with running(tmp_path, BRONCO_KEY_PEER_UIDS="65534") as rig:
        answer = await rig.ask(body=question())
        assert answer.status_code == 401
        assert f"user {os.geteuid()} may not ask" in answer.text
        assert stat.S_IMODE(rig.socket.stat().st_mode) == 0o660


async def test_signer__over_tls__is_asked_with_the_token_and_its_certificate(
    tmp_path: Path,
) -> None:
    own, other = (authority(tmp_path / name) for name in ("own", "other"))
    url = f"https://127.0.0.1:{free_port()}"
    tls = {"BRONCO_KEY_TLS_CERT_FILE": str(own.cert), "BRONCO_KEY_TLS_KEY_FILE": str(own.key)}
    async with running(tmp_path, BRONCO_SIGNER_URL=url, **tls) as rig:
        for changes, says in (
            ({"ca_file": own.cert}, ""),
            ({"ca_file": other.cert}, "certificate verify failed"),
            ({}, "certificate verify failed"),
            ({"ca_file": own.cert, "token": "x" * 40}, "wrong one"),
        ):
            remote = rig.remote(patience_seconds=0, **changes)
            if says:
                with pytest.raises(SourceUnavailable, match=says):
                    await remote.sign(tx())
            else:
                assert await remote.sign(tx())
            await remote.close()


async def test_signer__killed_and_started_again__remembers_its_hour(tmp_path: Path) -> None:
    rig = SignerRig(tmp_path)
    await rig.process.start()
    for nonce, first in ((7, 1), (8, 3)):
        items = [sold(n, POLICY.max_usdt // 2) for n in (first, first + 1)]
        answer = await rig.ask(body=question(tx(nonce=nonce, data=batch(*items))))
        assert answer.status_code == 200, answer.text
    await rig.process.kill()
    assert rig.socket.exists()  # what a killed one leaves does not stop the next
    await rig.process.start()
    answer = await rig.ask(body=question(tx(nonce=9, data=batch(sold(5, 1)))))
    assert (answer.status_code, "the hour" in answer.text) == (403, True)
    found = await rig.status()
    assert (found["signed"], found["refused"]) == (0, 1)
    assert found["used"]["usdt"] == found["allowed"]["usdt"] == str(20_000 * USDT)
    await rig.process.stop()


async def test_signer__down_for_a_moment__is_waited_for(tmp_path: Path) -> None:
    rig = SignerRig(tmp_path)
    remote = rig.remote(patience_seconds=60)
    asked = asyncio.create_task(remote.sign(tx()))
    await rig.process.start()
    assert (await asked).raw.startswith("0x02")
    await rig.process.kill()
    with pytest.raises(SourceUnavailable, match="signer could not be asked"):
        await rig.remote(patience_seconds=0).sign(tx())
    await remote.close()


async def test_signer__frozen__is_given_up_in_time(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.process.freeze()
        remote = rig.remote(timeout_seconds=0.3)
        with pytest.raises(SourceUnavailable, match=r"no answer in 0\.3 s"):
            await remote.sign(tx())
        rig.process.thaw()
        await remote.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signer__told_to_end__ends_clean(tmp_path: Path, number: signal.Signals) -> None:
    async with running(tmp_path) as rig:
        rig.process.send(number)
        assert await rig.process.wait() == 0
        assert not rig.socket.exists()
        assert [line["event"] for line in rig.log] == ["signer_ready", "signer_stopping"]
        assert "Traceback" not in rig.process.program.log.read_text()


async def test_signer__a_second_one__is_refused_and_leaves_the_first_alone(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as first:
        for change in ({}, {"BRONCO_SIGNER_URL": f"unix:{tmp_path / 'other.sock'}"}):
            code, error = await start(first, **change)
            assert code == 1
            assert "another signer" in error
        assert (await first.ask(body=question())).status_code == 200


async def test_rotation__old_and_new_key_side_by_side__each_signs_for_its_own(
    tmp_path: Path,
) -> None:
    """As in the runbook: the old signer serves until its batches are mined."""
    new_key = "0x" + "42" * 32
    new = plain_key(new_key, 31337)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    given = {"BRONCO_SIGNER_ADDRESS": new.address, "BRONCO_KEY_BACKEND": "PLAIN"}
    async with (
        running(tmp_path / "old") as old,
        running(tmp_path / "new", **given, BRONCO_KEY_DEV_KEY=new_key) as fresh,
    ):
        outgoing, incoming = old.remote(), fresh.remote(address=new.address)
        assert await outgoing.sign(tx(max_fee=50 * 10**9))  # a bump of what is in flight
        assert await incoming.sign(tx(nonce=0)) == await new.sign(tx(nonce=0))
        # Workers that mean the other key take nothing from it.
        mistaken = fresh.remote(address=ADDRESS)
        with pytest.raises(SourceUnavailable, match=f"signed by {new.address}"):
            await mistaken.sign(tx())
        for remote in (outgoing, incoming, mistaken):
            await remote.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"BRONCO_SIGNER_ADDRESS": ""}, "BRONCO_SIGNER_ADDRESS: is missing"),
        ({"BRONCO_SIGNER_ADDRESS": OTHER}, "but the key is that of"),
        ({"BRONCO_KEY_KEYSTORE_FILE": ""}, "bronco signer --help"),
        ({"BRONCO_KEY_KEYSTORE_FILE": "/absent.json"}, "cannot be read"),
        ({"BRONCO_SIGNER_TOKEN_FILE": "/absent"}, "cannot be read"),
        ({"BRONCO_KEY_BACKEND": "PLAIN"}, "not 32 bytes of hex"),
        (
            {"BRONCO_KEY_BACKEND": "PLAIN", "BRONCO_KEY_DEV_KEY": KEY, "BRONCO_CHAIN_ID": "1"},
            "plain keys are for dev chains only",
        ),
        ({"BRONCO_KEY_BACKEND": "VAULT"}, "BRONCO_KEY_VAULT_URL: is missing"),
        ({"BRONCO_KEY_BACKEND": "WEB3SIGNER"}, "BRONCO_KEY_WEB3SIGNER_URL: is missing"),
        ({"BRONCO_SIGNER_URL": "https://127.0.0.1:1"}, "BRONCO_KEY_TLS_CERT_FILE: is missing"),
        ({"BRONCO_SIGNER_URL": "unix:/proc/none/signer.sock"}, "cannot be listened on"),
        ({"BRONCO_SIGNER_URL": "unix:key.json"}, "is there and is no socket"),
    ],
    ids=str,
)
async def test_signer__setting_missing_or_wrong__is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], says: str
) -> None:
    given = SignerRig(tmp_path).settings | changes
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=re.escape(says)) as wrong:
        await serve(
            load_section(TargetSettings, given, section="chain"),
            load_section(SignerSettings, given),
            load_section(KeySettings, given),
            load_section(LimitSettings, given),
            load_section(MetricsSettings, given),
            tmp_path / "state",
        )
    assert KEY[2:] not in str(wrong.value)


async def test_signer__cannot_start__says_so_in_one_line(tmp_path: Path) -> None:
    code, error = await start(SignerRig(tmp_path), BRONCO_CHAIN_VAULT="")
    assert code == 1
    assert error.startswith("bronco: setting BRONCO_CHAIN_VAULT: is missing")
    assert len(error.splitlines()) == 1


async def test_signer__asked_for_its_status__says_what_of_the_hour_is_used(
    signer: SignerRig,
) -> None:
    argv = [*signer.process.program.argv[:4], "status", "--json"]
    process = await asyncio.create_subprocess_exec(
        *argv, env=os.environ | signer.settings, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    found = json.loads(out)
    assert (found["address"], found["allowed"]["usdt"]) == (ADDRESS, str(20_000 * USDT))


async def start(rig: SignerRig, **changes: str) -> tuple[int | None, str]:
    """Run it to its end; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *rig.process.program.argv,
        env=os.environ | rig.settings | changes,
        cwd=rig.home,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await process.communicate()
    return process.returncode, error.decode()
