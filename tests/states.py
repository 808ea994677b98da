"""The states that real repositories are in: how each is made, and what a snapshot of it must hold.

A line of :data:`STATES` is a name, the maker, and what is expected beyond the rule that every file on disk that git
does not ignore is in the snapshot with its bytes and its mode.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.sandbox import Sandbox

NOTEBOOK = "nb.ipynb"

Maker = Callable[[Sandbox], "Sandbox | None"]


@dataclass(frozen=True)
class State:
    """One line of the table.

    ``make`` may return another sandbox to take the snapshot in. ``left`` are paths that stay out, with a word of the
    reason; ``content`` are paths whose stored content is another one (None: not in the snapshot); ``warns`` are words
    of the warnings; ``refused`` is a word of the error instead of a snapshot.
    """

    name: str
    make: Maker
    left: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, bytes | None] = field(default_factory=dict)
    warns: tuple[str, ...] = ()
    refused: str = ""
    dirty: bool = True
    init: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


def base(box: Sandbox) -> None:
    """What every state starts from: a notebook, a package, an ignored folder, all committed."""
    box.notebook(NOTEBOOK, "import pack", "1 + 1")
    box.write("pack/__init__.py", "x = 1\n")
    box.write("pack/deep/er/mod.py", "y = 1\n")
    box.write("tool.sh", "#!/bin/sh\n").chmod(0o755)
    box.write(".gitignore", "data/\n*.log\n")
    box.write("data/big.csv", "1,2\n")
    box.commit("base")


def clean(box: Sandbox) -> None:
    """Nothing changed."""


def edits(box: Sandbox) -> None:
    """Staged, modified, deleted, renamed, untracked, and staged then modified again."""
    box.write("pack/__init__.py", "x = 2\n")
    box.write("staged.py", "s = 1\n")
    box.git("add", "staged.py")
    box.write("staged.py", "s = 2\n")
    box.write("only_staged.py", "o = 1\n")
    box.git("add", "only_staged.py")
    box.git("mv", "pack/deep/er/mod.py", "pack/moved.py")
    (box.path / "README").unlink()
    box.write("new/un/tracked.py", "u = 1\n")


def staged_deletion(box: Sandbox) -> None:
    """Deleted in the index, still on disk; and staged as new, gone from disk."""
    box.git("rm", "-q", "--cached", "README")
    box.write("fleeting.py", "f\n")
    box.git("add", "fleeting.py")
    (box.path / "fleeting.py").unlink()


def tracked_but_ignored(box: Sandbox) -> None:
    box.write("kept.log", "1\n")
    box.git("add", "-f", "kept.log")
    box.git("commit", "-q", "-m", "log")
    box.write("kept.log", "2\n")


def no_index(box: Sandbox) -> None:
    box.write("pack/__init__.py", "x = 2\n")
    (box.path / ".git/index").unlink()


def corrupt_index(box: Sandbox) -> None:
    box.write("pack/__init__.py", "x = 2\n")
    index = box.path / ".git/index"
    index.write_bytes(index.read_bytes()[:100] + b"garbage" * 20)


def empty_index_file(box: Sandbox) -> None:
    box.write("pack/__init__.py", "x = 2\n")
    (box.path / ".git/index").write_bytes(b"")


def detached(box: Sandbox) -> None:
    box.git("checkout", "-q", "--detach")
    box.write("pack/__init__.py", "x = 2\n")


def _diverge(box: Sandbox) -> None:
    box.git("checkout", "-q", "-b", "other")
    box.write("pack/__init__.py", "x = 'other'\n")
    box.write("README", "other\n")
    box.commit("other")
    box.git("checkout", "-q", "main")
    box.write("pack/__init__.py", "x = 'main'\n")
    box.commit("main")


def conflict(box: Sandbox) -> None:
    _diverge(box)
    box.git("merge", "-q", "other", ok=False)


def conflict_deleted(box: Sandbox) -> None:
    """Deleted by us, changed by them, and then removed from disk."""
    box.git("checkout", "-q", "-b", "other")
    box.write("README", "theirs\n")
    box.commit("other")
    box.git("checkout", "-q", "main")
    (box.path / "README").unlink()
    box.commit("main")
    box.git("merge", "-q", "other", ok=False)
    (box.path / "README").unlink(missing_ok=True)


def merge_resolved(box: Sandbox) -> None:
    conflict(box)
    box.write("pack/__init__.py", "x = 'both'\n")
    box.git("add", "pack/__init__.py")


def rebasing(box: Sandbox) -> None:
    _diverge(box)
    box.git("rebase", "-q", "other", ok=False)


def picking(box: Sandbox) -> None:
    _diverge(box)
    box.git("cherry-pick", "other", ok=False)


def bisecting(box: Sandbox) -> None:
    for number in range(4):
        box.write("README", f"{number}\n")
        box.commit()
    box.git("bisect", "start", "-q", "HEAD", "HEAD~3")
    box.write("pack/__init__.py", "x = 2\n")


def linked_worktree(box: Sandbox) -> Sandbox:
    place = box.path.parent / "linked"
    box.git("worktree", "add", "-q", "-b", "side", str(place))
    other = _at(place)
    other.write("pack/__init__.py", "x = 3\n")
    return other


def _at(path: Path) -> Sandbox:
    """A sandbox over a repository that is already there."""
    box = object.__new__(Sandbox)
    box.path = path
    return box


def _with_submodule(box: Sandbox) -> Path:
    source = Sandbox(box.path.parent / "library")
    source.write("lib.py", "v = 1\n")
    source.commit()
    box.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(source.path), "lib")
    box.commit("with a submodule")
    return box.path / "lib"


def submodule_clean(box: Sandbox) -> None:
    _with_submodule(box)
    box.write("pack/__init__.py", "x = 2\n")


def submodule_dirty(box: Sandbox) -> None:
    inside = _at(_with_submodule(box))
    inside.write("lib.py", "v = 2\n")
    inside.write("more.py", "w = 1\n")


def submodule_moved(box: Sandbox) -> None:
    inside = _at(_with_submodule(box))
    inside.write("lib.py", "v = 3\n")
    inside.commit("moved on")


def submodule_uninitialised(box: Sandbox) -> None:
    _with_submodule(box)
    box.git("submodule", "--quiet", "deinit", "-f", "lib")
    box.write("pack/__init__.py", "x = 2\n")


def submodule_index_broken(box: Sandbox) -> None:
    """Git's own status of the whole fails on it."""
    inside = _at(_with_submodule(box))
    inside.write("lib.py", "v = 5\n")
    (box.path / ".git/modules/lib/index").write_bytes(b"garbage" * 10)


def submodule_without_repository(box: Sandbox) -> None:
    _with_submodule(box)
    (box.path / ".git/modules/lib/HEAD").unlink()
    box.write("pack/__init__.py", "x = 2\n")


def inside_submodule(box: Sandbox) -> Sandbox:
    inside = _at(_with_submodule(box))
    inside.notebook(NOTEBOOK, "1")
    inside.write("lib.py", "v = 4\n")
    return inside


def nested_with_commit(box: Sandbox) -> None:
    nested = Sandbox(box.path / "nested")
    nested.write("inner.py", "i\n")
    nested.commit()


def nested_without_commit(box: Sandbox) -> None:
    Sandbox(box.path / "nested").write("inner.py", "i\n")


def sparse_cone(box: Sandbox) -> None:
    box.write("far/away.py", "a\n")
    box.commit()
    box.git("sparse-checkout", "set", "--cone", "pack")
    box.write("pack/__init__.py", "x = 2\n")


def sparse_index(box: Sandbox) -> None:
    box.write("far/off/away.py", "a\n")
    box.commit()
    box.git("sparse-checkout", "set", "--cone", "--sparse-index", "pack")
    box.write("pack/new.py", "n\n")


def sparse_outside(box: Sandbox) -> None:
    """Files on disk where the cone says there are none: a tracked one and a new one."""
    sparse_cone(box)
    box.write("far/away.py", "edited outside\n")
    box.write("far/new.py", "new outside\n")


def sparse_without_index(box: Sandbox) -> None:
    sparse_cone(box)
    (box.path / ".git/index").unlink()


def split_index(box: Sandbox) -> None:
    box.git("update-index", "--split-index")
    box.write("pack/__init__.py", "x = 2\n")
    box.write("other.py", "o\n")
    box.git("add", "other.py")


def version_four(box: Sandbox) -> None:
    edits(box)
    box.git("update-index", "--index-version", "4")


def untracked_cache(box: Sandbox) -> None:
    box.git("update-index", "--force-untracked-cache")
    box.git("status")
    box.write("pack/fresh.py", "f\n")


def stale_fsmonitor(box: Sandbox) -> None:
    """A monitor that always says that nothing changed."""
    hook = box.write(".git/monitor", "#!/bin/sh\nprintf 'token\\0'\n")
    hook.chmod(0o755)
    box.git("config", "core.fsmonitor", str(hook))
    box.git("update-index", "--fsmonitor")
    box.git("status")
    box.write("pack/__init__.py", "x = 'changed behind its back'\n")


def intent_to_add(box: Sandbox) -> None:
    box.write("soon.py", "soon\n")
    box.git("add", "-N", "soon.py")


def assume_unchanged(box: Sandbox) -> None:
    box.git("update-index", "--assume-unchanged", "pack/__init__.py", "README", "tool.sh")
    box.write("pack/__init__.py", "x = 'hidden'\n")
    (box.path / "README").unlink()


def skip_worktree(box: Sandbox) -> None:
    box.git("update-index", "--skip-worktree", "pack/__init__.py")
    box.write("pack/__init__.py", "x = 'local settings'\n")


def both_flags(box: Sandbox) -> None:
    box.git("update-index", "--assume-unchanged", "pack/__init__.py")
    box.git("update-index", "--skip-worktree", "pack/__init__.py")
    box.write("pack/__init__.py", "x = 'both'\n")


def same_tick(box: Sandbox) -> None:
    """Same size, same time stamp as when it was committed: only the index's own time stamp gives it away."""
    path = box.path / "pack/__init__.py"
    about = path.stat()
    index = box.path / ".git/index"
    path.write_text("x = 9\n")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.utime(index, ns=(about.st_mtime_ns, about.st_mtime_ns))


def filter_present(box: Sandbox) -> None:
    box.git("config", "filter.strip.clean", "sed s/secret/hidden/")
    box.git("config", "filter.strip.required", "true")
    box.write(".gitattributes", "*.txt filter=strip\n")
    box.write("a.txt", "my secret\n")


def filter_of_the_notebook(box: Sandbox) -> None:
    box.git("config", "filter.strip.clean", "sed s/import/IMPORT/")
    box.write(".gitattributes", "*.ipynb filter=strip\n")
    box.notebook(NOTEBOOK, "import pack  # edited")


def filter_missing_optional(box: Sandbox) -> None:
    box.git("config", "filter.gone.clean", "no-such-program-anywhere")
    box.write(".gitattributes", "*.txt filter=gone\n")
    box.write("a.txt", "raw\n")


def filter_missing_required(box: Sandbox) -> None:
    box.git("config", "filter.lfs.clean", "no-such-lfs clean -- %f")
    box.git("config", "filter.lfs.process", "no-such-lfs filter-process")
    box.git("config", "filter.lfs.required", "true")
    box.write(".gitattributes", "*.bin filter=lfs\n")
    box.write("weights.bin", b"\0\1\2")
    box.write("more.bin", b"\3")


def filter_missing_on_tracked(box: Sandbox) -> None:
    """A tracked file whose filter went away after it was committed, and that was touched."""
    box.write(".gitattributes", "*.bin filter=lfs\n")
    box.write("weights.bin", b"pointer\n")
    box.commit()
    filter_missing_required(box)


def autocrlf(box: Sandbox) -> None:
    box.git("config", "core.autocrlf", "true")
    box.write("dos.txt", b"a\r\nb\r\n")


def safecrlf(box: Sandbox) -> None:
    box.git("config", "core.autocrlf", "input")
    box.git("config", "core.safecrlf", "true")
    box.write("mixed.txt", b"a\r\nb\n")


def encoding(box: Sandbox) -> None:
    box.write(".gitattributes", "*.u16 working-tree-encoding=UTF-16LE\n")
    box.write("text.u16", "grüß\n".encode("utf-16-le"))


def encoding_invalid(box: Sandbox) -> None:
    box.write(".gitattributes", "*.u16 working-tree-encoding=UTF-16\n")
    box.write("broken.u16", b"no byte order mark")
    box.write("fine.py", "f\n")


def links(box: Sandbox) -> None:
    (box.path / "dangling").symlink_to("nowhere")
    (box.path / "outside").symlink_to("/etc")
    (box.path / "to_dir").symlink_to("pack")


def modes(box: Sandbox) -> None:
    box.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (box.path / "tool.sh").chmod(0o644)
    (box.path / "pack/__init__.py").chmod(0o755)


def swaps(box: Sandbox) -> None:
    """File to folder, folder to file, file to link, link to file, folder to link."""
    box.write("afile", "a\n")
    box.write("adir/x", "x\n")
    box.write("bdir/y", "y\n")
    (box.path / "alink").symlink_to("README")
    box.commit()
    (box.path / "afile").unlink()
    box.write("afile/inner", "i\n")
    (box.path / "adir/x").unlink()
    (box.path / "adir").rmdir()
    box.write("adir", "now a file\n")
    (box.path / "bdir/y").unlink()
    (box.path / "bdir").rmdir()
    (box.path / "bdir").symlink_to("pack")
    (box.path / "alink").unlink()
    box.write("alink", "now a file\n")
    (box.path / "README").unlink()
    (box.path / "README").symlink_to("tool.sh")


NAMES = [
    "ünï/çödé ☃.py", " leading and trailing ", "tab\there", "new\nline", 'quo"te', '"quoted"', "back\\slash", "-dash",
    ":colon", ":(top)magic", "gl*b?[x].py", "carriage\r", "with\nnew\nlines/in/folder.py", "'single'", "#hash", "!bang",
]  # fmt: skip


def names(box: Sandbox) -> None:
    for name in NAMES:
        box.write(name, f"{len(name)}\n")
    box.git("add", "-A")
    box.git("commit", "-q", "-m", "odd names")
    for name in NAMES:
        box.write(name, f"{len(name)} again\n")
        box.write(f"untracked/{name}", "new\n")


def raw_names(box: Sandbox) -> None:
    with open(os.path.join(os.fsencode(box.path), b"latin-\xe9\xff.txt"), "wb") as file:
        file.write(b"bytes\n")


def pipes(box: Sandbox) -> None:
    """A pipe and a socket in place of tracked files, and a new one, which git itself does not list."""
    (box.path / "README").unlink()
    os.mkfifo(box.path / "README")
    os.mkfifo(box.path / "new_pipe")
    os.mkfifo(box.path / "ignored.log")
    (box.path / "tool.sh").unlink()
    here = os.getcwd()
    os.chdir(box.path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("tool.sh")
    os.chdir(here)


def huge(box: Sandbox) -> None:
    with open(box.path / "model.bin", "wb") as file:
        file.truncate(200_000_000)
    box.write("small.bin", b"x")


def huge_tracked(box: Sandbox) -> None:
    box.write("table.csv", "1\n")
    box.commit()
    box.write("table.csv", "1234567890" * 200)


def secrets(box: Sandbox) -> None:
    box.write(".env", "TOKEN=1\n")
    box.write("keys/id_rsa", "-----BEGIN\n")
    box.write("conf/.aws/credentials", "[default]\n")
    box.write("tracked.pem", "public\n")
    box.git("add", "tracked.pem")
    box.git("commit", "-q", "-m", "a certificate")
    box.write("tracked.pem", "changed\n")
    box.write(".env.example", "TOKEN=\n")


def ignored_notebook(box: Sandbox) -> None:
    box.write(".gitignore", "data/\n*.log\n*.ipynb\n")
    box.git("rm", "-q", "--cached", NOTEBOOK)
    box.git("commit", "-q", "-am", "no notebooks in git")


def locked(box: Sandbox) -> None:
    box.write("pack/__init__.py", "x = 2\n")
    box.write(".git/index.lock", "")


def hooks(box: Sandbox) -> None:
    """Every hook there is, each leaving a mark and refusing."""
    folder = box.path / ".git/hooks"
    folder.mkdir(exist_ok=True)
    for name in HOOKS:
        path = folder / name
        path.write_text(f"#!/bin/sh\necho {name} >> '{box.path.parent}/hooks-that-ran'\nexit 1\n")
        path.chmod(0o755)
    box.write("pack/__init__.py", "x = 2\n")


HOOKS = [
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout", "post-commit",
    "post-index-change", "post-merge", "post-receive", "post-rewrite", "post-update", "pre-applypatch", "pre-auto-gc",
    "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase", "pre-receive", "prepare-commit-msg",
    "proc-receive", "push-to-checkout", "reference-transaction", "sendemail-validate", "update",
]  # fmt: skip


def broken_gpg(box: Sandbox) -> None:
    box.git("config", "commit.gpgsign", "true")
    box.git("config", "gpg.program", "/bin/false")
    box.write("pack/__init__.py", "x = 2\n")


def plain_edit(box: Sandbox) -> None:
    box.write("pack/__init__.py", "x = 2\n")


def alternates(box: Sandbox) -> Sandbox:
    place = box.path.parent / "shared"
    box.git("clone", "-q", "--shared", str(box.path), str(place))
    other = _at(place)
    other.write("pack/__init__.py", "x = 5\n")
    return other


def shallow(box: Sandbox) -> Sandbox:
    box.write("README", "2\n")
    box.commit()
    place = box.path.parent / "shallow"
    box.git("clone", "-q", "--depth", "1", f"file://{box.path}", str(place))
    other = _at(place)
    other.write("pack/__init__.py", "x = 6\n")
    return other


def partial_offline(box: Sandbox) -> Sandbox:
    box.git("config", "uploadpack.allowFilter", "true")
    box.write("README", "2\n")
    box.commit()
    place = box.path.parent / "partial"
    box.git("clone", "-q", "--filter=blob:none", f"file://{box.path}", str(place))
    other = _at(place)
    other.git("config", "remote.origin.url", "file:///nowhere/at/all")
    other.write("pack/__init__.py", "x = 7\n")
    return other


def worktree_elsewhere(box: Sandbox) -> None:
    """``core.worktree`` points back here from a git folder that lies elsewhere."""
    there = box.path.parent / "elsewhere.git"
    os.rename(box.path / ".git", there)
    (box.path / ".git").write_text(f"gitdir: {there}\n")
    box.git("config", "core.worktree", str(box.path))
    box.write("pack/__init__.py", "x = 8\n")


ODD = """
color.ui=always core.quotePath=true status.showUntrackedFiles=no status.short=true status.relativePaths=true
status.branch=true status.renames=copies status.showStash=true diff.ignoreSubmodules=all core.pager=false
diff.noprefix=true diff.external=false core.abbrev=4 core.precomposeUnicode=true core.logAllRefUpdates=always
i18n.commitEncoding=latin1 core.checkStat=minimal user.useConfigOnly=true advice.statusHints=false column.ui=always
core.whitespace=blank-at-eol core.bigFileThreshold=1 fetch.fsckObjects=true transfer.unpackLimit=1
"""


def odd_settings(box: Sandbox) -> None:
    for setting in ODD.split():
        box.git("config", *setting.split("="))
    box.write("pack/__init__.py", "x = 2   \n")
    box.write("untracked dir/file.py", "u\n")


def no_filemode(box: Sandbox) -> None:
    box.git("config", "core.fileMode", "false")
    box.write("pack/__init__.py", "x = 2\n")


def deep(box: Sandbox) -> None:
    """A path near the longest that the system takes."""
    folder = box.path
    while len(str(folder)) < 3000:
        folder = folder / ("d" * 50)
    here = os.getcwd()
    os.chdir(box.path)
    for _ in range(58):
        os.mkdir("d" * 50)
        os.chdir("d" * 50)
    Path("deep.py").write_text("deep\n")
    os.chdir(here)


def empty_folders(box: Sandbox) -> None:
    (box.path / "empty/inside").mkdir(parents=True)


def own_snaprun_folder(box: Sandbox) -> None:
    box.write(".snaprun/run.json", "{}")
    box.write(".snaprun/other", "mine\n")
    box.commit()


STATES = [
    State("clean", clean, dirty=False),
    State("every kind of edit", edits),
    State("deleted in the index only", staged_deletion, dirty=False),
    State("tracked though ignored", tracked_but_ignored),
    State("missing index", no_index, warns=("index is missing",)),
    State("corrupt index", corrupt_index, warns=("index is broken",)),
    State("empty index file", empty_index_file, warns=("index is",)),
    State("detached HEAD", detached),
    State("merge with conflicts", conflict, refused="conflicts"),
    State("merge with conflicts allowed", conflict, warns=("conflicts",), options={"allow_conflicts": True}),
    State("conflict with a deleted file", conflict_deleted, warns=("conflicts",), options={"allow_conflicts": True},
          dirty=False),
    State("merge, conflicts resolved", merge_resolved),
    State("mid-rebase", rebasing, options={"allow_conflicts": True}, warns=("conflicts",)),
    State("mid-cherry-pick", picking, options={"allow_conflicts": True}, warns=("conflicts",)),
    State("bisect", bisecting),
    State("linked worktree", linked_worktree),
    State("clean submodule", submodule_clean),
    State("dirty submodule", submodule_dirty),
    State("moved submodule", submodule_moved),
    State("uninitialised submodule", submodule_uninitialised),
    State("broken index of a submodule", submodule_index_broken, warns=("submodule lib: the index is broken",)),
    State("submodule whose repository is gone", submodule_without_repository, warns=("cannot be opened",)),
    State("inside a submodule", inside_submodule),
    State("nested repository with a commit", nested_with_commit, left={"nested": "repository"}, dirty=False),
    State("nested repository without a commit", nested_without_commit, left={"nested": "repository"}, dirty=False),
    State("sparse checkout, cone", sparse_cone, content={"far/away.py": b"a\n"}),
    State("sparse index", sparse_index, content={"far/off/away.py": b"a\n"}),
    State("files outside the cone", sparse_outside),
    State("sparse checkout, missing index", sparse_without_index, warns=("index is missing",),
          content={"far/away.py": b"a\n"}),
    State("split index", split_index),
    State("index version 4", version_four),
    State("untracked cache", untracked_cache),
    State("stale fsmonitor", stale_fsmonitor),
    State("intent to add", intent_to_add),
    State("assume-unchanged", assume_unchanged),
    State("skip-worktree", skip_worktree),
    State("assume-unchanged and skip-worktree", both_flags),
    State("changed in the same tick", same_tick),
    State("clean filter", filter_present, content={"a.txt": b"my hidden\n"}),
    State("clean filter of the notebook", filter_of_the_notebook, content={NOTEBOOK: b"IMPORT"}),
    State("missing optional filter", filter_missing_optional, warns=("stored raw",)),
    State("missing required filter", filter_missing_required, warns=("stored raw",)),
    State("missing filter of a tracked file", filter_missing_on_tracked, warns=("stored raw",)),
    State("autocrlf", autocrlf, content={"dos.txt": b"a\nb\n"}),
    State("safecrlf", safecrlf, content={"mixed.txt": b"a\nb\n"}),
    State("working-tree-encoding", encoding, content={"text.u16": "grüß\n".encode()}),
    State("content not valid in its encoding", encoding_invalid, left={"broken.u16": "stored raw"}),
    State("symbolic links", links),
    State("modes", modes),
    State("files, folders and links swapped", swaps),
    State("odd names", names),
    State("names that are not UTF-8", raw_names),
    State("pipes and sockets", pipes, left={"README": "special", "tool.sh": "special", "new_pipe": "special"}),
    State("huge untracked file", huge, left={"model.bin": "max-file-size"}),
    State("huge tracked file", huge_tracked, options={"max_file_size": 1000}),
    State("credentials", secrets, left={".env": "credential", "keys/id_rsa": "credential",
                                        "conf/.aws/credentials": "credential"}),
    State("credentials included", secrets, left={"keys/id_rsa": "credential"},
          options={"include": (".env", "conf/")}),
    State("ignored notebook", ignored_notebook),
    State("index.lock held", locked),
    State("all hooks, all refusing", hooks),
    State("commit.gpgsign with a broken gpg", broken_gpg),
    State("SHA-256", plain_edit, init=("--object-format=sha256",)),
    State("alternates", alternates),
    State("shallow", shallow),
    State("partial clone, offline", partial_offline),
    State("core.worktree elsewhere", worktree_elsewhere),
    State("odd configuration", odd_settings),
    State("core.fileMode off", no_filemode),
    State("deep path", deep),
    State("empty folders", empty_folders, dirty=False),
    State("a .snaprun folder of the user's", own_snaprun_folder, dirty=False,
          content={".snaprun/other": None}),
]  # fmt: skip
"""The table: state, expectation."""


def on_disk(box: Sandbox) -> dict[str, tuple[str, bytes]]:
    """Every file of a work tree that git does not ignore, with its mode and bytes, found without git's index."""
    found: dict[str, tuple[str, bytes]] = {}
    root = os.fsencode(box.path)
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != b".git" and not _is_repo(os.path.join(folder, name))]
        for name in [*files, *folders]:
            path = os.path.join(folder, name)
            if name == b".git" and folder == root:
                continue
            about = os.lstat(path)
            if stat.S_ISLNK(about.st_mode):
                found[os.fsdecode(os.path.relpath(path, root))] = ("120000", os.readlink(path))
            elif stat.S_ISREG(about.st_mode):
                mode = "100755" if about.st_mode & stat.S_IXUSR else "100644"
                with open(path, "rb") as file:
                    content = file.read(10_000_000)
                found[os.fsdecode(os.path.relpath(path, root))] = (mode, content)
    names = b"".join(os.fsencode(path) + b"\0" for path in found)
    ignored = set(box.git("check-ignore", "-z", "--no-index", "--stdin", ok=False, stdin=names).split("\0"))
    ignored -= set(box.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD", ok=False).split("\0"))
    ignored -= {NOTEBOOK}
    return {path: what for path, what in found.items() if path not in ignored and not path.startswith(".snaprun/")}


def _is_repo(path: bytes) -> bool:
    return os.path.lexists(os.path.join(path, b".git")) and not os.path.islink(path)


def in_commit(box: Sandbox, commit: str) -> dict[str, tuple[str, bytes]]:
    """Every file of a commit but ``.snaprun/``, with mode and bytes; submodules with their commit."""
    found = {}
    for line in box.git("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")[:-1]:
        head, path = line.split("\t", 1)
        mode, kind, oid = head.split(" ")
        if not path.startswith(".snaprun/"):
            content = oid.encode() if kind == "commit" else os.fsencode(box.git("cat-file", "blob", oid))
            found[path] = (mode, content)
    return found
