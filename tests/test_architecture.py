"""What holds the house: names are things, a module goes by its own name, and no import hides from import-linter."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun import programs
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "snaprun"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text()) for file in FILES}

NOUNS = {
    "pairing": "the pairing of a notebook with its script",
    "settings": "what the user has set",
}
"""The module names in -ing or -ed, and the thing that each one names."""

BY_STRING = {
    "snaprun/cli.py": "its table of commands: --help must not import them",
    "snaprun/engines/__init__.py": "its table of engines: a run imports its own alone",
    "snaprun/launchers/__init__.py": "its table of launchers, as above",
    "snaprun/remote/far.py": "its table of questions: looking must not wait for what starting imports",
    "snaprun/tomlread.py": "a TOML reader of Python's or of a package, not ours",
    "snaprun/boot/site/sitecustomize.py": "lies outside the package while a run uses it",
}
"""The files that import by a string, and why."""

ALIASES = {
    "dispatch": "DISPATCHER",
    "forkserver": "FORK_SERVER",
    "job": "SLURM_JOB",
    "runner": "WORKER",
    "supervisor": "SUPERVISOR",
}
"""The former modules of processes, in ``snaprun/running``, and the constants in ``programs`` for what they start."""

PROGRAMS = {name: value for name, value in vars(programs).items() if name.isupper()}

PRONOUNS = {
    *("one", "ones", "other", "others", "it", "its", "this", "that", "these", "those", "what", "which", "who"),
    *("whoever", "whatever", "here", "there", "some", "any", "all", "each", "both", "none", "nobody", "nothing"),
    *("again", "more", "most", "less", "rest", "same"),
}
PAST_FORMS = {
    *("found", "made", "said", "told", "asked", "taken", "given", "known", "held", "kept", "left", "lost", "seen"),
    *("shown", "done", "gone", "begun", "written", "drawn", "thrown", "grown", "chosen", "broken", "spoken", "woken"),
    *("frozen", "hidden", "meant", "sent", "spent", "built", "bought", "brought", "caught", "taught", "thought"),
    *("sought", "felt", "dealt", "heard", "led", "met", "paid", "sold", "stood", "struck", "stuck", "understood"),
    *("won", "wound", "come", "become", "born"),
}
THINGS = {
    *("shared", "embed", "seed", "need", "feed", "speed", "red", "bed", "hundred", "indeed", "string", "thing", "ring"),
    *("king", "wing", "spring", "setting", "heading", "listing", "encoding", "padding", "spacing", "timing", "meaning"),
    *("building", "warning", "binding", "embedding", "ranking", "scaling", "training", "logging", "mapping", "rating"),
    *("pairing", "reading", "ordering"),
}
"""Words that look like a verb form and are none here."""


def test_a_class_name_stands_once_in_the_package() -> None:
    places: dict[str, list[str]] = {}
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_import_renames_what_is_ours() -> None:
    renames = [
        f"{path}:{node.lineno}: {alias.name} as {alias.asname}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if _is_ours(node)
        for alias in node.names
        if alias.asname is not None
    ]
    assert renames == []


def test_modules_and_packages_are_named_by_nouns() -> None:
    names = {
        name for path in TREES if not path.startswith("snaprun/running/") for name in Path(path).with_suffix("").parts
    }
    assert {name for name in names if re.search(r"(ing|ed)_?$", name)} - set(NOUNS) == set()


def test_at_most_one_binding_in_25_is_a_verb_form_or_a_pronoun() -> None:
    """Assignments, parameters, targets of loops and ``with``, caught errors, by their whole names."""
    counts = Counter(name for tree in TREES.values() for name in _bindings(tree) if name not in ("self", "cls", "_"))
    verbs = Counter({name: count for name, count in counts.items() if _is_verb_form(name)})
    assert verbs.total() <= 0.04 * counts.total(), verbs.most_common(50)


def _bindings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _is_verb_form(name: str) -> bool:
    word = name.strip("_").lower()
    if "_" in word or len(word) < 3 or word in THINGS:
        return False
    return word in PRONOUNS or word in PAST_FORMS or re.fullmatch(r"[a-z]{2,}(ed|ing)", word) is not None


def test_an_import_inside_a_function_says_why() -> None:
    """In a comment on its line, or on the first line of its block; commands all have the same reason."""
    silent = [
        f"{path}:{node.lineno}"
        for path, tree in TREES.items()
        if not path.startswith("snaprun/commands/")
        for node, first_line in _inner_imports(tree)
        if _is_ours(node) and not any("#" in line for line in _lines(path, node, first_line))
    ]
    assert silent == []


def _inner_imports(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """The imports in functions, each with the first line of the imports that it stands among."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            for body in (getattr(node, "body", None), getattr(node, "orelse", None), getattr(node, "finalbody", None)):
                first_line: int | None = None
                for statement in body if isinstance(body, list) else ():
                    if not isinstance(statement, ast.Import | ast.ImportFrom):
                        first_line = None
                        continue
                    first_line = first_line or statement.lineno
                    yield statement, first_line


def _lines(path: str, node: ast.AST, first_line: int) -> list[str]:
    lines = (ROOT / path).read_text().splitlines()
    assert isinstance(node, ast.stmt)
    return [lines[first_line - 1], *lines[node.lineno - 1 : node.end_lineno]]


def _is_ours(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or (node.module or "").split(".")[0] == "snaprun"
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "snaprun" for alias in node.names)


def test_imports_by_a_string_stand_in_tables_alone() -> None:
    paths = {
        path
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _last_name(node.func) in ("import_module", "__import__")
    }
    assert paths == set(BY_STRING)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_documentation_refers_to_what_is_there() -> None:
    """The functions, classes, fields and modules that docstrings name as such."""
    lost = [
        f"{path}: {target}"
        for path, text in _documentation()
        for target in re.findall(r":(?:func|class|meth|attr|data|mod):`~?([\w.]+)`", text)
        if not _exists(path, target)
    ]
    assert lost == []


def test_documented_errors_are_there() -> None:
    """The classes that stand before a colon below ``Raises:``."""
    classes = {name for tree in TREES.values() for name in _names(tree)} | set(dir(builtins))
    lost = [
        f"{path}: {name}"
        for path, text in _documentation()
        for names in re.findall(r"(?:^ +|\. )((?:[A-Z]\w+, )*[A-Z]\w+): ", text.partition("Raises:\n")[2], re.MULTILINE)
        for name in names.split(", ")
        if name not in classes
    ]
    assert lost == []


def _documentation() -> Iterator[tuple[str, str]]:
    """Every docstring with the path of its module; the texts behind constants too."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield path, node.value.value


def _exists(path: str, target: str) -> bool:
    parts = target.split(".")
    if parts[0] in sys.stdlib_module_names:
        return True
    if parts[0] == "snaprun":
        lengths = [length for length in range(1, len(parts) + 1) if _path_of(parts[:length]) is not None]
        path, parts = str(_path_of(parts[: lengths[-1]])), parts[lengths[-1] :]
    return set(parts) <= _names(TREES[path])


def _path_of(parts: list[str]) -> str | None:
    folder = "/".join(parts)
    return next((path for path in (f"{folder}.py", f"{folder}/__init__.py") if path in TREES), None)


def _names(tree: ast.AST) -> set[str]:
    """What a module defines, fields and methods of its classes included."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    definitions = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    return definitions | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_a_module_that_runs(name: str) -> None:
    tree = TREES[PROGRAMS[name].replace(".", "/") + ".py"]
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    assert isinstance(tree.body[-1], ast.If)
    assert ast.unparse(tree.body[-1].test) == "__name__ == '__main__'"
    assert "main(" in ast.unparse(tree.body[-1])


def test_programs_alone_names_what_runs_as_a_process() -> None:
    """``python -m snaprun`` is the command; whatever else is started so has its name from :mod:`snaprun.programs`."""
    literals = [
        f"{path}: {node.value}"
        for path, tree in TREES.items()
        if path != "snaprun/programs.py"
        for node in _strings(tree)
        if node.value in PROGRAMS.values() or re.search(r"-m +snaprun\.", node.value)
    ]
    assert literals == []


def _strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """The strings of a module; what stands alone is documentation."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def test_a_former_name_starts_what_has_taken_its_place() -> None:
    folder = PACKAGE / "running"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(ALIASES)
    for name, program in ALIASES.items():
        text = (folder / f"{name}.py").read_text()
        assert re.findall(r"programs\.([A-Z_]+),", text) == [program], name


def test_a_supervisor_that_is_started_by_its_former_name_runs(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that was imported before an upgrade starts its run after it."""
    monkeypatch.setattr(programs, "SUPERVISOR", "snaprun.running.supervisor")
    run = running.start(repo, repo.notebook("a.ipynb", "print(6 * 7)"))
    result = run.end()
    assert (result.status, result.exit_code) == (Status.SUCCEEDED, 0)
    assert "42" in run.outputs()


def test_a_worker_that_is_started_by_its_former_name_runs(repo: Sandbox) -> None:
    """A supervisor that was imported before an upgrade, as tmux and Slurm start one, starts its worker after it."""
    run = running.frozen(repo, repo.notebook("a.ipynb", "print(6 * 7)"))
    script = """
import sys
from snaprun import programs
programs.WORKER = "snaprun.running.runner"
from snaprun.lifecycle import supervisor
sys.exit(supervisor.main(sys.argv[1:]))
"""
    subprocess.run([sys.executable, "-c", script, str(run.live.path)], check=True, capture_output=True)
    assert run.end().status is Status.SUCCEEDED
    assert "42" in run.outputs()


def missing_files(page: str) -> list[str]:
    """The Python files that a page of documentation names in backticks, and that are not there.

    A path starts at the top of the repository (``snaprun/cli.py``) or in the package (``live/lock.py``), a name alone
    may stand anywhere in it; ``commands/NAME.py`` stands for many.
    """
    paths = re.findall(r"`([a-z_0-9/]+\.py)`", page)
    assert paths
    names = {file.name for file in FILES}
    return [path for path in paths if not (path in names or (ROOT / path).exists() or (PACKAGE / path).exists())]


def test_the_map_names_files_that_are_there() -> None:
    assert missing_files((ROOT / "docs" / "architecture.md").read_text()) == []
