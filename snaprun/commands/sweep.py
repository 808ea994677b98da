"""``snaprun sweep``: many runs of one notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import (
    COUNT_MOST,
    gather,
    limit_options,
    run_options,
    snapshot_options,
    stack,
    sweep_options,
    view_options,
    where_options,
)
from snaprun.errors import INTERRUPT_CODE, UsageFault

if TYPE_CHECKING:
    from snaprun.api.run import RunOptions
    from snaprun.api.search import Goal, SearchProgress
    from snaprun.api.sweep import SweepOptions, SweepPlan, SweepProgress
    from snaprun.commands.view import ViewOptions
    from snaprun.context import Context

RUNS_TO_CONFIRM = 1000
"""More runs than this are asked about first."""

CONTINUE_OPTIONS = ("continued", "trials", "jobs", "detach", "as_json", "quiet", "yes")
"""``--continue``, and the options of ``sweep`` that may stand beside it."""

point_options = stack(
    click.option(
        "-p",
        "--param",
        "axes",
        multiple=True,
        metavar="NAME=VALUES",
        help="What varies: 0.1,0.01 or [adam,sgd] or 2..6 or 0..1..0.25; one value is the same for all.",
    ),
    click.option(
        "-r", "--raw", "raw", multiple=True, metavar="NAME=TEXT", help="Parameter of all runs: this very text."
    ),
    click.option(
        "-f",
        "--params-file",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Parameters of all runs, from a .yaml, .json or .toml file.",
    ),
    click.option(
        "--from",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A run a row: .csv, .json, .jsonl, .yaml.",
    ),
    click.option("--random", type=click.IntRange(1), metavar="N", help="N points at random instead of the whole grid."),
    click.option(
        "--random-seed",
        "seed",
        type=int,
        default=0,
        metavar="N",
        help="What --random or --search draws; 0 if left out.",
    ),
    click.option("--seeds", metavar="N|LIST", help="Each point with seeds 0 to N-1, or with these: 1,2,3 or 10..14."),
)

search_options = stack(
    click.option("--search", metavar="NAME", help="Draw each point from how those before did: optuna."),
    click.option("--trials", type=click.IntRange(1), metavar="N", help="How many points a search tries."),
    click.option("--no-prune", is_flag=True, help="Let a search give no run up before its end."),
    click.option("--continue", "continued", metavar="ID", help="Go on with the search of this id: --trials N more."),
)


@click.command("sweep", short_help="Run a notebook with many parameter sets or seeds.")
@click.argument("notebook", type=click.Path(path_type=Path), required=False)
@point_options
@search_options
@click.option(
    "-j", "--jobs", type=click.IntRange(1, COUNT_MOST), metavar="N", help="How many of its runs work at a time."
)
@click.option(
    "--retries",
    type=click.IntRange(0, COUNT_MOST),
    default=0,
    metavar="N",
    help="Try a failed run again, up to N times.",
)
@click.option("--after", metavar="RUN", help="Start only when this run has succeeded.")
@click.option("--minimize", metavar="METRIC", help="Show, or search, the lowest last value of this metric.")
@click.option("--maximize", metavar="METRIC", help="Show, or search, the highest last value of this metric.")
@snapshot_options
@where_options("a run", "an array of Slurm jobs")
@limit_options
@click.option("--dry-run", is_flag=True, help="Print the runs, and start none.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask above 1,000 runs.")
@click.option("-d", "--detach", is_flag=True, help="Return at once, and print the sweep's id alone.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the runs as JSON when all have ended (--dry-run: at once)."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@gather(view_options)
@gather(sweep_options)
@gather(run_options)
def command(
    options: RunOptions,
    sweep_options: SweepOptions,
    view_options: ViewOptions,
    search: str | None,
    trials: int | None,
    no_prune: bool,
    continued: str | None,
    minimize: str | None,
    maximize: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Freeze NOTEBOOK once, and run it with every combination of the values given, some at a time.

    \b
      snaprun sweep train.ipynb -p lr=0.1,0.01 -p depth=2..6 -j 4
      snaprun sweep train.ipynb -p opt=[adam,sgd] --seeds 5 --minimize loss
      snaprun sweep train.ipynb -p lr=1e-4..1e-1..log -p width=16..512..log --random 40
      snaprun sweep train.ipynb --from trials.csv --dry-run
      snaprun sweep train.ipynb -p lr=1e-4..1e-1..log --search optuna --trials 50 --minimize loss

    Ctrl-C leaves it running. `snaprun stop --group ID` ends it; `snaprun history --group ID` lists it. The exit code
    is 0 when all runs succeeded, else 1; of a search, 0 when it made its trials and one of them gave a value.
    """
    from dataclasses import replace

    from snaprun.api.search import Goal
    from snaprun.commands.terminal import command_line, load_context

    if continued is not None:
        _require_yes(trials or 0, yes=yes)
        _refuse_changes(continued)
        return _continue_search(load_context(), continued, trials, sweep_options.jobs, view_options)
    if minimize and maximize:
        raise UsageFault("--minimize and --maximize exclude each other", hint=f"--minimize {minimize}")
    context = load_context()
    options = replace(options, argv=command_line())
    goal = Goal(search or "", minimize or maximize, bool(maximize), trials, not no_prune)
    if search is not None:
        return _search(context, options, sweep_options, goal, view_options, dry_run=dry_run, yes=yes)
    if trials is not None:
        raise UsageFault("--trials belongs to a search", hint=f"--search optuna, or --random {trials}")
    if no_prune:
        raise UsageFault("--no-prune belongs to a search", hint="--search optuna")
    return _sweep(context, options, sweep_options, goal, view_options, dry_run=dry_run, yes=yes)


def _sweep(
    context: Context,
    options: RunOptions,
    sweep_options: SweepOptions,
    goal: Goal,
    view_options: ViewOptions,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Go through all points."""
    from snaprun.api.sweep import check, plan, start
    from snaprun.commands.terminal import stdout
    from snaprun.sweeps import table

    sweep = plan(context, options, sweep_options)
    if dry_run:
        check(sweep)
        points, axes = sweep.points, sweep.axes
        click.echo(table.points_json(points) if view_options.as_json else table.points(points, axes, stdout()))
        return 0
    _require_yes(len(sweep.points), yes=yes)
    start_time = time.monotonic()
    snapshots = start(context, sweep)
    if view_options.detach:
        click.echo(sweep.group)
        return 0
    if not view_options.quiet:
        count = f"{len(snapshots)} run{'s' if len(snapshots) > 1 else ''}"
        seconds = f"{time.monotonic() - start_time:.2f} s"
        click.echo(f"queued  {count} of {snapshots[0].spec.notebook}  sweep {sweep.group}  {seconds}", err=True)
    return _watch_sweep(context, sweep, goal, view_options)


def _watch_sweep(context: Context, plan: SweepPlan, goal: Goal, view_options: ViewOptions) -> int:
    """Show how a sweep goes until all its runs are over; Ctrl-C only leaves."""
    from snaprun import show
    from snaprun.api.sweep import follow
    from snaprun.commands.board import watch
    from snaprun.commands.terminal import stderr
    from snaprun.sweeps import table

    def render(progress: SweepProgress) -> str:
        return table.sweep(progress, plan.axes, goal.metric, stderr())

    states = follow(context, plan.group, metric=goal.metric, highest=goal.highest)
    end_state = watch(states, render, kind="sweep", group=plan.group, quiet=view_options.quiet)
    if end_state is None:
        return INTERRUPT_CODE
    if view_options.as_json:
        click.echo(show.history_json(end_state.runs))
    elif not view_options.quiet:
        click.echo(render(end_state), err=True)
    return 0 if end_state.good else 1


def _search(
    context: Context,
    options: RunOptions,
    sweep_options: SweepOptions,
    goal: Goal,
    view_options: ViewOptions,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """``--search``: draw each point from how those before did."""
    from snaprun.api.search import plan, start
    from snaprun.commands.terminal import stdout
    from snaprun.sweeps import table

    if not dry_run:
        _require_yes(goal.trials or 0, yes=yes)
    search = plan(context, options, sweep_options, goal)
    if dry_run:
        click.echo(table.space_json(search) if view_options.as_json else table.space(search, stdout()))
        return 0
    start_time = time.monotonic()
    new_search = start(context, search)
    if not view_options.quiet and not view_options.detach:
        count = f"{new_search.trials} trial{'s' if new_search.trials > 1 else ''}"
        seconds = f"{time.monotonic() - start_time:.2f} s"
        click.echo(f"queued  {count} of {new_search.base.notebook}  search {new_search.group}  {seconds}", err=True)
    return _watch_search(context, new_search.group, view_options)


def _continue_search(
    context: Context, group: str, trials: int | None, jobs: int | None, view_options: ViewOptions
) -> int:
    """``--continue``: more trials of a search."""
    from snaprun.api.search import go_on

    if trials is None:
        raise UsageFault("how many trials more?", hint=f"snaprun sweep --continue {group} --trials 20")
    search = go_on(context, group, trials=trials, jobs=jobs)
    if not view_options.quiet and not view_options.detach:
        text = f"goes on to {search.trials} trials of {search.base.notebook}  search {search.group}"
        click.echo(text, err=True)
    return _watch_search(context, group, view_options)


def _refuse_changes(group: str) -> None:
    """Refuse options that would make another search of it."""
    for name, value in click.get_current_context().params.items():
        if value and name not in CONTINUE_OPTIONS:
            text = f"--continue makes more trials of the same search: {_spell(name)} cannot be changed"
            raise UsageFault(text, hint=f"snaprun sweep --continue {group} --trials 20")


def _spell(name: str) -> str:
    """How an option, or the argument, is written."""
    names = {"notebook": "the notebook", "axes": "-p", "seed": "--random-seed", "file": "--from", "tags": "--tag"}
    return names.get(name, f"--{name.replace('_', '-')}")


def _watch_search(context: Context, group: str, view_options: ViewOptions) -> int:
    """Show how a search goes until it is over, unless it is detached; Ctrl-C only leaves."""
    from snaprun import show
    from snaprun.api.search import follow
    from snaprun.commands.board import watch
    from snaprun.commands.terminal import stderr
    from snaprun.sweeps import table

    if view_options.detach:
        click.echo(group)
        return 0

    def render(progress: SearchProgress) -> str:
        return table.search(progress, stderr())

    states = follow(context, group)
    if not view_options.quiet:
        states = _tell_troubles(states)
    end_state = watch(states, render, kind="search", group=group, quiet=view_options.quiet)
    if end_state is None:
        return INTERRUPT_CODE
    if view_options.as_json:
        click.echo(show.history_json(end_state.runs))
    elif not view_options.quiet:
        click.echo(render(end_state), err=True)
    return 0 if end_state.good else 1


def _tell_troubles(states: Iterator[SearchProgress]) -> Iterator[SearchProgress]:
    """Say why a search waits, each reason once."""
    troubles: set[str | None] = {None}
    for state in states:
        if state.trouble not in troubles:
            click.echo(f"the search waits, as it cannot go on: {state.trouble}", err=True)
        troubles.add(state.trouble)
        yield state


def _require_yes(count: int, *, yes: bool) -> None:
    """Above 1,000 runs a person has to say yes."""
    if count <= RUNS_TO_CONFIRM or yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():  # none: closed by the caller
        raise UsageFault(f"that is {count:,} runs", hint="--yes if that is meant, --dry-run to see them")
    click.confirm(f"That is {count:,} runs. Start them?", abort=True, err=True)
