"""``snaprun sweep``: many runs of one notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snaprun.commands.options import COUNT_MOST, limit_options, snapshot_options, stack, where_options

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
def command(**options: Any) -> int:
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
    from snaprun.commands.sweeping import sweep

    return sweep(**options)
