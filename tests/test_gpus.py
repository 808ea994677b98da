"""GPUs of a run's own: which there are, who has them, and runs that wait for them. No card is needed.

``CUDA_VISIBLE_DEVICES`` is the source; a stand-in for nvidia-smi prints what a real one has printed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from snaprun import launchers, records
from snaprun.api import queue, sweep
from snaprun.api.sweep import SweepOptions
from snaprun.context import Context, open_context
from snaprun.errors import Denied
from snaprun.live import bell, gpus, livefolder, lock
from snaprun.live.gpus import Gpu, GpusTaken, NoGpus
from snaprun.runplan import RunOptions
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox, wait_for

UUIDS = ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-3a23c669-1f69-c64e-cf85-44e9b07e7a2a")
SMI = f"0, {UUIDS[0]}\n1, {UUIDS[1]}\n"

SHOWS = "import os\nprint('cards', os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True)"
HELD = SHOWS + "\nimport time\nfrom pathlib import Path\nwhile not Path(os.environ['GATE']).exists(): time.sleep(0.01)"
"""Say which cards there are; then wait until somebody opens the gate."""


@pytest.fixture
def smi(tmp_path: Path) -> Mapping[str, str]:
    """An environment with a stand-in for nvidia-smi."""
    return with_smi(tmp_path / "smi", f"cat <<'E'\n{SMI}E")


def with_smi(folder: Path, script: str) -> Mapping[str, str]:
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.fixture
def lives(tmp_path: Path) -> list[Path]:
    """Three live folders, as far as the ledger looks at them."""
    folders = [tmp_path / "live" / (digit * 40) for digit in "abc"]
    for folder in folders:
        folder.mkdir(parents=True)
        lock.make(folder)
    return folders


def held(folder: Path) -> int:
    handle = lock.take(folder)
    assert handle is not None
    return handle


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("0,1", ["0", "1"]),
        (" 1 , 0 ", ["1", "0"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("NoDevFiles", []),
        ("0,0,1", ["0", "1"]),
        ("GPU-8932f937,MIG-aa-bb", ["GPU-8932f937", "MIG-aa-bb"]),
        ("GPU-", []),
    ],
)
def test_cards_are_those_that_the_variable_names(visible: str, names: list[str]) -> None:
    assert [gpu.name for gpu in gpus.find_gpus({"CUDA_VISIBLE_DEVICES": visible, "PATH": ""})] == names


def test_cards_are_all_that_nvidia_smi_names(smi: Mapping[str, str]) -> None:
    assert gpus.find_gpus(smi) == [Gpu("0", UUIDS[0]), Gpu("1", UUIDS[1])]


def test_names_of_one_card_are_one_card(smi: Mapping[str, str]) -> None:
    assert gpus.find_gpus({**smi, "CUDA_VISIBLE_DEVICES": "GPU-3a,1,0,7,GPU-8932"}) == [
        Gpu("GPU-3a", UUIDS[1]),
        Gpu("0", UUIDS[0]),
    ]
    assert gpus.find_gpus({**smi, "CUDA_VISIBLE_DEVICES": "GPU-,0"}) == []


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found", "kill -9 $$"])
def test_a_driver_that_does_not_answer_has_no_cards(tmp_path: Path, script: str) -> None:
    assert gpus.find_gpus(with_smi(tmp_path / "broken", script)) == []


def test_cards_are_given_once_and_come_back_by_themselves(lives: list[Path]) -> None:
    env = {"CUDA_VISIBLE_DEVICES": "0,1", "PATH": ""}
    one, two, three = lives
    first, second = held(one), held(two)
    assert gpus.take(env, 1, one) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert gpus.take(env, 1, two) == {"CUDA_VISIBLE_DEVICES": "1"}
    with pytest.raises(GpusTaken) as caught:
        gpus.take(env, 1, three)
    assert caught.value.message == "1 GPU wanted, and 0 of 2 free: run aaaaaaaa has 0, run bbbbbbbb has 1"
    assert (caught.value.holders, caught.value.code) == ((one, two), 75)
    os.close(second)
    third = held(three)
    assert gpus.take(env, 1, three) == {"CUDA_VISIBLE_DEVICES": "1"}
    os.close(first)
    one.joinpath("lock").unlink()
    one.rmdir()
    gpus.check_free(env, 1)
    os.close(third)


def test_the_next_attempt_takes_its_cards_anew(lives: list[Path]) -> None:
    env = {"CUDA_VISIBLE_DEVICES": "0,1", "PATH": ""}
    handle = held(lives[0])
    for _ in range(3):
        assert gpus.take(env, 2, lives[0]) == {"CUDA_VISIBLE_DEVICES": "0,1"}
    os.close(handle)


def test_cards_by_number_are_those_that_nvidia_smi_means(smi: Mapping[str, str], lives: list[Path]) -> None:
    handle = held(lives[0])
    assert gpus.take(smi, 1, lives[0]) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0"}
    other = {**smi, "CUDA_VISIBLE_DEVICES": f"{UUIDS[0]},{UUIDS[1]}"}
    second = held(lives[1])
    assert gpus.take(other, 1, lives[1]) == {"CUDA_VISIBLE_DEVICES": UUIDS[1]}
    os.close(handle)
    os.close(second)


def test_too_many_are_refused() -> None:
    with pytest.raises(NoGpus, match="2 GPUs wanted, and CUDA_VISIBLE_DEVICES='3' names 1") as caught:
        gpus.require({"CUDA_VISIBLE_DEVICES": "3", "PATH": ""}, 2)
    assert (caught.value.code, caught.value.hint) == (69, "--gpus 1")
    with pytest.raises(NoGpus, match="1 GPU wanted, and nvidia-smi names none"):
        gpus.require({"PATH": ""}, 1)


def test_a_damaged_ledger_and_one_that_cannot_be_written(sealed: Path, lives: list[Path]) -> None:
    env = {"CUDA_VISIBLE_DEVICES": "0", "PATH": ""}
    handle = held(lives[0])
    gpus.take(env, 1, lives[0])
    folder = sealed / ".local" / "state" / "snaprun" / "gpus"
    (ledger,) = folder.glob("*.json")
    assert (folder.stat().st_mode & 0o777, ledger.stat().st_mode & 0o777) == (0o700, 0o600)
    ledger.write_text("{")
    gpus.take(env, 1, lives[0])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(Denied, match="the ledger of GPUs cannot be written"):
        gpus.take(env, 1, lives[0])
    os.close(handle)


def test_what_slurm_is_told() -> None:
    told = launchers.limit_options("slurm", {"time": "1"}, gpu_count=2, max_memory=4_000_000_000)
    assert told == {"time": "1", "gres": "gpu:2", "mem": "4303M"}
    own = {"gpus-per-node": "1", "mem-per-cpu": "1G"}
    assert launchers.limit_options("slurm", own, gpu_count=2, max_memory=10**9) == own
    assert launchers.limit_options("ssh", {}, gpu_count=2, max_memory=10**9) == {}


@pytest.fixture
def box(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("GATE", str(repo.path.parent / "gate"))
    repo.notebook("shows.ipynb", SHOWS, parameters="x = 0")
    repo.notebook("held.ipynb", HELD, parameters="x = 0")
    repo.commit()
    return repo


def here(box: Sandbox) -> Context:
    return open_context(box.path, os.environ)


def started(box: Sandbox, *args: str) -> running.Started:
    """A run that holds its cards until the gate opens."""
    done = box.snaprun("exec", "held.ipynb", "--engine", "inline", "--detach", *args)
    assert done.returncode == 0, done.stderr
    run = running.found(box, done.stdout.strip())
    run.until_logged("cards")
    return run


def ended(box: Sandbox, run_id: str) -> Status:
    """How a run ended that may not have begun yet."""
    repo = running.found(box, run_id).repo
    return wait_for(lambda: records.read_result(repo, run_id), f"the end of {run_id}").status  # type: ignore[no-any-return]


def opens(box: Sandbox) -> None:
    (box.path.parent / "gate").touch()


@pytest.mark.usefixtures("nothing_left")
def test_runs_have_cards_of_their_own_and_a_third_is_refused(box: Sandbox) -> None:
    one, two = started(box, "--gpus", "1"), started(box, "--gpus", "1")
    assert (one.log(), two.log()) == ("cards 0\n", "cards 1\n")
    before = box.git("for-each-ref")
    done = box.snaprun("exec", "shows.ipynb", "--gpus", "1")
    assert done.returncode == 75
    assert f"0 of 2 free: run {one.id[:8]} has 0, run {two.id[:8]} has 1" in done.stderr
    assert "hint: snaprun queue add" in done.stderr
    assert box.git("for-each-ref") == before
    other = Sandbox(box.path.parent / "other")
    other.notebook("shows.ipynb", SHOWS)
    other.commit()
    assert other.snaprun("exec", "shows.ipynb", "--gpus", "1").returncode == 75  # a machine has one ledger
    assert other.snaprun("exec", "shows.ipynb", "--engine", "inline").stdout == "cards 0,1\n"
    opens(box)
    one.end(), two.end()
    assert '"CUDA_VISIBLE_DEVICES": "1"' in two.file("environment.json").decode()
    assert "1 GPU (CUDA_VISIBLE_DEVICES=1)" in box.snaprun("show", two.id).stdout


@pytest.mark.usefixtures("nothing_left")
def test_a_killed_run_leaves_no_card_behind(box: Sandbox) -> None:
    run = started(box, "--gpus", "2")
    for who in run.pids():
        os.kill(who.pid, signal.SIGKILL)
    running.settled(run)
    opens(box)
    wait_for(lambda: lock.take(run.live.path) is not None or not run.alive, "the lock")
    done = box.snaprun("exec", "shows.ipynb", "--engine", "inline", "--gpus", "2")
    assert (done.returncode, done.stdout) == (0, "cards 0,1\n")
    again = box.snaprun("resume", run.id)
    assert again.returncode == 0, again.stderr
    assert box.snaprun("logs", run.id).stdout.endswith("cards 0,1\n")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["exec", "shows.ipynb", "--gpus", "3"], 69, "3 GPUs wanted, and CUDA_VISIBLE_DEVICES='0,1' names 2"),
        (["queue", "add", "shows.ipynb", "--gpus", "3"], 69, "hint: --gpus 2"),
        (["sweep", "shows.ipynb", "-p", "x=1,2", "--gpus", "3"], 69, "3 GPUs wanted"),
        (["sweep", "shows.ipynb", "-p", "x=1,2", "--gpus", "1", "--launcher", "tmux"], 2, "none waits for GPUs"),
        (["exec", "shows.ipynb", "--gpus", "-1"], 2, "Invalid value for '--gpus'"),
        (["exec", "shows.ipynb", "--gpus", "one"], 2, "Invalid value for '--gpus'"),
    ],
)
def test_refused_before_anything_is_frozen(box: Sandbox, args: list[str], code: int, said: str) -> None:
    done = box.snaprun(*args)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert box.git("for-each-ref", "refs/snaprun") == ""


@pytest.mark.usefixtures("nothing_left")
def test_a_rerun_wants_what_its_run_had(box: Sandbox) -> None:
    assert box.snaprun("exec", "shows.ipynb", "--engine", "inline", "--gpus", "1").stdout == "cards 0\n"
    assert box.snaprun("rerun").stdout == "cards 0\n"
    assert box.snaprun("rerun", "--gpus", "0").stdout == "cards 0,1\n"
    assert box.snaprun("rerun", "@~1", CUDA_VISIBLE_DEVICES="").returncode == 69


@pytest.mark.usefixtures("nothing_left")
def test_the_queue_waits_for_cards_and_says_why(box: Sandbox) -> None:
    first = started(box, "--gpus", "1")
    context = here(box)
    needy = queue.add(context, RunOptions(notebook=Path("shows.ipynb"), params=["x=1"], engine="inline", gpus=2))
    behind = queue.add(context, RunOptions(notebook=Path("shows.ipynb"), params=["x=2"], engine="inline", gpus=1))
    frugal = queue.add(context, RunOptions(notebook=Path("shows.ipynb"), params=["x=3"], engine="inline"))
    assert ended(box, frugal.id) is Status.SUCCEEDED  # it passes by
    why = f"2 GPUs wanted, and 1 of 2 free: run {first.id[:8]} has 0"
    wait_for(lambda: why in box.snaprun("queue").stdout, "the reason")
    opens(box)
    assert [ended(box, needy.id), ended(box, behind.id)] == [Status.SUCCEEDED] * 2
    runs = {one.id: running.listed(running.found(box, one.id)) for one in (needy, behind)}
    assert (runs[needy.id].started or "") < (runs[behind.id].started or "")  # order is kept among those that want some


@pytest.mark.usefixtures("nothing_left")
def test_a_sweep_never_shares_a_card(box: Sandbox) -> None:
    context = here(box)
    wanted = RunOptions(notebook=Path("shows.ipynb"), engine="inline", gpus=1)
    sweep.start(context, sweep.plan(context, wanted, SweepOptions(axes=("x=1..6",), jobs=4)))
    wait_for(lambda: bell.read_mark(context.place) is None and not livefolder.scan(context.place), "the sweep")
    ended = box.snaprun("history", "--json").stdout
    assert ended.count('"status": "succeeded"') == 6
    marks = sorted(
        (moment or "", step, running.found(box, run.id).log())
        for run in (running.listed(running.found(box, line)) for line in box.snaprun("history", "-q").stdout.split())
        for moment, step in ((run.started, 1), (run.ended, -1))
    )
    at_work = {"cards 0\n": 0, "cards 1\n": 0}
    for _, step, card in marks:
        at_work[card] += step
        assert at_work[card] <= 1
