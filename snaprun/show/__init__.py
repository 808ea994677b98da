"""Turn what the library returns into the text that a person reads.

The tables of queue and sweeps, the reports of hooks and the views of diffs are made beside these.
"""

from snaprun.show.lines import end_line, findings, notes, snapshot_line, start_json, start_line
from snaprun.show.progress import in_progress, in_progress_json
from snaprun.show.run import run_text
from snaprun.show.tables import Columns, fit, history, history_csv, history_json, settings
from snaprun.show.words import Look, age, as_json, choose_look, moment, pairs, status, value

__all__ = [
    "Columns",
    "Look",
    "age",
    "as_json",
    "choose_look",
    "end_line",
    "findings",
    "fit",
    "history",
    "history_csv",
    "history_json",
    "in_progress",
    "in_progress_json",
    "moment",
    "notes",
    "pairs",
    "run_text",
    "settings",
    "snapshot_line",
    "start_json",
    "start_line",
    "status",
    "value",
]
