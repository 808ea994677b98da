"""``snaprun plot``: a metric of many runs as a chart."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import (
    choose_count,
    filters,
    gather,
    group_options,
    history_options,
    json_option,
    plot_options,
)

if TYPE_CHECKING:
    from snaprun.api.compare import PlotOptions
    from snaprun.api.history import HistoryOptions

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("plot", short_help="Draw a metric of runs.")
@click.argument("metric")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=5, show_default=True, help="How many runs; of a sweep all."
)
@click.option("--all", "everything", is_flag=True, help="All runs, however many.")
@filters
@group_options
@click.option("--x", type=click.Choice(["step", "time"]), default="step", show_default=True, help="What lies on x.")
@click.option("--smooth", type=float, default=0.0, metavar="WEIGHT", help="Smooth: from 0 (not at all) to under 1.")
@click.option("--log", is_flag=True, help="Make the y axis logarithmic.")
@click.option("--svg", "svg_file", type=FILE, help="Write an SVG file.")
@click.option("--png", "png_file", type=FILE, help="Write a PNG file (needs the extra images).")
@click.option("--html", "html_file", type=FILE, help="Write one self-contained page.")
@json_option
@gather(plot_options)
@gather(history_options)
def command(
    selection: HistoryOptions,
    options: PlotOptions,
    metric: str,
    everything: bool,
    svg_file: Path | None,
    png_file: Path | None,
    html_file: Path | None,
    as_json: bool,
) -> int:
    """Draw a metric of runs over its steps or over time, in the terminal or as a file.

    \b
      snaprun plot loss                       the latest runs that are there
      snaprun plot loss base @ --smooth 0.6
      snaprun plot accuracy --group aad60d03  mean and band over the seeds of a sweep
      snaprun plot loss @ --log --svg loss.svg

    Runs are named, or filtered as in history. A run in progress is drawn as far as it is.
    """
    from snaprun import files, show
    from snaprun.api.compare import plot
    from snaprun.charts import png, series, svg, terminal
    from snaprun.commands.terminal import load_context, stdout

    chart = plot(load_context(), metric, options, choose_count(selection, everything=everything), now=time.time())
    for path, draw in ((svg_file, svg.svg), (png_file, png.png), (html_file, svg.html)):
        if path is not None:
            content = draw(chart)
            files.export(path, content if isinstance(content, bytes) else content.encode())
            click.echo(f"wrote {path}", err=True)
    if as_json:
        click.echo(show.as_json(series.as_json(chart)))
    elif svg_file is png_file is html_file is None:
        click.echo(terminal.text(chart, stdout()))
    return 0
