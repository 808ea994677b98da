"""Carry runs between repositories: push a snapshot to where it will run, fetch results from where they were made.

Every refspec is spelled out, no configured one is used, no tag comes along. What arrives is checked before a run's ref
moves, so that a cut connection or a foreign ref changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from snaprun.errors import DataFault, Denied, SnaprunError, Unavailable, WriteFault
from snaprun.git.gitchild import Answer, out_of_space
from snaprun.git.gitrepo import REF_FSYNC, GitRepo
from snaprun.model import RUN_REF, SNAP_DIR, Result, parse_document

INCOMING_REF = "refs/snaprun/incoming/"
"""On the far side: snapshots that have arrived and that nobody has claimed yet."""

FETCHED_REF = "refs/snaprun/fetched/"
"""On this side: what has arrived and is not checked yet."""

ADVICE = (
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
"""What git says of every connection that ended too early, whatever the reason."""

DISCONNECT_MESSAGES = ("early EOF", "hung up", "unexpected disconnect")
"""What git there says where the connection was cut in the middle of a push: it refuses what came, too."""

PUSH_OPTIONS = (
    *("-c", "push.followTags=false"),
    *("-c", "push.gpgSign=false"),
    *("-c", "push.recurseSubmodules=no"),
    *("-c", "push.pushOption="),  # empty: none of those that the user's configuration lists
)
"""Options for a push: nothing else goes along than what is named."""

FETCH_OPTIONS = (
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

RECEIVE_PACK = " ".join(
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
    specs = [f"{run}:{INCOMING_REF}{run}" for run in runs]
    answer = push_refs(repo, url, specs, f"--receive-pack={RECEIVE_PACK}", "--atomic", env=env)
    if answer.code:
        raise fault(answer.err, url)


def push_refs(repo: GitRepo, url: str, specs: Sequence[str], *options: str, env: Mapping[str, str]) -> Answer:
    """Push exactly these refspecs; what git answered, an error included."""
    args = ("push", "--quiet", "--no-verify", *options, "--end-of-options", url, *specs)
    return repo.run(*args, env=env, options=PUSH_OPTIONS, ok=())


def fetch(repo: GitRepo, url: str, runs: Sequence[str], *, env: Mapping[str, str]) -> dict[str, str]:
    """Fetch the results of these runs, in one go, and move their refs on; the result commit of each.

    A run that has a result here already keeps it.

    Raises:
        SnaprunError: the repository cannot be reached. DataFault: it has not all of them; the others have arrived.
    """
    candidates = list(runs)
    while candidates:
        specs = "".join(f"+{RUN_REF}{run}:{FETCHED_REF}{run}\n" for run in candidates)
        answer = repo.run(
            "fetch", *FETCH_OPTIONS, "--stdin", "--end-of-options", url, env=env, stdin=specs.encode(), ok=()
        )
        if answer.code == 0:
            break
        match = re.search(f"couldn't find remote ref {RUN_REF}([0-9a-f]+)", answer.err)
        if match is None or match[1] not in candidates:
            raise fault(answer.err, url)
        candidates.remove(match[1])
    return accept(repo, runs)


def accept(repo: GitRepo, runs: Sequence[str]) -> dict[str, str]:
    """Move the refs of these runs on to the results that have arrived; where each stands then.

    Raises:
        DataFault: what has arrived is no result of its run. The others are accepted all the same.
    """
    fetched_tips = {
        run: tip for ref, tip in repo.refs(FETCHED_REF).items() if (run := ref.removeprefix(FETCHED_REF)) in runs
    }
    run_tips = {
        run: tip for ref, tip in repo.refs(RUN_REF).items() if (run := ref.removeprefix(RUN_REF)) in fetched_tips
    }
    mismatches = _find_mismatches(repo, fetched_tips)
    rejects = [run for run in runs if run not in fetched_tips]
    lines = []
    for (run, tip), commit in zip(fetched_tips.items(), repo.blobs(fetched_tips.values()), strict=True):
        old = run_tips.get(run)
        if tip == run or _first_parent(commit) != run or run in mismatches:
            rejects.append(run)
        elif old is None or old == run or _is_later(repo, tip, old):
            change = f"create {RUN_REF}{run}\0{tip}\0" if old is None else f"update {RUN_REF}{run}\0{tip}\0{old}\0"
            lines.append(change)
            run_tips[run] = tip
        lines.append(f"delete {FETCHED_REF}{run}\0{tip}\0")
    repo.run("update-ref", "--stdin", "-z", stdin="".join(lines).encode(), options=REF_FSYNC)
    repo.fsync_refs(f"{RUN_REF}any")
    if rejects:
        reason = (
            f"{fetched_tips[rejects[0]][:8]} is no result"
            if rejects[0] in fetched_tips
            else "nothing arrived as the result"
        )
        raise DataFault(f"{reason} of run {rejects[0][:8]}", hint=f"snaprun fetch {rejects[0][:8]}")
    return {run: run_tips[run] for run in runs}


def results(repo: GitRepo, runs: Sequence[str]) -> dict[str, str | None]:
    """The result commit of each of these runs, None while its ref stands at the snapshot. Left out are runs without a
    ref here, or with one that stands elsewhere."""
    refs = repo.refs(RUN_REF)
    tips = {run: tip for run in runs if (tip := refs.get(RUN_REF + run))}
    parents = dict(zip(tips, map(_first_parent, repo.blobs(tips.values())), strict=True))
    return {run: None if tip == run else tip for run, tip in tips.items() if run in (tip, parents[run])}


def fault(stderr: str, url: str) -> SnaprunError:
    """The error that fits what ssh, or git over ssh, has said."""
    host = re.sub(r"^ssh://([^/]+).*", r"\1", url)
    login = login_command(url)
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("@@@")]
    lines = [line for line in lines if line not in ADVICE]
    reason = next((line for line in lines if _is_cause(line)), lines[-1] if lines else "the connection was cut")
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in stderr:
        return Denied(f"the host key of {host} has changed", hint=f"if that is right: ssh-keygen -R {_known_host(url)}")
    if "Host key verification failed" in stderr:
        return Denied(f"the host key of {host} is not known yet", hint=f"{login}, and accept its key")
    if "Permission denied (" in stderr or "Too many authentication failures" in stderr:
        return Denied(
            f"{host} lets nobody in without a question: {reason}",
            hint=f"ssh-add, {login.replace('ssh', 'ssh-copy-id', 1)}",
        )
    if out_of_space(stderr):
        return WriteFault(f"the disk of {host} is full: {reason}", hint=f"{login} df -h")
    if "Permission denied" in stderr or "insufficient permission" in stderr or "dubious ownership" in stderr:
        return Denied(f"{host}: {reason}", hint=f"{login}, and look who owns the folder")
    match = re.search(r"^ ! \[(?:remote )?rejected\] .*\((.+)\)$", stderr, re.MULTILINE)
    if match and not any(word in stderr for word in DISCONNECT_MESSAGES):
        return _push_refusal(host, login, match[1], lines)
    return Unavailable(f"{host} cannot be reached: {reason}", hint=login)


ADDRESS = re.compile(r"ssh://(?P<user>[^/@]*@)?(?P<host>\[[^]/]*\]|[^/:]*)(?::(?P<port>\d+))?(?:/|$)")
"""Of an address of ssh: the user, the host (an IPv6 address in brackets), the port."""


def login_command(url: str) -> str:
    """What to type to log in at an address."""
    match = ADDRESS.match(url)
    if match is None:
        return f"ssh {url}"
    port = f"-p {match['port']} " if match["port"] else ""
    return f"ssh {port}{match['user'] or ''}{match['host'].strip('[]')}"


def _known_host(url: str) -> str:
    """What a machine is called in the file of known hosts, for a shell."""
    match = ADDRESS.match(url)
    if match is None:
        return url
    host = match["host"].strip("[]")
    return f"'[{host}]:{match['port']}'" if match["port"] else host


def _push_refusal(host: str, login: str, reason: str, lines: Sequence[str]) -> SnaprunError:
    """The error for a push that arrived and that git there did not take."""
    words = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    text = f"the repository on {host} refuses the push: {reason}{f' ({words[0]})' if words else ''}"
    if "shallow update" in reason:
        hint = "git fetch --unshallow here, or git config receive.shallowUpdate true there"
    else:
        hint = f"{login}, and look at the settings and hooks of the repository"
    return Unavailable(text, hint=hint)


def _find_mismatches(repo: GitRepo, fetched_tips: Mapping[str, str]) -> set[str]:
    """Those of these runs whose result says something else of what ran than their snapshot, or says no end of it."""
    names = ("run.json", "params.json")
    groups = [[*((run, name) for name in names), *((tip, name) for name in names)] for run, tip in fetched_tips.items()]
    documents = repo.blobs(f"{commit}:{SNAP_DIR}/{name}" for group in groups for commit, name in group)
    result_documents = repo.blobs(f"{tip}:{SNAP_DIR}/result.json" for tip in fetched_tips.values())
    mismatches = set()
    for run, result_document in zip(fetched_tips, result_documents, strict=True):
        before, after = [next(documents) for _ in names], [next(documents) for _ in names]
        if before != after or not _is_result(result_document):
            mismatches.add(run)
    return mismatches


def _is_result(document: bytes | None) -> bool:
    try:
        Result.from_json(parse_document(document or b""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _first_parent(commit: bytes | None) -> str | None:
    match = re.match(rb"tree [0-9a-f]+\nparent ([0-9a-f]+)\n", commit or b"")
    return match[1].decode() if match else None


def _is_later(repo: GitRepo, new: str, old: str) -> bool:
    """Whether ``new`` is the result of a further attempt after ``old``."""
    return repo.run("merge-base", "--is-ancestor", old, new, ok=()).code == 0


def _is_cause(line: str) -> bool:
    return line.startswith(("ssh:", "fatal:", "error:", "kex_"))
