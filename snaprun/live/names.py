"""Name the files of a live folder. Standard library only."""

from __future__ import annotations

SPEC_FILE = "spec.json"
"""What was asked for: :class:`snaprun.model.RunSpec`."""

PARAMS_FILE = "params.json"
"""The run's parameters."""

ORDER_FILE = "order.json"
"""What the worker needs beyond the snapshot: :class:`snaprun.live.order.Order`."""

NOTEBOOK_FILE = "notebook.json"
"""The document that runs, with the parameters injected and without outputs."""

ENVIRONMENT_FILE = "environment.json"
"""What the run is executed in."""

INPUTS_FILE = "inputs.json"
"""Size and time of change of the linked data before the run."""

KERNEL_FILE = "kernel.json"
"""The Jupyter connection file of the run's kernel, while there is one."""

SUPERVISOR_FILE = "supervisor.json"
"""Who watches the run: host, boot id, pid, start time."""

PLACEMENT_FILE = "submitted.json"
"""Which launcher has the run: :class:`snaprun.launchers.placement.Placement`."""

CONTACT_FILE = "contact.json"
"""What its launcher said last."""

RETRY_FILE = "again.json"
"""How often the run may be tried again, and whether its job is given back already."""

STOP_FILE = "stop.json"
"""Who asked for an end: :class:`snaprun.live.stoprequest.StopRequest`."""

RESUME_FILE = "resume.json"
"""With which text the failed cell of a held run goes on."""

ENDING_FILE = "ending.json"
"""How the run was seen to end: :class:`snaprun.model.Outcome`."""

CONSOLES_FILE = "consoles.jsonl"
"""A line each time that a console was opened on the run's kernel."""

LOCK_FILE = "lock"
"""Held (flock) while supervisor or worker live, see :mod:`snaprun.live.lock`."""

MESSAGES_FILE = "snaprun.log"
"""What snaprun itself had to say."""

LOG_FILE = "log.txt"
"""Standard output and error, bytes as they came."""

ARRIVALS_FILE = "log-times.jsonl"
"""When the bytes of the log came; called so in the result too."""

METRICS_FILE = "metrics.jsonl"
"""What the notebook logged, a line a value."""

ARTIFACTS_FILE = "artifacts.jsonl"
"""The files that the notebook wants kept, a line a path."""

EVENTS_FILE = "events.jsonl"
"""The journal."""

BLOBS_FOLDER = "blobs"
"""Outputs too large for the journal, by sha256."""

IMPORT_FOLDER = "path"
"""The folder that makes ``import snaprun`` work."""

RESERVE_FILE = "reserve"
"""Room on the disk, given back for the last words when there is no other."""

GROWING_FILES = (LOG_FILE, ARRIVALS_FILE, METRICS_FILE, ARTIFACTS_FILE, EVENTS_FILE)
"""What grows, the journal last: what it speaks of must be there before it."""

OPEN_FILES = (LOCK_FILE, MESSAGES_FILE, *GROWING_FILES)
"""Files that somebody has open all the time."""

WHOLE_FILES = (
    *(SPEC_FILE, PARAMS_FILE, ORDER_FILE, NOTEBOOK_FILE, ENVIRONMENT_FILE, INPUTS_FILE, KERNEL_FILE),
    *(SUPERVISOR_FILE, PLACEMENT_FILE),
)
"""Files that are written as a whole, some of them more than once."""
