"""A checkout has what the user's tree has, in every state of a repository, and is whole after any accident."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snaprun.checkouts import slots
from snaprun.freeze.capture import take
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import find
from tests.checkouts import contents, used
from tests.runs import gate
from tests.sandbox import Sandbox
from tests.snapshots import request

STATES: dict[str, Callable[[Sandbox], None]] = {}


def state(make: Callable[[Sandbox], None]) -> Callable[[Sandbox], None]:
    STATES[make.__name__] = make
    return make


@state
def clean(box: Sandbox) -> None:
    box.commit()


@state
def names(box: Sandbox) -> None:
    for name in ("täb\tle", "a b", "new\nline", '"quoted"', "back\\slash", "-dash", ":colon", "*", "[a]", "emoji 🎉"):
        box.write(name, name)
    (box.path / os.fsdecode(b"caf\xe9")).write_text("latin-1")
    box.write("deep/" + "/".join(["folder"] * 30) + "/file", "x")


@state
def modes_and_links(box: Sandbox) -> None:
    box.write("tool.sh", "#!/bin/sh\n").chmod(0o755)
    (box.path / "dangling").symlink_to("nowhere")
    (box.path / "outside").symlink_to("/etc/hostname")
    box.write("folder/file", "x")
    (box.path / "to-folder").symlink_to("folder")


@state
def swaps(box: Sandbox) -> None:
    box.write("a", "file")
    box.write("b/inner", "folder")
    (box.path / "c").symlink_to("a")
    box.commit()
    (box.path / "a").unlink()
    box.write("a/inner", "now a folder")
    (box.path / "b/inner").unlink()
    (box.path / "b").rmdir()
    (box.path / "b").symlink_to("a")
    (box.path / "c").unlink()
    box.write("c", "now a file")


@state
def sparse_cone(box: Sandbox) -> None:
    box.write("in/a", "1")
    box.write("out/b", "2")
    box.commit()
    box.git("sparse-checkout", "set", "--cone", "in")
    box.write("in/new", "3")


@state
def sparse_index(box: Sandbox) -> None:
    box.write("in/a", "1")
    box.write("out/deep/b", "2")
    box.commit()
    box.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")


@state
def skip_worktree_and_assume_unchanged(box: Sandbox) -> None:
    box.write("skipped", "old")
    box.write("assumed", "old")
    box.commit()
    box.git("update-index", "--skip-worktree", "skipped")
    box.git("update-index", "--assume-unchanged", "assumed")
    box.write("skipped", "new and longer")
    box.write("assumed", "new and longer")


@state
def filters(box: Sandbox) -> None:
    box.git("config", "filter.rot.clean", "tr a-z n-za-m")
    box.git("config", "filter.rot.smudge", "tr a-z n-za-m")
    box.write(".gitattributes", "*.rot filter=rot\n")
    box.write("secret.rot", "plain text")


@state
def filter_with_a_broken_smudge(box: Sandbox) -> None:
    box.git("config", "filter.lfs.clean", "cat")
    box.git("config", "filter.lfs.smudge", "false")
    box.git("config", "filter.lfs.required", "true")
    box.write(".gitattributes", "*.bin filter=lfs\n")
    box.write("model.bin", "version https://git-lfs.github.com/spec/v1\n")


@state
def filter_that_is_gone(box: Sandbox) -> None:
    box.write(".gitattributes", "*.bin filter=lfs\n")
    box.write("model.bin", "raw bytes")
    box.git("config", "filter.lfs.process", "git-lfs-is-not-here filter-process")
    box.git("config", "filter.lfs.required", "true")


@state
def line_ends(box: Sandbox) -> None:
    box.git("config", "core.autocrlf", "true")
    box.write("windows.txt", "one\r\ntwo\r\n")
    (box.path / "README").write_text("a project\r\n")
    box.write(".gitattributes", "*.sh eol=lf\n*.u16 working-tree-encoding=UTF-16LE\n".replace("\n", "\r\n"))
    box.write("unix.sh", "one\ntwo\n")
    box.write("wide.u16", "wörd".encode("utf-16-le"))


@state
def odd_configuration(box: Sandbox) -> None:
    for key, value in {
        "core.fileMode": "false",
        "color.ui": "always",
        "core.quotePath": "true",
        "status.showUntrackedFiles": "no",
        "core.trustctime": "false",
        "core.checkStat": "minimal",
        "core.untrackedCache": "true",
        "core.fsmonitor": "/bin/false",
        "core.splitIndex": "true",
        "core.hooksPath": "hooks",
        "submodule.recurse": "true",
        "core.logAllRefUpdates": "always",
        "commit.gpgSign": "true",
        "gpg.program": "false",
        "checkout.defaultRemote": "nowhere",
        "worktree.guessRemote": "true",
        "worktree.useRelativePaths": "true",
    }.items():
        box.git("config", key, value)
    box.write("täst", "x")


@state
def worktree_configuration(box: Sandbox) -> None:
    box.git("config", "extensions.worktreeConfig", "true")
    box.git("config", "--worktree", "core.sparseCheckout", "true")
    box.write(".git/info/sparse-checkout", "/in/\n")
    box.write("in/a", "1")
    box.write("b", "2")


@state
def dirty_submodule(box: Sandbox) -> None:
    inner = Sandbox(box.path.parent / "library")
    inner.write("lib.py", "old")
    inner.write("deep/er.py", "old")
    inner.commit()
    box.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "vendor/lib")
    box.commit()
    box.write("vendor/lib/lib.py", "changed here")


@state
def nested_submodules(box: Sandbox) -> None:
    deepest, middle = Sandbox(box.path.parent / "deepest"), Sandbox(box.path.parent / "middle")
    deepest.write("deepest.txt", "3")
    deepest.commit()
    allow = ("-c", "protocol.file.allow=always", "submodule", "--quiet")
    middle.git(*allow, "add", str(deepest.path), "inner")
    middle.write("middle.txt", "2")
    middle.commit()
    box.git(*allow, "add", str(middle.path), "sub")
    box.git(*allow, "update", "--init", "--recursive")


@state
def uninitialised_submodule(box: Sandbox) -> None:
    dirty_submodule(box)
    box.git("submodule", "--quiet", "deinit", "--force", "--all")


@pytest.mark.parametrize("name", STATES)
def test_the_checkout_has_what_the_users_tree_has(name: str, repo: Sandbox) -> None:
    repo.commit()
    STATES[name](repo)
    with repo.untouched():
        slot = used(repo)
    here = contents(repo.path)
    there = contents(slot.path)
    assert {path: there.get(path) for path in here} == here
    extra = set(there) - set(here)
    assert extra == ({"out/b"} if name == "sparse_cone" else {"out/deep/b"} if name == "sparse_index" else set())
    if name not in ("filter_that_is_gone", "filter_with_a_broken_smudge"):  # there git cannot say, here as there
        command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain", "-uall"]
        assert subprocess.check_output(command, cwd=slot.path) == b""
    slots.release(slot)
    with repo.untouched():
        again = used(repo)
        assert contents(again.path) == there and again.path == slot.path
    slots.release(again)


@pytest.mark.parametrize("name", ["dirty_submodule", "nested_submodules", "swaps", "names", "filters"])
def test_a_slot_goes_from_any_state_to_any_other_and_back(name: str, repo: Sandbox) -> None:
    start = repo.commit()
    STATES[name](repo)
    there = take(gate(repo), request("README")).id
    first = used(repo, start)
    plain = contents(first.path)
    slots.release(first)
    second = used(repo, there)
    full = contents(second.path)
    slots.release(second)
    assert set(full) > set(plain)
    third = used(repo, start)
    assert contents(third.path) == plain
    assert sorted(os.listdir(third.path)) == sorted({".git"} | {path.split("/")[0] for path in plain})
    slots.release(third)
    fourth = used(repo, there)
    assert contents(fourth.path) == full
    slots.release(fourth)
    assert repo.git("fsck", "--no-dangling") == ""


def test_sha256_and_linked_worktrees(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "repo", "--object-format=sha256")
    box.write("README", "x")
    box.commit()
    box.git("worktree", "add", "-q", "../second", "-b", "other")
    second = Sandbox.__new__(Sandbox)
    second.path = tmp_path / "second"
    second.write("only-here", "y")
    slot = used(second)
    assert set(contents(slot.path)) == {"README", "only-here"}
    slots.release(slot)
    main = used(box)
    assert main.path == slot.path
    assert set(contents(main.path)) == {"README"}
    slots.release(main)


def test_a_tree_without_any_commit(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "repo")
    box.write("README", "x")
    slot = used(box)
    assert set(contents(slot.path)) == {"README"}
    slots.release(slot)


def test_core_worktree_elsewhere(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "repo")
    box.write("README", "x")
    box.commit()
    top = tmp_path / "elsewhere"
    top.mkdir()
    box.git("config", "core.worktree", str(top))
    (top / "README").write_text("y")
    git = GitRepo(find(tmp_path / "repo/.git/..", {**os.environ, "GIT_DIR": str(tmp_path / "repo/.git")}))
    assert git.place.top == top
    run_id = take(git, request("README")).id
    slot = slots.claim(git, run_id, live=git.place.live)
    slots.lay_out(git, slot, run_id)
    assert contents(slot.path) == {"README": ("file", b"y")}
    inside = subprocess.check_output(["git", "rev-parse", "--show-toplevel", "HEAD"], cwd=slot.path, text=True)
    assert inside.split() == [str(slot.path), run_id]
    slots.release(slot)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 7\n"

FAKE_LFS = """#!/bin/sh
# stands for git-lfs: stores by sum, fetches from nowhere, honours what git-lfs honours
store=$(git rev-parse --git-common-dir)/lfs
mkdir -p "$store"
if [ "$1" = clean ]; then
    cat > "$store/new"
    if head -c 7 "$store/new" | grep -q version; then cat "$store/new"; exit; fi
    sum=$(sha256sum < "$store/new" | cut -d' ' -f1)
    mv "$store/new" "$store/$sum"
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 7\n' "$sum"
else
    cat > "$store/pointer.$$"
    sum=$(sed -n 's/oid sha256://p' "$store/pointer.$$")
    if [ -n "$GIT_LFS_SKIP_SMUDGE" ] || [ "$(git config lfs.fetchexclude)" = "$2" ]; then
        cat "$store/pointer.$$"
    elif [ -e "$store/$sum" ]; then cat "$store/$sum"
    else echo "download of $2" >> "$store/downloads"; exit 2
    fi
fi
"""


def test_large_files_are_laid_out_as_the_user_has_them(repo: Sandbox) -> None:
    tool = repo.path / ".git/fake-lfs"
    tool.write_text(FAKE_LFS)
    tool.chmod(0o755)
    for key in ("clean", "smudge"):
        repo.git("config", f"filter.lfs.{key}", f"{tool} {key} %f")
    repo.git("config", "filter.lfs.required", "true")
    repo.write(".gitattributes", "*.bin filter=lfs\n")
    repo.write("have.bin", "content")
    repo.write("skipped.bin", POINTER.format("0" * 64))
    repo.commit()
    downloads = repo.path / ".git/lfs/downloads"
    slot = used(repo)
    assert contents(slot.path) == contents(repo.path) and not downloads.exists()
    slots.release(slot)
    (repo.path / ".git/lfs" / ("0" * 64)).write_text("content of skipped")
    repo.write("skipped.bin", "content of skipped")  # git lfs pull
    slot = used(repo, repo.git("rev-parse", "HEAD").strip())
    assert (slot.path / "skipped.bin").read_text() == "content of skipped"
    slots.release(slot)
    for name in ("have.bin", "skipped.bin"):
        repo.write(name, repo.git("show", f"HEAD:{name}"))
    slot = used(repo)
    assert contents(slot.path) == contents(repo.path) and not downloads.exists()
    slots.release(slot)


def test_a_partial_and_sparse_clone_offline(repo: Sandbox, tmp_path: Path) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.write("in/a", "1")
    repo.write("out/b", "2")
    repo.commit()
    url = f"file://{repo.path}"
    subprocess.run(["git", "clone", "-q", "--filter=blob:none", "--sparse", url, tmp_path / "clone"], check=True)
    box = Sandbox.__new__(Sandbox)
    box.path = tmp_path / "clone"
    box.git("sparse-checkout", "set", "in")
    box.git("remote", "set-url", "origin", "file:///gone")
    git = gate(box)
    run_id = take(git, request("README")).id
    slot = slots.claim(git, run_id, live=git.place.live)
    notes = slots.lay_out(git, slot, run_id)
    assert notes == ("1 files are not in this partial clone, nor in the run: out/b, …",)
    assert set(contents(slot.path)) == {"README", "in/a"}
    assert subprocess.check_output(["git", "status", "--porcelain"], cwd=slot.path) == b""
    slots.release(slot)
    box.write("in/a", "changed")
    slot = used(box)
    assert contents(slot.path) == contents(box.path)
    slots.release(slot)
