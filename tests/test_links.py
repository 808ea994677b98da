"""Links: ignored data is there, private folders are private, and a changed input is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from snaprun.checkouts import links, slots
from snaprun.checkouts.result import commit_result
from tests.checkouts import LIMIT, ending, run_in
from tests.runs import gate
from tests.sandbox import Sandbox
from tests.snapshots import freeze


def linked(top: Path) -> list[str]:
    """The links below a checkout."""
    found = []
    for folder, names, files in os.walk(top):
        found += [
            str((Path(folder) / name).relative_to(top))
            for name in [*names, *files]
            if (Path(folder) / name).is_symlink()
        ]
    return sorted(found)


def project(box: Sandbox) -> str:
    """A repository with ignored data of all kinds; its snapshot."""
    box.write(".gitignore", "/data/\n*.csv\n*.so\n.env\n__pycache__/\n.venv/\nmyenv/\nresults/\n*.pyc\n")
    box.write("src/mod.py", "x = 1\n")
    box.write("src/mod.so", "compiled")
    box.write("src/__pycache__/mod.pyc", "x")
    box.write("data/train.bin", "123")
    box.write("data/deep/more.bin", "456")
    box.write("tables/täble one.csv", "1")
    box.write(".env", "TOKEN=1")
    box.write(".venv/bin/python", "x")
    box.write("myenv/pyvenv.cfg", "x")
    box.write("results/old.txt", "of yesterday")
    box.commit()
    return freeze(box)


def test_ignored_data_is_linked_and_caches_are_not(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = project(repo)
    with repo.untouched():
        slot = run_in(git, run_id)
        made = links.link(git, slot)
        assert linked(slot.path) == [".env", "data", "results", "src/mod.so", "tables/täble one.csv"]
        assert sorted(made.links) == linked(slot.path)
        assert (slot.path / "data/deep/more.bin").read_text() == "456"
        slots.release(slot)
        assert linked(slot.path) == []
        again = run_in(git, run_id)
        assert linked(again.path) == [] and not (again.path / "tables").exists()
        slots.release(again)


def test_an_outputs_folder_is_private_and_kept(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = project(repo)
    with repo.untouched():
        slot = run_in(git, run_id)
        links.link(git, slot, outputs=("results/", "data/deep", "nowhere"))
        assert linked(slot.path) == [".env", "data/train.bin", "src/mod.so", "tables/täble one.csv"]
        assert list((slot.path / "results").iterdir()) == []
        (slot.path / "results/new.txt").write_text("of the run")
        (slot.path / "tables/made.txt").write_text("beside linked data")
        tip = commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
        slots.release(slot)
    assert (repo.path / "results/old.txt").exists()
    names = repo.git("diff", "--name-only", run_id, tip, "--", ":(exclude).snaprun").split("\n")
    assert names == ["tables/made.txt", ""]
    assert '"path": "results/new.txt"' in repo.git("show", f"{tip}:.snaprun/result.json")


def test_patterns_and_left_out_files_are_linked_where_the_snapshot_has_nothing(repo: Sandbox) -> None:
    git = gate(repo)
    run_id = project(repo)
    repo.write("huge.bin", "left out by the size guard")
    slot = run_in(git, run_id)
    links.link(git, slot, patterns=("src/__pyc*", "../..", "/", "src/mod.py"), left_out=("huge.bin", "gone.bin"))
    assert {"src/__pycache__", "huge.bin"} <= set(linked(slot.path))
    assert not (slot.path / "src/mod.py").is_symlink()
    slots.release(slot)


def test_a_folder_of_many_ignored_files_is_one_link(repo: Sandbox) -> None:
    repo.write(".gitignore", "*.csv\n")
    for number in range(links.MAX_SINGLE_LINKS + 2):
        repo.write(f"many/{number}.csv")
    repo.write("many-more.csv")
    repo.commit()
    git = gate(repo)
    slot = run_in(git, freeze(repo))
    links.link(git, slot)
    assert linked(slot.path) == ["many", "many-more.csv"]
    slots.release(slot)


def test_changed_inputs_are_named(repo: Sandbox) -> None:
    git = gate(repo)
    slot = run_in(git, project(repo))
    made = links.link(git, slot, outputs=("results",))
    before = links.fingerprint(repo.path, made)
    assert links.compare(before, links.fingerprint(repo.path, made)) == []
    repo.write("data/train.bin", "longer than before")
    repo.write("data/new.bin", "not an input")
    (repo.path / "data/deep/more.bin").unlink()
    after = links.fingerprint(repo.path, made)
    assert sorted(links.compare(before, after)) == [
        "data/deep/more.bin vanished during the run",
        "data/train.bin changed during the run",
    ]
    many = {f"data/{number}": (1, 1) for number in range(15)}
    assert links.compare(many, {})[-1] == "5 more linked files changed during the run"
    slots.release(slot)


def test_ignored_data_of_a_submodule_is_linked(repo: Sandbox) -> None:
    library = Sandbox(repo.path.parent / "library")
    library.write(".gitignore", "/data/\n*.so\n")
    library.write("lib.py", "x")
    library.commit()
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path), "vendor/lib")
    repo.commit()
    repo.write("vendor/lib/data/weights", "1")
    repo.write("vendor/lib/fast.so", "1")
    git = gate(repo)
    slot = run_in(git, freeze(repo))
    links.link(git, slot)
    assert linked(slot.path) == ["vendor/lib/data", "vendor/lib/fast.so"]
    tip = commit_result(git, slots.read_snapshot_id(slot), ending(), slot=slot, max_file_size=LIMIT)
    assert '"artifacts": []' in repo.git("show", f"{tip}:.snaprun/result.json")
    slots.release(slot)
    again = run_in(git, freeze(repo))
    assert linked(again.path) == []
    slots.release(again)


def test_links_that_lead_out_of_the_tree_lead_to_the_same_place(repo: Sandbox) -> None:
    shared = repo.path.parent / "shared"
    shared.mkdir()
    (shared / "train.csv").write_text("1")
    repo.write("deep/keep", "x")
    (repo.path / "data").symlink_to("../shared")
    (repo.path / "deep/data").symlink_to("../../shared/train.csv")
    (repo.path / "deep/inside").symlink_to("../README")
    repo.commit()
    git = gate(repo)
    run_id = freeze(repo)
    with repo.untouched():
        slot = run_in(git, run_id)
        links.link(git, slot)
        assert (slot.path / "data/train.csv").read_text() == (slot.path / "deep/data").read_text() == "1"
        assert os.readlink(slot.path / "deep/inside") == "../README"
        assert subprocess.check_output(["git", "status", "--porcelain"], cwd=slot.path) == b""
        tip = commit_result(git, run_id, ending(), slot=slot, max_file_size=LIMIT)
        assert repo.git("diff", "--name-only", run_id, tip, "--", ":(exclude).snaprun") == ""
        slots.release(slot)
        again = run_in(git, run_id)
        assert os.readlink(again.path / "data") == "../shared"
        slots.release(again)
    assert (shared / "train.csv").exists()


def test_nothing_is_made_behind_a_link_of_the_users(repo: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.path / "abs").symlink_to(outside)
    (repo.path / "gone").symlink_to("nowhere")
    repo.commit()
    (outside / "later").write_text("x")
    git = gate(repo)
    slot = run_in(git, freeze(repo))
    links.link(
        git, slot, patterns=("abs/later", "gone/x"), outputs=("abs", "abs/later"), left_out=("gone/y", "abs/none")
    )
    assert sorted(os.listdir(outside)) == ["later"]
    tip = commit_result(git, slots.read_snapshot_id(slot), ending(), slot=slot, max_file_size=LIMIT)
    assert '"artifacts": []' in repo.git("show", f"{tip}:.snaprun/result.json")
    slots.release(slot)
