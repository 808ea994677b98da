"""A snapshot holds what is on disk, has the form of the contract, and leaves everything of the user's alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from snaprun.errors import CannotCreate, Denied, InputMissing, SnaprunError, WriteFault
from snaprun.freeze.capture import Snapshot, commit_run, freeze, message, take
from snaprun.git import locate
from snaprun.git.gitrepo import GitRepo
from snaprun.git.publish import HOUR, forget, restore
from snaprun.model import RunSpec
from tests import schedule
from tests.sandbox import Sandbox
from tests.snapshots import CREATED, request
from tests.states import in_commit, on_disk
from tests.strace import calls, shim, traced

SCRIPT = """
import json, os, sys
from pathlib import Path
from snaprun.git import locate
from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.model import RunSpec
from snaprun.git.publish import HOUR, forget, restore
from snaprun.freeze.capture import SnapshotRequest, take

request = SnapshotRequest(spec=RunSpec(notebook="nb.ipynb", created="2026-01-02T03:04:05.000000Z"), params={"seed": 1})
try:
    made = take(GitRepo(locate.find_enclosing(Path(sys.argv[1]), os.environ)), request)
    print(json.dumps({"id": made.id, "left": [[item.path, item.why] for item in made.spec.left_out]}))
except SnaprunError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message, "hint": error.hint}))
"""
"""A snapshot in a process of its own."""

WEAK = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
"""Root obeys file modes like everybody else behind this."""


def opened(box: Sandbox) -> GitRepo:
    return GitRepo(locate.find_enclosing(box.path, os.environ))


def elsewhere(box: Sandbox, prefix: Sequence[str] = (), **env: str) -> dict[str, Any]:
    """Take a snapshot in another process, and return what it printed."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", SCRIPT, str(box.path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **env},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def weakened() -> list[str]:
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("runs as root, and there is no setpriv")
    return WEAK


@pytest.fixture
def box(repo: Sandbox) -> Sandbox:
    """A repository with a notebook that is committed."""
    repo.notebook("nb.ipynb", "1 + 1")
    repo.write("pack/mod.py", "x = 1\n")
    repo.commit("base")
    return repo


def shown(box: Sandbox, snapshot: Snapshot, path: str) -> str:
    return box.git("show", f"{snapshot.id}:{path}")


def test_a_snapshot_is_a_commit_with_the_tree_the_message_and_the_ref_of_the_contract(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "1 + 1")
    repo.write("src/new.py", "x = 1\n")
    with repo.untouched():
        made = take(
            opened(repo),
            request(
                spec={"given": ("lr",), "message": "try it"},
                params={"lr": 0.1, "epochs": 5},
                files={"notebook.py": b"# %%\n1 + 1\n"},
            ),
        )
    assert repo.git("rev-parse", f"refs/snaprun/runs/{made.id}").strip() == made.id
    assert repo.git("rev-parse", f"{made.id}^").strip() == repo.git("rev-parse", "HEAD").strip()
    text = repo.git("log", "-1", "--format=%an|%ae|%cn|%ce|%B", made.id).splitlines()
    assert text[0] == "Ada|ada@example.org|snaprun|snaprun@localhost|snaprun: nb.ipynb lr=0.1"
    assert text[2] == "try it"
    assert repo.git("log", "-1", "--format=%(trailers:key=Snaprun-Schema,valueonly)", made.id).strip() == "1"
    assert len(repo.git("log", "-1", "--format=%(trailers:key=Snaprun-Nonce,valueonly)", made.id).strip()) == 32
    names = repo.git("ls-tree", "-r", "--name-only", made.id).split()
    ours = [".snaprun/notebook.py", ".snaprun/params.json", ".snaprun/run.json"]
    assert names == [*ours, "README", "nb.ipynb", "src/new.py"]
    run = json.loads(shown(repo, made, ".snaprun/run.json"))
    assert (run["schema"], run["notebook"], run["branch"], run["dirty"]) == (1, "nb.ipynb", "main", True)
    assert run["parent"] == repo.git("rev-parse", "HEAD").strip()
    assert json.loads(shown(repo, made, ".snaprun/params.json")) == {"lr": 0.1, "epochs": 5}
    assert (made.changed_count, made.untracked_count) == (1, 1)


def test_what_differs_from_head_beside_the_notebook_is_counted(box: Sandbox) -> None:
    made = take(opened(box), request())
    assert (made.changed_count, made.untracked_count) == (0, 0)
    box.write("pack/mod.py", "x = 2\n")
    (box.path / "README").unlink()
    box.write("one.py")
    box.write("two/three.py")
    made = take(opened(box), request())
    assert (made.changed_count, made.untracked_count) == (4, 2)


def test_an_unborn_branch_gives_a_snapshot_without_a_parent(tmp_path: Path) -> None:
    for number, init in enumerate([(), ("--object-format=sha256",)]):
        box = Sandbox(tmp_path / f"new{number}", *init)
        box.notebook("nb.ipynb", "1")
        (box.path / "link").symlink_to("nb.ipynb")
        with box.untouched():
            made = take(opened(box), request())
        assert box.git("log", "--format=%P", made.id).strip() == ""
        assert in_commit(box, made.id) == on_disk(box)
        assert (made.spec.parent, made.spec.branch, made.spec.dirty) == (None, "main", True)


def test_one_frozen_tree_serves_a_whole_sweep(box: Sandbox) -> None:
    box.write("pack/mod.py", "x = 2\n")
    repo = opened(box)
    frozen = freeze(repo, request())
    box.write("pack/mod.py", "x = 'edited later'\n")
    made = [commit_run(repo, frozen, request(params={"seed": seed})) for seed in range(3)]
    assert len({one.id for one in made}) == 3
    assert [json.loads(shown(box, one, ".snaprun/params.json")) for one in made] == [{"seed": n} for n in range(3)]
    assert {shown(box, one, "pack/mod.py") for one in made} == {"x = 2\n"}


def test_a_second_snapshot_of_the_same_files_adds_no_blob_but_its_own(box: Sandbox) -> None:
    box.write("pack/mod.py", "x = 2\n")
    first = take(opened(box), request())
    before = set(box.git("rev-list", "--objects", "--no-object-names", "--all").split())
    second = take(opened(box), request(spec={"name": "again"}))
    new = set(box.git("rev-list", "--objects", "--no-object-names", "--all").split()) - before
    kinds = sorted(box.git("cat-file", "-t", oid).strip() for oid in new)
    assert kinds == ["blob", "commit", "tree", "tree"]  # run.json, .snaprun/, the top
    assert first.id != second.id


def test_only_changed_files_are_read(box: Sandbox, tmp_path: Path) -> None:
    box.git("config", "filter.count.clean", f"echo %f >> '{tmp_path / 'read'}'; cat")
    box.write(".gitattributes", "*.py filter=count\n")
    for number in range(50):
        box.write(f"pack/old{number}.py", "1\n")
    for path in box.path.rglob("*.py"):  # a file as young as the index is read by git itself, to be sure
        os.utime(path, (1, 1))
    box.commit()
    (tmp_path / "read").unlink()
    box.write("pack/old7.py", "22\n")
    box.write("new.py", "3\n")
    take(opened(box), request())
    assert sorted((tmp_path / "read").read_text().split()) == ["new.py", "pack/old7.py"]


def test_the_subject_names_the_given_parameters_on_one_line_of_bounded_length() -> None:
    spec = RunSpec(notebook="a\nb.ipynb", created=CREATED, given=("text", "xs"))
    subject = message(spec, {"text": "two\nlines", "xs": [1, 2], "other": 3}).split("\n")[0]
    assert subject == "snaprun: a b.ipynb text=two lines xs=[1, 2]"
    odd = RunSpec(notebook="\x1b[31m\udcff.ipynb", created=CREATED, message="a\0b", given=("x",))
    assert message(odd, {"x": "\0"}).startswith("snaprun: ?[31m?.ipynb x=?\n\nab\n\nSnaprun-Schema: 1\n")
    long = RunSpec(notebook="nb.ipynb", created=CREATED, given=("text",))
    assert len(message(long, {"text": "x" * 1000}).split("\n")[0]) == 200


def test_a_missing_notebook_is_told(box: Sandbox) -> None:
    with pytest.raises(InputMissing, match=r"nope\.ipynb"):
        take(opened(box), request("nope.ipynb"))
    (box.path / "dangling.ipynb").symlink_to("nowhere")
    with pytest.raises(InputMissing):
        take(opened(box), request("dangling.ipynb"))


def test_a_notebook_that_is_a_link_keeps_its_bytes_beside(box: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside.ipynb"
    outside.write_text("{}")
    (box.path / "link.ipynb").symlink_to(outside)
    made = take(opened(box), request("link.ipynb", source=b"{}"))
    assert in_commit(box, made.id)["link.ipynb"] == ("120000", os.fsencode(outside))
    assert shown(box, made, ".snaprun/source.ipynb") == "{}"


def test_a_notebook_behind_a_linked_folder_does_not_turn_the_link_into_a_folder(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/nb.ipynb").write_text("{}")
    (box.path / "books").symlink_to(tmp_path / "other")
    made = take(opened(box), request("books/nb.ipynb", source=b"{}"))
    assert in_commit(box, made.id)["books"][0] == "120000"
    assert shown(box, made, ".snaprun/source.ipynb") == "{}"


def test_the_source_is_kept_when_the_notebook_was_saved_again_meanwhile(box: Sandbox) -> None:
    made = take(opened(box), request(source=b"what the caller read"))
    assert shown(box, made, ".snaprun/source.ipynb") == "what the caller read"


def test_a_dirty_submodule_is_frozen_with_its_own_files_at_any_depth(box: Sandbox, tmp_path: Path) -> None:
    inner = Sandbox(tmp_path / "inner")
    inner.write("deep.py", "d = 1\n")
    inner.commit()
    outer = Sandbox(tmp_path / "outer")
    outer.write("lib.py", "v = 1\n")
    allow = ("-c", "protocol.file.allow=always", "submodule", "--quiet")
    outer.git(*allow, "add", str(inner.path), "deep")
    outer.commit()
    box.git(*allow, "add", str(outer.path), "lib")
    box.git(*allow, "update", "--init", "--recursive")
    box.commit("with submodules")
    box.write("lib/lib.py", "v = 'dirty'\n")
    box.write("lib/deep/deep.py", "d = 'dirty'\n")
    box.write("lib/deep/.env", "TOKEN=1\n")
    with box.untouched():
        made = take(opened(box), request())
        again = take(opened(box), request())
    library = box.git("rev-parse", f"{made.id}:lib").strip()
    assert box.git("-C", "lib", "show", f"{library}:lib.py") == "v = 'dirty'\n"
    deep = box.git("-C", "lib", "rev-parse", f"{library}:deep").strip()
    assert box.git("-C", "lib/deep", "show", f"{deep}:deep.py") == "d = 'dirty'\n"
    assert box.git("rev-parse", f"{again.id}:lib").strip() == library, "the same files give the same commit"
    assert [item.path for item in made.spec.left_out] == ["lib/deep/.env"]
    assert box.git("-C", "lib", "for-each-ref", "--format=%(objectname)", "refs/snaprun/submodules").split() == [
        library
    ]


def test_included_paths_go_in_even_when_git_ignores_them(box: Sandbox) -> None:
    box.write(".gitignore", "data/\n")
    box.write("data/small.csv", "1\n")
    box.write("data/other.csv", "2\n")
    box.write("big.bin", "x" * 2000)
    asked = request(
        max_file_size=1000, include=("data/small.csv", "big.bin", "../x", ".git/config", "/etc/passwd", "n*")
    )
    made = take(opened(box), asked)
    kept = in_commit(box, made.id)
    assert {"data/small.csv", "big.bin"} < kept.keys()
    assert not any("config" in path or "passwd" in path or "other" in path for path in kept)
    assert made.spec.left_out == ()


def test_what_cannot_be_read_is_named(box: Sandbox) -> None:
    prefix = weakened()
    box.write("closed.txt", "c\n").chmod(0)
    box.write("tracked.txt", "t\n")
    box.git("add", "tracked.txt")
    box.git("commit", "-q", "-m", "t")
    box.write("tracked.txt", "changed\n").chmod(0)
    box.write("folder/inside.txt", "i\n")
    (box.path / "folder").chmod(0)
    with box.untouched():
        told = elsewhere(box, prefix)
    (box.path / "folder").chmod(0o755)
    assert sorted(told["left"]) == [
        ["closed.txt", "it cannot be read"],
        ["folder", "a folder that cannot be opened"],
        ["tracked.txt", "it cannot be read"],
    ]
    assert not {"closed.txt", "tracked.txt", "folder/inside.txt"} & in_commit(box, told["id"]).keys()


def test_a_read_only_repository_is_refused_with_the_reason(box: Sandbox) -> None:
    prefix = weakened()
    folders = [path for path in (box.path / ".git").rglob("*") if path.is_dir()]
    for folder in [box.path / ".git", *folders]:
        folder.chmod(0o555)
    with box.untouched():
        told = elsewhere(box, prefix)
    for folder in [box.path / ".git", *folders]:
        folder.chmod(0o755)
    assert told["error"] in (Denied.__name__, CannotCreate.__name__)
    assert told["hint"]
    assert box.git("for-each-ref", "refs/snaprun") == ""


def test_only_the_object_store_being_read_only_leaves_nothing_behind(box: Sandbox) -> None:
    prefix = weakened()
    box.write("pack/mod.py", "x = 2\n")
    folders = [box.path / ".git/objects", *(path for path in (box.path / ".git/objects").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    told = elsewhere(box, prefix)
    for folder in folders:
        folder.chmod(0o755)
    assert told["error"] == Denied.__name__
    assert box.git("for-each-ref", "refs/snaprun") == ""
    assert list((box.path / ".git/snaprun/tmp").iterdir()) == []


def test_a_folder_of_another_user_gives_gits_own_advice(box: Sandbox) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in [box.path, *box.path.rglob("*")]:
        os.chown(path, 12345, 12345)
    with pytest.raises(Denied) as told:
        opened(box)
    assert told.value.hint.startswith("git config --global --add safe.directory")


def test_variables_of_a_calling_hook_do_not_lead_astray(box: Sandbox, tmp_path: Path) -> None:
    other = Sandbox(tmp_path / "other")
    other.write("theirs.py", "t\n")
    other.commit()
    box.write("pack/mod.py", "x = 2\n")
    inside = {"GIT_DIR": str(other.path / ".git"), "GIT_INDEX_FILE": str(other.path / ".git/index"), "GIT_PREFIX": "x/"}
    wild = {"GIT_WORK_TREE": str(other.path), "GIT_OBJECT_DIRECTORY": str(tmp_path), "GIT_LITERAL_PATHSPECS": "1"}
    with box.untouched(), other.untouched():
        told = elsewhere(box, **inside, **wild)
    assert in_commit(box, told["id"]) == on_disk(box)
    assert other.git("for-each-ref", "refs/snaprun") == ""


def test_a_hook_can_take_a_snapshot_of_its_own_repository(box: Sandbox) -> None:
    hook = box.write(".git/hooks/pre-commit", f"#!/bin/sh\nexec '{sys.executable}' -c '{SCRIPT}' . > ../told\n")
    hook.chmod(0o755)
    box.write("pack/mod.py", "x = 2\n")
    box.git("commit", "-q", "-a", "-m", "with a hook", env={"PYTHONPATH": str(Path(__file__).parent.parent)})
    told = json.loads((box.path.parent / "told").read_text())
    assert box.git("show", f"{told['id']}:pack/mod.py") == "x = 2\n"
    assert box.git("status", "--porcelain") == ""


def test_many_snapshots_at_once_are_as_many_runs(box: Sandbox) -> None:
    box.write("pack/mod.py", "x = 2\n")
    with box.untouched(), ThreadPoolExecutor(24) as pool:
        made = list(pool.map(lambda seed: take(opened(box), request(params={"seed": seed})), range(24)))
    assert len({one.id for one in made}) == 24
    assert len(box.git("for-each-ref", "refs/snaprun/runs").splitlines()) == 24
    assert {in_commit(box, one.id)["pack/mod.py"][1] for one in made} == {b"x = 2\n"}
    box.git("fsck", "--strict", "--no-dangling")


def test_a_prune_at_the_same_time_takes_nothing_away(box: Sandbox) -> None:
    over = threading.Event()

    def prune() -> None:
        while not over.is_set():
            box.git("prune", "--expire=now", ok=False)
            box.git("gc", "-q", "--prune=now", ok=False)

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        for number in range(15):
            box.write("pack/mod.py", f"x = {number}\n")
            box.write(f"new{number}.py", f"n = {number}\n")
            take(opened(box), request())
    finally:
        over.set()
        pruner.join()
    restore(opened(box).place)
    box.git("fsck", "--strict", "--connectivity-only", "--no-dangling")
    assert len(box.git("for-each-ref", "refs/snaprun/runs").splitlines()) == 15


def test_objects_that_a_late_prune_took_come_back(box: Sandbox) -> None:
    box.write("pack/mod.py", "x = 2\n")
    made = take(opened(box), request())
    place = opened(box).place
    ref = box.git("rev-parse", f"refs/snaprun/runs/{made.id}").strip()
    box.git("update-ref", "-d", f"refs/snaprun/runs/{ref}")  # as a prune saw it that began before
    box.git("prune", "--expire=now")
    assert box.git("cat-file", "-t", made.id, ok=False) == ""
    assert restore(place) > 0
    box.git("update-ref", f"refs/snaprun/runs/{ref}", ref)
    box.git("fsck", "--strict", "--connectivity-only", "--no-dangling")
    assert restore(place) == 0
    assert restore(place, f"refs/snaprun/runs/{made.id}") == 0
    forget(place, now=time.time() + 2 * HOUR)
    assert list((place.state / "fresh").iterdir()) == []


def test_files_that_come_go_grow_and_shrink_meanwhile(box: Sandbox) -> None:
    over = threading.Event()

    def churn() -> None:
        number = 0
        while not over.is_set():
            number += 1
            box.write(f"churn/{number % 7}.txt", "x" * (number * 7919 % 300_000))
            (box.path / f"churn/{number % 5}.txt").unlink(missing_ok=True)
            with open(box.path / "grow.txt", "a") as file:
                file.write(f"line {number}\n" * 50)
            with open(box.path / "shrink.bin", "wb") as file:
                file.truncate(number % 3 * 1_000_000)

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        made = [take(opened(box), request()) for _ in range(12)]
    finally:
        over.set()
        writer.join()
    for one in made:
        assert in_commit(box, one.id)["pack/mod.py"] == ("100644", b"x = 1\n")
    box.git("fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize("command", ["hash-object", "unpack-objects", "update-ref"])
@pytest.mark.parametrize("call", ["write", "openat", "link"])
def test_a_full_disk_leaves_nothing_half_made(box: Sandbox, tmp_path: Path, command: str, call: str) -> None:
    box.write("pack/mod.py", "x = 2\n" * 1000)
    shim(tmp_path / "bin", command, f"-e inject={call}:error=ENOSPC:when={3 if call == 'openat' else 1}+")
    with box.untouched():
        told = elsewhere(box, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    if "id" not in told:  # a call that this command does not make, or one before it writes anything
        assert told["error"] in (WriteFault.__name__, "Unavailable", "CannotCreate"), told
        assert box.git("for-each-ref", "refs/snaprun") == ""
    assert "id" in elsewhere(box)
    box.git("fsck", "--strict", "--no-dangling")
    assert list((box.path / ".git/snaprun/tmp").iterdir()) == []
    assert list((box.path / ".git").rglob("*.lock")) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "hash-object", "unpack-objects", "update-ref", "cat-file"])
def test_killing_git_at_any_system_call_leaves_a_working_repository(box: Sandbox, tmp_path: Path, command: str) -> None:
    box.write("pack/mod.py", "x = 2\n")
    repo = opened(box)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    with box.untouched():
        shim(tmp_path / "bin", command, "-e trace=all", output=tmp_path / "calls")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path)
            take(repo, request())
        for call, count in schedule.sample(calls(tmp_path / "calls"), 9):
            shim(tmp_path / "bin", command, f"-e inject={call}:signal=SIGKILL:when={count}")
            with pytest.MonkeyPatch.context() as patch, suppress(SnaprunError):
                patch.setenv("PATH", path)
                take(repo, request(params={"at": [call, count]}))
            take(repo, request(params={"after": [call, count]}))
            assert list((box.path / ".git").rglob("*.lock")) == []
    box.git("fsck", "--strict", "--no-dangling")
    assert list((box.path / ".git/snaprun/tmp").iterdir()) == []


@pytest.mark.slow
def test_killing_the_process_at_any_system_call_leaves_a_working_repository(box: Sandbox, tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("there is no strace")
    box.write("pack/mod.py", "x = 2\n")
    repo = opened(box)
    with box.untouched():
        take(repo, request())
        traced(lambda: take(repo, request()), tmp_path / "calls", "trace=all")
        for call, count in schedule.sample(calls(tmp_path / "calls"), 9):
            traced(lambda: take(repo, request()), tmp_path / "calls", f"inject={call}:signal=SIGKILL:when={count}")
            take(repo, request(params={"after": [call, count]}))
            assert list((box.path / ".git").rglob("*.lock")) == []
    box.git("fsck", "--strict", "--no-dangling")
    assert list((box.path / ".git/snaprun/tmp").iterdir()) == []
