"""Objects made in memory are the ones that git makes, and git takes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snaprun.git import locate
from snaprun.git.gitrepo import GitRepo
from snaprun.git.objects import TreeEntry, graft, lookup, make, make_commit, make_tree, pack, parse_tree
from tests.sandbox import Sandbox


@pytest.fixture(params=["sha1", "sha256"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path / "repo", f"--object-format={request.param}")
    for name in ("a", "a.b", "a-b/x", "dir/sub/deep", "dir/other", "dir.x", "dir0"):
        made.write(name, f"{name}\n")
    made.commit()
    return made


def hash_name(box: Sandbox) -> str:
    return box.git("rev-parse", "--show-object-format").strip()


def test_ids_and_trees_are_gits_own(box: Sandbox) -> None:
    name = hash_name(box)
    assert make("blob", b"hello\n", name).oid == box.git("hash-object", "--stdin", stdin=b"hello\n").strip()
    repo = GitRepo(locate.find(box.path, os.environ))
    with repo.object_reader() as ask:
        for tree in [box.git("rev-parse", spec).strip() for spec in ("HEAD^{tree}", "HEAD:dir")]:
            found = ask(tree)
            assert found is not None
            assert make_tree(parse_tree(found.data, name), name).oid == tree


def test_a_commit_is_gits_own(box: Sandbox) -> None:
    tree, head = (box.git("rev-parse", spec).strip() for spec in ("HEAD^{tree}", "HEAD"))
    moment, message = "1700000000 +0100", "subject\n\nSnaprun-Schema: 1\n"
    for parents in ([], [head]):
        env = {"GIT_AUTHOR_NAME": "Ada Löve", "GIT_AUTHOR_EMAIL": "ada@x", "GIT_AUTHOR_DATE": moment} | {
            "GIT_COMMITTER_NAME": "snaprun",
            "GIT_COMMITTER_EMAIL": "snaprun@localhost",
            "GIT_COMMITTER_DATE": moment,
        }
        options = [word for parent in parents for word in ("-p", parent)]
        oid = box.git("commit-tree", tree, *options, stdin=message.encode(), env=env).strip()
        assert make_commit(tree, parents, message, moment=moment, author="Ada Löve <ada@x>").oid == oid


def test_grafting_gives_the_tree_that_git_gives(box: Sandbox) -> None:
    name = hash_name(box)
    repo = GitRepo(locate.find(box.path, os.environ))
    new = make("blob", b"new\n", name)
    here = TreeEntry("100644", new.oid)
    changes: dict[bytes, TreeEntry | None] = {
        b"a": None,
        b"a/now/a/folder": here,
        b"dir/sub/deep": None,
        b"dir/other": here,
        b"a-b": here,
        b"a-b/x": None,
        b"fresh/er": here,
        b"never/was": None,
    }
    with repo.object_reader() as ask:

        def content(oid: str) -> bytes:
            found = ask(oid)
            assert found is not None
            return found.data

        base = box.git("rev-parse", "HEAD^{tree}").strip()
        top, trees, differ = graft(base, changes, content, name)
        assert lookup(base, b"dir/sub/deep", content, name) is not None
        assert lookup(base, b"dir/sub/none", content, name) is None
        assert lookup(base, b"a/none", content, name) is None
    repo.ingest([new, *trees, top])
    for path in ("a", "a-b/x", "dir/sub/deep"):
        (box.path / path).unlink()
    (box.path / "a-b").rmdir()
    for path in ("a/now/a/folder", "dir/other", "a-b", "fresh/er"):
        box.write(path, "new\n")
    box.git("add", "-A")
    assert top.oid == box.git("write-tree").strip()
    assert differ == changes.keys() - {b"never/was"}


def test_a_pack_holds_objects_of_every_size(box: Sandbox) -> None:
    name = hash_name(box)
    made = [make("blob", os.urandom(size), name) for size in (0, 1, 15, 16, 127, 2047, 2048, 70_000)]
    box.git("unpack-objects", "-q", stdin=pack(made, name))
    assert [box.git("cat-file", "-s", item.oid).strip() for item in made] == [str(len(item.data)) for item in made]


def test_a_very_deep_path_is_no_recursion(box: Sandbox) -> None:
    name = hash_name(box)
    path = b"/".join([b"d"] * 1500)
    entry = TreeEntry("100644", make("blob", b"", name).oid)
    top, trees, _ = graft(None, {path: entry}, lambda oid: b"", name)
    assert len(trees) == 1499
    assert top.oid
