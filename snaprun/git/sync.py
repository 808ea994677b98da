"""Carry runs between repositories: push a snapshot to where it will run, fetch results from where they were made.

Every refspec is spelled out, no configured one is used, no tag comes along. What arrives is checked before a run's ref
moves, so that a cut connection or a foreign ref changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from snaprun.errors import DataFault, Denied, SnaprunError, Unavailable, WriteFault
from snaprun.git.gitchild import out_of_space
from snaprun.git.gitrepo import DURABLE, GitRepo
from snaprun.model import RUN_REF, SNAP_DIR, Result

INCOMING = "refs/snaprun/incoming/"
"""On the far side: snapshots that have arrived and that nobody has claimed yet."""

FETCHED = "refs/snaprun/fetched/"
"""On this side: what has arrived and is not checked yet."""

ADVICE = (
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
"""What git says of every connection that ended too early, whatever the reason."""

CUT = ("early EOF", "hung up", "unexpected disconnect")
"""What git there says where the connection was cut in the middle of a push: it refuses what came, too."""

PLAIN = (
    *("-c", "push.followTags=false"),
    *("-c", "push.gpgSign=false"),
    *("-c", "push.recurseSubmodules=no"),
    *("-c", "push.pushOption="),  # empty: none of those that the user's configuration lists
)
"""Options for a push: nothing else goes along than what is named."""

ALONE = (
    "--quiet",
    "--no-tags",
    "--no-prune",
    "--no-prune-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--refmap=",
)
"""Options for a fetch: nothing comes or goes but what is named. With ``fetch.prune`` and ``fetch.pruneTags`` in the
user's configuration git would delete all their tags that are not there."""

RECEIVE = " ".join(
    (
        "git",
        *("-c", "core.hooksPath=/dev/null"),
        *("-c", "receive.autogc=false"),
        *("-c", "receive.advertiseAtomic=true"),
        *(
            f"-c hook.{event}.enabled=false"  # git 2.54: hooks of the configuration have no path
            for event in ("reference-transaction", "pre-receive", "update", "post-receive", "post-update")
        ),
        "receive-pack",
    )
)
"""What takes a push on the other side: a snapshot deploys nothing there, and starts no ``git gc`` in a user's clone."""


def push(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Push the snapshots of these runs to a repository, in one go; ``env`` says how to reach it.

    Raises:
        SnaprunError: it cannot be reached or written; nothing of it is claimed then.
    """
    specs = [f"{run}:{INCOMING}{run}" for run in runs]
    quiet = ("--quiet", "--no-verify", "--atomic", f"--receive-pack={RECEIVE}")
    done = repo.run("push", *quiet, "--end-of-options", url, *specs, env=env, options=PLAIN, ok=())
    if done.code:
        raise fault(done.err, url)


def fetch(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> dict[str, str]:
    """Fetch the results of these runs, in one go, and move their refs on; the result commit of each.

    A run that has a result here already keeps it.

    Raises:
        SnaprunError: the repository cannot be reached. DataFault: it has not all of them; the others have arrived.
    """
    left = list(runs)
    while left:
        specs = "".join(f"+{RUN_REF}{run}:{FETCHED}{run}\n" for run in left)
        done = repo.run("fetch", *ALONE, "--stdin", "--end-of-options", url, env=env, stdin=specs.encode(), ok=())
        if done.code == 0:
            break
        gone = re.search(f"couldn't find remote ref {RUN_REF}([0-9a-f]+)", done.err)
        if gone is None or gone[1] not in left:
            raise fault(done.err, url)
        left.remove(gone[1])
    return accept(repo, runs)


def accept(repo: GitRepo, runs: Sequence[str]) -> dict[str, str]:
    """Move the refs of these runs on to the results that have arrived; where each stands then.

    Raises:
        DataFault: what has arrived is no result of its run. The others are accepted all the same.
    """
    arrived = {run: tip for ref, tip in repo.refs(FETCHED).items() if (run := ref.removeprefix(FETCHED)) in runs}
    standing = {run: tip for ref, tip in repo.refs(RUN_REF).items() if (run := ref.removeprefix(RUN_REF)) in arrived}
    odd = _odd(repo, arrived)
    wrong = [run for run in runs if run not in arrived]
    lines = []
    for (run, tip), commit in zip(arrived.items(), repo.blobs(arrived.values()), strict=True):
        old = standing.get(run)
        if tip == run or _first_parent(commit) != run or run in odd:
            wrong.append(run)
        elif old is None or old == run or _later(repo, tip, old):
            change = f"create {RUN_REF}{run}\0{tip}\0" if old is None else f"update {RUN_REF}{run}\0{tip}\0{old}\0"
            lines.append(change)
            standing[run] = tip
        lines.append(f"delete {FETCHED}{run}\0{tip}\0")
    repo.run("update-ref", "--stdin", "-z", stdin="".join(lines).encode(), options=DURABLE)
    repo.keep_refs(f"{RUN_REF}any")
    if wrong:
        what = f"{arrived[wrong[0]][:8]} is no result" if wrong[0] in arrived else "nothing arrived as the result"
        raise DataFault(f"{what} of run {wrong[0][:8]}", hint=f"snaprun fetch {wrong[0][:8]}")
    return {run: standing[run] for run in runs}


def results(repo: GitRepo, runs: Sequence[str]) -> dict[str, str | None]:
    """The result commit of each of these runs, None while its ref stands at the snapshot. Left out are runs without a
    ref here, or with one that stands elsewhere."""
    refs = repo.refs(RUN_REF)
    tips = {run: tip for run in runs if (tip := refs.get(RUN_REF + run))}
    parents = dict(zip(tips, map(_first_parent, repo.blobs(tips.values())), strict=True))
    return {run: None if tip == run else tip for run, tip in tips.items() if run in (tip, parents[run])}


def fault(said: str, url: str) -> SnaprunError:
    """The error that fits what ssh, or git over ssh, has said."""
    where = re.sub(r"^ssh://([^/]+).*", r"\1", url)
    login = typed(url)
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("@@@")]
    lines = [line for line in lines if line not in ADVICE]
    why = next((line for line in lines if _telling(line)), lines[-1] if lines else "the connection was cut")
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return Denied(f"the host key of {where} has changed", hint=f"if that is right: ssh-keygen -R {_known_as(url)}")
    if "Host key verification failed" in said:
        return Denied(f"the host key of {where} is not known yet", hint=f"{login}, and accept its key")
    if "Permission denied (" in said or "Too many authentication failures" in said:
        return Denied(
            f"{where} lets nobody in without a question: {why}",
            hint=f"ssh-add, {login.replace('ssh', 'ssh-copy-id', 1)}",
        )
    if out_of_space(said):
        return WriteFault(f"the disk of {where} is full: {why}", hint=f"{login} df -h")
    if "Permission denied" in said or "insufficient permission" in said or "dubious ownership" in said:
        return Denied(f"{where}: {why}", hint=f"{login}, and look who owns the folder")
    refused = re.search(r"^ ! \[(?:remote )?rejected\] .*\((.+)\)$", said, re.MULTILINE)
    if refused and not any(word in said for word in CUT):
        return _refused(where, login, refused[1], lines)
    return Unavailable(f"{where} cannot be reached: {why}", hint=login)


ADDRESS = re.compile(r"ssh://(?P<user>[^/@]*@)?(?P<host>\[[^]/]*\]|[^/:]*)(?::(?P<port>\d+))?(?:/|$)")
"""Of an address of ssh: the user, the host (an IPv6 address in brackets), the port."""


def typed(url: str) -> str:
    """What to type to log in at an address."""
    found = ADDRESS.match(url)
    if found is None:
        return f"ssh {url}"
    port = f"-p {found['port']} " if found["port"] else ""
    return f"ssh {port}{found['user'] or ''}{found['host'].strip('[]')}"


def _known_as(url: str) -> str:
    """What a machine is called in the file of known hosts, for a shell."""
    found = ADDRESS.match(url)
    if found is None:
        return url
    host = found["host"].strip("[]")
    return f"'[{host}]:{found['port']}'" if found["port"] else host


def _refused(where: str, login: str, why: str, lines: Sequence[str]) -> SnaprunError:
    """The error for a push that arrived and that git there did not take."""
    words = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    text = f"the repository on {where} refuses the push: {why}{f' ({words[0]})' if words else ''}"
    if "shallow update" in why:
        hint = "git fetch --unshallow here, or git config receive.shallowUpdate true there"
    else:
        hint = f"{login}, and look at the settings and hooks of the repository"
    return Unavailable(text, hint=hint)


def _odd(repo: GitRepo, arrived: Mapping[str, str]) -> set[str]:
    """Those of these runs whose result says something else of what ran than their snapshot, or says no end of it."""
    names = ("run.json", "params.json")
    asked = [[*((run, name) for name in names), *((tip, name) for name in names)] for run, tip in arrived.items()]
    frozen = repo.blobs(f"{commit}:{SNAP_DIR}/{name}" for one in asked for commit, name in one)
    ends = repo.blobs(f"{tip}:{SNAP_DIR}/result.json" for tip in arrived.values())
    odd = set()
    for run, end in zip(arrived, ends, strict=True):
        before, after = [next(frozen) for _ in names], [next(frozen) for _ in names]
        if before != after or not _ends(end):
            odd.add(run)
    return odd


def _ends(document: bytes | None) -> bool:
    try:
        Result.from_json(json.loads((document or b"").decode("utf-8", "surrogateescape")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _first_parent(commit: bytes | None) -> str | None:
    found = re.match(rb"tree [0-9a-f]+\nparent ([0-9a-f]+)\n", commit or b"")
    return found[1].decode() if found else None


def _later(repo: GitRepo, new: str, old: str) -> bool:
    """Whether ``new`` is the result of a further attempt after ``old``."""
    return repo.run("merge-base", "--is-ancestor", old, new, ok=()).code == 0


def _telling(line: str) -> bool:
    return line.startswith(("ssh:", "fatal:", "error:", "kex_"))
