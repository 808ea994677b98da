"""Make git's objects in memory: commits, trees put together from what changed, and a pack that hands them to git.

Pure data after ``gitformat-pack(5)`` and ``git-mktree(1)``; git itself checks and stores what comes out of here
(``unpack-objects``). One child process takes any number of objects this way, at a cost that depends on what changed.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

KINDS = {"commit": 1, "tree": 2, "blob": 3}
"""Type numbers in a pack, ``gitformat-pack(5)``."""

COMMITTER = "snaprun <snaprun@localhost>"
"""Who commits snapshots and results; their author is the user."""

FILE_MODE, EXECUTABLE_MODE, LINK_MODE = "100644", "100755", "120000"
TREE_MODE, SUBMODULE_MODE = "40000", "160000"
ABSENT_MODE = "000000"
"""Modes of entries, ``git-fast-import(1)``; the last is what git writes where there is no entry."""


@dataclass(frozen=True)
class TreeEntry:
    """One entry of a tree: an octal mode without leading zero, and an object id."""

    mode: str
    oid: str


@dataclass(frozen=True)
class GitObject:
    """An object with its id."""

    kind: str
    data: bytes
    oid: str


Tree = Mapping[bytes, TreeEntry]
"""The entries of one tree by name."""


def algorithm(oid: str) -> str:
    """The hash of a repository, from the length of any of its ids."""
    return "sha256" if len(oid) == 64 else "sha1"


def make(kind: str, data: bytes, hash_name: str) -> GitObject:
    """The object of this kind and content."""
    digest = hashlib.new(hash_name, b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return GitObject(kind, data, digest.hexdigest())


def parse_tree(data: bytes, hash_name: str) -> dict[bytes, TreeEntry]:
    """The entries of a tree object."""
    size = hashlib.new(hash_name).digest_size
    entries = {}
    offset = 0
    while offset < len(data):
        space = data.index(b" ", offset)
        end = data.index(b"\0", space)
        entries[data[space + 1 : end]] = TreeEntry(data[offset:space].decode(), data[end + 1 : end + 1 + size].hex())
        offset = end + 1 + size
    return entries


def make_tree(entries: Tree, hash_name: str) -> GitObject:
    """The tree of these entries, in git's order: a folder sorts as if its name ended in a slash."""
    items = sorted(entries.items(), key=lambda item: item[0] + b"/" if item[1].mode == TREE_MODE else item[0])
    data = b"".join(b"%s %s\0%s" % (entry.mode.encode(), name, bytes.fromhex(entry.oid)) for name, entry in items)
    return make("tree", data, hash_name)


def make_commit(tree: str, parents: Sequence[str], message: str, *, moment: str, author: str = COMMITTER) -> GitObject:
    """The commit of a tree, committed by snaprun. ``author`` is ``Name <address>``, ``moment`` seconds and zone."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {author} {moment}", f"committer {COMMITTER} {moment}", "", message]
    return make("commit", "\n".join(lines).encode("utf-8", "surrogateescape"), algorithm(tree))


def lookup(base: str, path: bytes, read: Callable[[str], bytes], hash_name: str) -> TreeEntry | None:
    """The entry at ``path`` below the tree ``base``, or None."""
    entry = TreeEntry(TREE_MODE, base)
    for name in path.split(b"/"):
        child = parse_tree(read(entry.oid), hash_name).get(name) if entry.mode == TREE_MODE else None
        if child is None:
            return None
        entry = child
    return entry


def graft(
    base: str | None, changes: Mapping[bytes, TreeEntry | None], read: Callable[[str], bytes], hash_name: str
) -> tuple[GitObject, list[GitObject], set[bytes]]:
    """Put changed paths on top of a tree.

    ``base`` is a tree's id (None: empty), ``changes`` the new entry of each path (None: gone), ``read`` gives the
    content of a tree by its id. Returns the new top tree, all other new trees, and the paths that really differ.
    """
    edits: dict[bytes, dict[bytes, TreeEntry | None]] = {b"": {}}
    for path, entry in changes.items():
        folder, _, name = path.rpartition(b"/")
        edits.setdefault(folder, {})[name] = entry
        while folder and (folder := folder.rpartition(b"/")[0]) not in edits:
            edits[folder] = {}
    old_trees: dict[bytes, dict[bytes, TreeEntry]] = {}
    changed_paths: set[bytes] = set()
    for folder in sorted(edits, key=lambda path: path.count(b"/") + bool(path)):
        parent, _, name = folder.rpartition(b"/")
        old_entry = old_trees[parent].get(name) if folder else TreeEntry(TREE_MODE, base) if base else None
        old_trees[folder] = (
            parse_tree(read(old_entry.oid), hash_name) if old_entry and old_entry.mode == TREE_MODE else {}
        )
        prefix = folder + b"/" if folder else b""
        changed_paths |= {
            prefix + name for name, entry in edits[folder].items() if old_trees[folder].get(name) != entry
        }
    trees: list[GitObject] = []
    for folder in sorted(edits, key=lambda path: path.count(b"/") + bool(path), reverse=True):
        entries = dict(old_trees[folder])
        for name, entry in edits[folder].items():
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        tree = make_tree(entries, hash_name)
        if folder:
            trees.append(tree)
        parent, _, name = folder.rpartition(b"/")
        if folder and edits[parent].get(name) is None:  # where a file took a folder's place, the file stays
            edits[parent][name] = TreeEntry(TREE_MODE, tree.oid) if entries else None
    return tree, trees, changed_paths


def pack(objects: Sequence[GitObject], hash_name: str) -> bytes:
    """A pack of whole objects, as ``git unpack-objects`` reads it."""
    parts = [b"PACK" + struct.pack(">II", 2, len(objects))]
    for item in objects:
        size = len(item.data)
        first = KINDS[item.kind] << 4 | size & 15
        size >>= 4
        head = bytearray()
        while size:
            head.append(first | 128)
            first, size = size & 127, size >> 7
        head.append(first)
        parts += [bytes(head), zlib.compress(item.data, 1)]
    body = b"".join(parts)
    return body + hashlib.new(hash_name, body, usedforsecurity=False).digest()
