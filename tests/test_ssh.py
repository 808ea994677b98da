"""Runs on another machine: a real sshd on loopback, real connections, cut at bad moments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snaprun import records
from snaprun.errors import CannotCreate, DataFault, Denied, Unavailable, UsageFault
from snaprun.git import sync
from snaprun.launchers import Site, Submission, contact, ssh
from snaprun.launchers.contact import Pace
from snaprun.launchers.placement import read_placement
from snaprun.lifecycle import settle
from snaprun.live import supervision
from snaprun.live.progress import read_progress
from snaprun.live.stoprequest import StopRequest
from snaprun.machine import process
from snaprun.statuses import Status
from tests import far, running
from tests.far import Machine
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.service

SLOW = "import time\nprint('on', flush=True)\ntime.sleep(600)"
GATED = """import pathlib, time
print('on', flush=True)
while not pathlib.Path({!r}).exists(): time.sleep(0.02)
print('off')"""
QUICK = Pace(interval=0.0, backoff=(0.0,), grace=0.0)


def site(box: Sandbox, machine: Machine, **options: str) -> Site:
    return Site(running.place(box), os.environ, {"on": machine.address, **options})


def refreshed(run: running.Started, pace: Pace = QUICK) -> list[contact.Trouble]:
    """Ask now."""
    return contact.refresh(run.place, os.environ, [run.live], at_once=True, pace=pace)


def test_a_run_there_is_seen_and_ends_here_as_one_of_here(repo: Sandbox, machine: Machine) -> None:
    repo.write("helper.py", "ANSWER = 42\n")
    first = "import sys; sys.path.insert(0, '..')\nimport helper\nprint(lr * helper.ANSWER)"
    second = "open('made.txt', 'w').write('x')\nimport snaprun\nsnaprun.log(loss=0.5)"
    repo.notebook("nb/a.ipynb", first, second, parameters="lr = 1")
    with repo.untouched():
        done = repo.snaprun("exec", "nb/a.ipynb", "-p", "lr=2", "--name", "far", "--on", machine.address)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "84\n"
    shown = json.loads(repo.snaprun("show", "far", "--json").stdout)
    assert (shown["status"], shown["launcher"], shown["metrics"]["loss"]["last"]) == ("succeeded", "ssh", 0.5)
    assert [item["path"] for item in shown["artifacts"]] == ["nb/made.txt"]
    assert repo.git("show", f"{shown['commit']}:nb/made.txt") == "x"
    assert repo.git("for-each-ref", "refs/snaprun/fetched", "refs/snaprun/incoming") == ""
    assert not any((running.place(repo).state / "live").iterdir())
    assert records.read_run(running.GitRepo(machine.place), shown["id"]).commit == shown["commit"]


def test_the_exit_code_travels_and_a_failure_is_one(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "print('hi')", "import sys\nsys.exit(7)")
    assert repo.snaprun("exec", "a.ipynb", "--on", machine.address).returncode == 7
    repo.notebook("b.ipynb", "1 / 0")
    done = repo.snaprun("exec", "b.ipynb", "--on", machine.address)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("verb", [["exec"], ["sweep", "-p", "x=1,2"]], ids=["exec", "sweep"])
def test_what_was_allowed_and_asked_for_here_counts_there(repo: Sandbox, machine: Machine, verb: list[str]) -> None:
    repo.write("snaprun.toml", 'environment = ["HOME"]\n')
    repo.notebook("a.ipynb", "%time 1", "print('on', x)", parameters="x = 1")
    done = repo.snaprun(*verb, "a.ipynb", "--on", machine.address, "--engine", "script", "--allow-commented-magics")
    assert done.returncode == 0, done.stderr
    shown = json.loads(repo.snaprun("show", "--json").stdout)
    assert shown["environment"]["variables"]["HOME"] == str(machine.service / "home")


def test_ps_logs_stop_and_wait_work_from_here(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = far.started(repo, machine, "a.ipynb")
    wait_for(lambda: repo.snaprun("logs", run.id).stdout == "on\n", "the log")
    [going] = json.loads(repo.snaprun("ps", "--json").stdout)["runs"]
    assert going["progress"]["host"] == "far"
    assert (going["progress"]["cell"], going["progress"]["state"]) == (1, "running")
    assert "on far" in repo.snaprun("ps").stdout
    assert repo.snaprun("wait", run.id, "--timeout", "0.1").returncode == 75
    done = repo.snaprun("stop", run.id)
    assert done.returncode == 0, done.stderr
    assert repo.snaprun("wait", run.id).returncode == 143
    assert repo.snaprun("logs", run.id).stdout.startswith("on\n")
    assert machine.live(run.id) is None


def test_the_near_side_may_go_away_at_any_time(repo: Sandbox, machine: Machine, tmp_path: Path) -> None:
    gate = tmp_path / "GO"
    repo.notebook("a.ipynb", GATED.format(str(gate)))
    viewer = subprocess.Popen([sys.executable, "-m", "snaprun", "exec", "a.ipynb", "--on", machine.address],
                              cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert viewer.stdout is not None
    assert viewer.stdout.readline() == b"on\n"
    viewer.send_signal(signal.SIGKILL)
    viewer.communicate()
    machine.call("down")
    gate.touch()
    started = time.monotonic()
    listing = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert time.monotonic() - started < 15
    assert [run["status"] for run in listing] == ["running"], "silence is not a failure"
    run = running.found(repo, listing[0]["id"])
    assert repo.snaprun("stop", run.id).returncode == Unavailable.code
    wait_for(lambda: "(on far, no word for 0" in repo.snaprun("ps").stdout, "word of the silence")
    [going] = json.loads(repo.snaprun("ps", "--json").stdout)["runs"]
    assert going["progress"]["trouble"].startswith("far cannot be reached: ")
    wait_for(  # the viewer has asked just now, and a machine is asked every two seconds at most
        lambda: repo.snaprun("history") and contact.read_contact(run.live).failures >= 1, "a question without an answer"
    )
    assert contact.judge_ending(run.live, read_placement(run.live.path), now=time.time() + 1e6) is None
    machine.call("up")
    done = wait_for(lambda: repo.snaprun("fetch", run.id), "contact")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: repo.snaprun("fetch") and not run.alive, "the result")
    assert run.end().status is Status.SUCCEEDED
    assert run.log() == "on\noff\n"


def test_a_cut_connection_in_the_middle_of_a_log_loses_nothing(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "for i in range(30000):\n    print('line', i, flush=i % 100 == 0)")
    viewer = subprocess.Popen([sys.executable, "-m", "snaprun", "exec", "a.ipynb", "--on", machine.address],
                              cwd=repo.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    wait_for(lambda: any((running.place(repo).live).glob("*/submitted.json")), "the submission")
    for _ in range(3):
        machine.call("cut")
    out, said = viewer.communicate(timeout=120)
    assert viewer.returncode == 0, said
    assert out == "".join(f"line {number}\n" for number in range(30000))


def test_a_second_start_starts_nothing(repo: Sandbox, machine: Machine) -> None:
    run = running.frozen(repo, repo.notebook("a.ipynb", SLOW), launcher="ssh")
    where = site(repo, machine)
    ssh.check(where)
    [handle] = ssh.submit(where, [Submission(run.id, run.live.path)])
    first = wait_for(lambda: supervision.read_identities(machine.live(run.id)), "the supervisor")
    assert ssh.submit(where, [Submission(run.id, run.live.path)]) == [handle]
    assert supervision.read_identities(machine.live(run.id)) == first
    assert [state.state for state in ssh.poll(where, [handle])] == ["running"]

    def printed(offset: int) -> bytes:
        return ssh.news(where, {handle: {**ssh.NO_FILES, "log.txt": offset}})[handle].files.get("log.txt", b"")

    wait_for(lambda: printed(0) == b"on\n", "the log")
    assert printed(1) == b"n\n"
    assert ssh.cancel(where, handle, StopRequest(signal.SIGINT))
    wait_for(lambda: ssh.poll(where, [handle])[0].state == "ended", "the end")
    assert not ssh.cancel(where, handle, StopRequest(signal.SIGINT))


def test_what_the_machine_does_not_know_is_lost_only_after_a_while(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = far.started(repo, machine, "a.ipynb")
    wait_for(lambda: not refreshed(run) and run.log() == "on\n" and read_progress(run.live).state == "running", "news")
    forget(machine, run.id)
    assert not refreshed(run)
    told = read_placement(run.live.path)
    assert contact.read_contact(run.live).state == "unknown"
    assert contact.judge_ending(run.live, told, now=time.time() + 50) is None
    ending = contact.judge_ending(run.live, told, now=time.time() + 70)
    assert ending is not None
    assert (ending.status, ending.exit_code) == (Status.LOST, 125)
    contact.give_up(run.live)
    done = repo.snaprun("history", "--json")
    [listed] = json.loads(done.stdout)["runs"]
    assert (listed["status"], listed["exit_code"]) == ("lost", 125)
    assert "far" in listed["reason"]
    assert run.log() == "on\n", "what was seen of it is kept"


def forget(machine: Machine, run: str) -> None:
    """The far side forgets a run: its processes end, its record is deleted."""
    folder = machine.live(run)
    assert folder is not None
    about = supervision.read_identities(folder)
    for who in about or ():
        process.send(who, signal.SIGKILL)
    wait_for(lambda: settle.settle(machine.place, os.environ) or machine.live(run) is None, "the settling")
    subprocess.run(["git", "update-ref", "-d", f"refs/snaprun/runs/{run}"], cwd=machine.folder, check=True)


def test_a_crash_there_is_told_as_it_was(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = far.started(repo, machine, "a.ipynb")
    about = wait_for(lambda: supervision.read_identities(machine.live(run.id)), "the supervisor")
    wait_for(lambda: not refreshed(run) and run.log() == "on\n", "the log")
    for who in about:
        process.send(who, signal.SIGKILL)
    wait_for(lambda: not refreshed(run) and not run.alive, "the end")
    end = records.read_result(run.repo, run.id)
    assert end is not None
    assert end.status is Status.LOST
    assert "killed" in str(end.reason)


def test_data_there_is_linked_and_what_is_missing_is_told_before(repo: Sandbox, machine: Machine) -> None:
    repo.write(".gitignore", "data/\nmodels/\n__pycache__/\n")
    repo.write("data/train.csv", "near")
    repo.write("models/base.bin", "near")
    repo.write("__pycache__/x.pyc", "")
    repo.notebook("a.ipynb", "print(open('data/train.csv').read(), open('extra.txt').read())")
    other = machine.service / "home" / "elsewhere" / machine.name
    other.mkdir(parents=True)
    (other / "train.csv").write_text("far")
    machine.folder.mkdir()
    (machine.folder / "extra.txt").write_text("beside")
    done = repo.snaprun("exec", "a.ipynb", "--on", machine.address, "--data", f"data={other}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "far beside\n"
    assert "has no models" in done.stderr
    assert "data" not in done.stderr.split("has no ")[1].split(",")[0]
    missing = repo.snaprun("exec", "a.ipynb", "--on", machine.address, "--data", "data=/no/such/folder")
    assert missing.returncode == Unavailable.code
    assert "/no/such/folder" in missing.stderr
    assert len(json.loads(repo.snaprun("history", "--json").stdout)["runs"]) == 1


def test_a_bare_repository_and_a_named_host(repo: Sandbox, machine: Machine) -> None:
    subprocess.run(["git", "init", "-q", "--bare", machine.folder], check=True)
    repo.write("snaprun.toml", f'hosts = {{ big = "{machine.address}" }}\n')
    repo.notebook("a.ipynb", "print(6 * 7)")
    done = repo.snaprun("exec", "a.ipynb", "--on", "big")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    done = repo.snaprun("exec", "a.ipynb", "--on", "bigg")
    assert done.returncode == UsageFault.code
    assert "did you mean big?" in done.stderr


def test_a_path_with_spaces_and_letters_of_all_kinds(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "print(6 * 7)")
    done = repo.snaprun("exec", "a.ipynb", "--on", f"ssh://far/~/{machine.name}/mein ördner?python={sys.executable}")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert (machine.folder / "mein ördner" / ".git").is_dir()


def test_no_hook_and_no_setting_of_either_side_is_in_the_way(repo: Sandbox, machine: Machine, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", machine.folder], check=True)
    for name in ("pre-receive", "update", "post-receive", "post-update", "reference-transaction"):
        hook = machine.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/fired\nexit 1\n")
        hook.chmod(0o755)
    for name, value in (("receive.advertiseAtomic", "false"), ("receive.denyDeletes", "true")):
        subprocess.run(["git", "config", name, value], cwd=machine.folder, check=True)
    repo.git("config", "push.pushOption", "ci.skip")
    repo.notebook("a.ipynb", "print(6 * 7)")
    with repo.untouched():
        done = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert not (tmp_path / "fired").exists()


def test_tags_of_the_user_that_are_not_there_stay(repo: Sandbox, machine: Machine) -> None:
    for name in ("fetch.prune", "fetch.pruneTags"):
        repo.git("config", name, "true")
    repo.notebook("a.ipynb", "print(6 * 7)")
    repo.commit()
    repo.git("tag", "mine")
    with repo.untouched():
        done = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert (done.returncode, repo.git("tag")) == (0, "mine\n"), done.stderr


def test_a_push_that_is_refused_there_says_why(repo: Sandbox, machine: Machine) -> None:
    subprocess.run(["git", "init", "-q", machine.folder], check=True)
    subprocess.run(["git", "config", "transfer.hideRefs", "refs/snaprun"], cwd=machine.folder, check=True)
    repo.notebook("a.ipynb", "1")
    done = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert done.returncode == Unavailable.code
    assert "the repository on far refuses the push: deny updating a hidden ref\nhint: ssh far, and" in done.stderr


def test_a_shallow_clone_runs_elsewhere(repo: Sandbox, machine: Machine, tmp_path: Path) -> None:
    for number in range(3):
        repo.notebook("a.ipynb", f"print({number})")
        repo.commit(str(number))
    shallow = Sandbox(tmp_path / "shallow")
    shallow.git("fetch", "-q", "--depth=1", f"file://{repo.path}")
    shallow.git("reset", "-q", "--hard", "FETCH_HEAD")
    done = shallow.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    subprocess.run(["git", "init", "-q", f"{machine.folder}-own"], check=True)
    done = shallow.snaprun("exec", "a.ipynb", "--on", machine.address.replace(machine.name, f"{machine.name}-own"))
    assert done.returncode == Unavailable.code
    assert "hint: git fetch --unshallow here, or" in done.stderr


def test_what_is_no_folder_there_is_told_as_it_is(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "1")
    machine.folder.symlink_to("/no/such/disk")
    for tail in ("", "/x"):
        done = repo.snaprun("exec", "a.ipynb", "--on", machine.address.replace("?", f"{tail}?"))
        assert done.returncode == CannotCreate.code, done.stderr
        assert f"far: cannot make {machine.folder}{tail}: " in done.stderr


def test_a_machine_that_is_not_there_or_changed_is_named(
    repo: Sandbox, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repo.notebook("a.ipynb", "1")
    with repo.untouched():
        done = repo.snaprun("exec", "a.ipynb", "--on", "ssh://127.0.0.1:1/tmp/x")
        assert done.returncode == Unavailable.code
        assert "127.0.0.1:1 cannot be reached" in done.stderr
        known = tmp_path / "known_hosts"
        known.write_text((machine.service / "known_hosts").read_text().split(" ", 1)[0] + " " + other_key(tmp_path))
        config = tmp_path / "config"
        real = (machine.service / "ssh_config").read_text()
        config.write_text(real.replace(f"{machine.service}/known_hosts", str(known)))
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {config}")
        done = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
        assert done.returncode == Denied.code
        assert "host key of far has changed" in done.stderr
        known.write_text("")
        done = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
        assert done.returncode == Denied.code
        assert "is not known yet" in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""


def other_key(folder: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "other"], check=True)
    return (folder / "other.pub").read_text().rsplit(" ", 1)[0] + "\n"


def test_a_machine_without_snaprun_is_told_how_to_get_it(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "1")
    done = repo.snaprun("exec", "a.ipynb", "--on", "ssh://far/~/x?python=/no/python")
    assert done.returncode == Unavailable.code
    assert "no Python on far has snaprun (/no/python)" in done.stderr
    assert "pip install snaprun" in done.stderr


def test_a_snaprun_that_fails_there_is_not_taken_for_a_connection(
    repo: Sandbox, machine: Machine, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text(
        "#!/bin/sh\ncase $1 in -c) exit 0;; esac\necho 'ImportError: no module named tornado' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    repo.notebook("a.ipynb", "1")
    done = repo.snaprun("exec", "a.ipynb", "--on", f"ssh://far/~/x?python={broken}")
    assert done.returncode == Unavailable.code
    assert done.stderr.splitlines()[0].endswith("snaprun on far failed: ImportError: no module named tornado")


def test_a_kernel_that_is_missing_there_is_told_and_nothing_stays(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "1")
    done = repo.snaprun("exec", "a.ipynb", "--on", machine.address, "--kernel", "nope")
    assert done.returncode == Unavailable.code
    assert "far: there is no kernel 'nope'" in done.stderr
    assert repo.git("for-each-ref", "refs/snaprun") == ""
    assert not any(running.place(repo).live.iterdir())
    there = ["git", "for-each-ref", "refs/snaprun"]
    assert subprocess.run(there, cwd=machine.folder, capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize(
    "address",
    [
        "ssh://far",
        "http://far/x",
        "ssh://-oProxyCommand=x/y",
        "ssh://a@-b/y",
        "ssh://far/x?shell=1",
        "ssh://far:x/y",
        "ssh://far/~/",
        "ssh://far/~",
        "ssh://far/~ben/x",
        "ssh://far/~/a#b",
        "",
    ],
)
def test_an_address_that_makes_no_sense_is_refused(address: str) -> None:
    with pytest.raises(UsageFault):
        ssh.parse(address)


def test_addresses() -> None:
    target = ssh.parse("ssh://me@host:2222/~/a%20b/?python=~/x/bin/python")
    assert (target.login, target.port, target.path, target.python) == ("me@host", 2222, "~/a b", "~/x/bin/python")
    assert target.url == "ssh://me@host:2222/~/a%20b"
    assert ssh.parse_handle(target.handle("ff")) == (target, "ff")
    assert ssh.command(target.handle("ff"), "console") == (
        """ssh -t -p 2222 me@host 'cd ~/'"'"'a b'"'"' && ~/x/bin/python -m snaprun console ff'"""
    )
    odd = ssh.parse("ssh://h/a%3Fb%23ö'%20")
    assert ssh.parse_handle(odd.handle("ff")) == (odd, "ff")


@pytest.mark.parametrize(
    ("address", "login", "known"),
    [
        ("ssh://me@host/x", "ssh me@host", "host"),
        ("ssh://host:2222/x", "ssh -p 2222 host", "'[host]:2222'"),
        ("ssh://me@[fe80::1]:22/x", "ssh -p 22 me@fe80::1", "'[fe80::1]:22'"),
    ],
)
def test_what_is_said_of_a_machine_can_be_typed(address: str, login: str, known: str) -> None:
    target = ssh.parse(address)
    assert target.ssh == login
    assert ["ssh", *(part for part in target.destination if part != "--")] == login.split()
    assert sync.fault("ssh: connect to host host: Connection refused", target.url).hint == login
    assert sync.fault("Permission denied (publickey)", target.url).hint == f"ssh-add, ssh-copy-id{login[3:]}"
    changed = sync.fault("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", target.url)
    assert changed.hint.endswith(f"ssh-keygen -R {known}")


def test_what_arrives_must_be_the_result_of_the_run(repo: Sandbox) -> None:
    run = running.frozen(repo, repo.notebook("a.ipynb", "1"))
    other = repo.commit("something else")
    repo.git("update-ref", f"refs/snaprun/fetched/{run.id}", other)
    with pytest.raises(DataFault, match="is no result"):
        sync.accept(run.repo, [run.id])
    assert run.git_tip() == run.id


@pytest.mark.parametrize(
    "wrong",
    [
        {".snaprun/params.json": '{"lr": 2}'},
        {".snaprun/result.json": '{"status": "splendid"}'},
        {
            ".snaprun/result.json": '{"status": "succeeded", "exit_code": 0, '
            '"artifacts": [{"path": "x", "size": 1, "sha256": "../../x", "stored": "store"}]}'
        },
        {},
    ],
    ids=["params", "status", "digest", "nothing"],
)
def test_a_result_must_be_one_of_what_was_saved(repo: Sandbox, wrong: dict[str, str]) -> None:
    """The other machine may be broken, or lie: its result is no reason to believe other parameters than those here."""
    run = running.frozen(repo, repo.notebook("a.ipynb", "print(lr)", parameters="lr = 1"))
    index = {"GIT_INDEX_FILE": str(repo.path / ".git" / "made-up")}
    repo.git("read-tree", run.id, env=index)
    for name, content in wrong.items():
        blob = repo.git("hash-object", "-w", "--stdin", stdin=content.encode()).strip()
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", env=index)
    tree = repo.git("write-tree", env=index).strip()
    tip = repo.git("commit-tree", tree, "-p", run.id, "-m", "made up").strip()
    repo.git("update-ref", f"refs/snaprun/fetched/{run.id}", tip)
    with pytest.raises(DataFault, match=f"{tip[:8]} is no result of run {run.id[:8]}"):
        sync.accept(run.repo, [run.id])
    assert run.git_tip() == run.id
    assert repo.git("for-each-ref", "refs/snaprun/fetched") == ""


def test_a_run_that_is_given_up_is_lost_whatever_its_machine_says(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", SLOW)
    run = far.started(repo, machine, "a.ipynb")
    wait_for(lambda: repo.snaprun("logs", run.id).stdout == "on\n", "the log")
    done = repo.snaprun("fetch", "--give-up", run.id)
    assert done.returncode == 0, done.stderr
    [listed] = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert (listed["status"], listed["reason"]) == ("lost", "it was given up: far had it")
    # both machines are one here: who ends a run here ends its processes there
    wait_for(lambda: settle.settle(machine.place, os.environ) or machine.live(run.id) is None, "the end there")


def test_large_files_stay_there_until_they_are_asked_for(repo: Sandbox, machine: Machine) -> None:
    repo.write("snaprun.toml", 'max-file-size = "1000"\n')
    repo.notebook("a.ipynb", "open('big.bin', 'wb').write(b'x' * 5000)")
    assert repo.snaprun("exec", "a.ipynb", "--on", machine.address).returncode == 0
    [item] = json.loads(repo.snaprun("show", "@", "--json").stdout)["artifacts"]
    assert (item["path"], item["stored"]) == ("big.bin", "store")
    kept = running.place(repo).state / "artifacts" / item["sha256"]
    assert not kept.exists()
    done = repo.snaprun("fetch", "--artifacts", "@")
    assert done.returncode == 0, done.stderr
    assert kept.read_bytes() == b"x" * 5000
    assert repo.snaprun("fetch", "--artifacts", "@").returncode == 3


def test_gpus_are_those_of_that_machine_and_given_once(repo: Sandbox, machine: Machine, tmp_path: Path) -> None:
    python = tmp_path / "python-with-gpus"
    python.write_text(f'#!/bin/sh\nCUDA_VISIBLE_DEVICES=4,5 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    address = machine.address.replace(sys.executable, str(python))
    repo.notebook("a.ipynb", "import os\nprint(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)", SLOW)
    args = ["exec", "a.ipynb", "--on", address, "--engine", "auto"]
    first = repo.snaprun(*args, "--detach", "--gpus", "1", CUDA_VISIBLE_DEVICES="")
    assert first.returncode == 0, first.stderr
    run = running.found(repo, first.stdout.strip())
    wait_for(lambda: repo.snaprun("logs", run.id).stdout.startswith("4\n"), "its GPU")
    before = repo.git("for-each-ref", "refs/snaprun/runs")
    for count, code, said in (("2", 75, f"1 of 2 free: run {run.id[:8]} has 4"), ("3", 69, "3 GPUs wanted")):
        done = repo.snaprun(*args, "--gpus", count)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert repo.git("for-each-ref", "refs/snaprun/runs") == before
    assert json.loads(repo.snaprun("show", run.id, "--json").stdout)["engine"] == "inline"
    assert repo.snaprun("stop", run.id).returncode == 0


def test_a_limit_of_memory_holds_there(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "import time\nkept = bytearray(b'x') * 400_000_000\ntime.sleep(600)")
    done = repo.snaprun("exec", "a.ipynb", "--on", machine.address, "--max-memory", "200M")
    assert done.returncode == 137, done.stderr
    assert "more than the 200 MB of --max-memory" in done.stderr
