"""Show everything of one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snaprun.model import Details, short_id
from snaprun.quantities import format_duration, format_size
from snaprun.show.tables import lay_out
from snaprun.show.words import Look, moment, status, value


def run_text(details: Details, look: Look) -> str:
    """Everything of one run for a person."""
    sections = [_head(details, look)]
    run = details.run
    if run.params:
        sections.append(_section("params", _two_columns(_param_values(details), look), look))
    if run.metrics:
        rows = [[name, value(m.last), value(m.min), value(m.max), str(m.steps)] for name, m in run.metrics.items()]
        sections.append(_section("metrics", _indent(lay_out(rows, ["metric", "last", "min", "max", "steps"])), look))
    if run.cells:
        rows = [
            [str(c.number or "·"), _cell_state(c.state, look), format_duration(c.seconds), c.label] for c in run.cells
        ]
        sections.append(_section("cells", _indent(lay_out(rows, ["cell", "state", "time", "what"])), look))
    result = details.result
    if result and result.error:
        sections.append(_section(f"cell {result.error.number or 'parameters'} failed", _failure(details), look))
    if result and result.artifacts:
        rows = [[item.path, format_size(item.size), item.sha256[:12], item.stored] for item in result.artifacts]
        sections.append(_section("artifacts", _indent(lay_out(rows, ["file", "size", "sha256", "kept in"])), look))
    if details.environment:
        sections.append(_section("environment", _indent(_environment(details.environment)), look))
    if details.spec.left_out:
        rows = [[item.path, item.why, format_size(item.size)] for item in details.spec.left_out]
        sections.append(_section("not in the snapshot", _indent(lay_out(rows, ["path", "why", "size"])), look))
    warnings = [*details.spec.warnings, *(result.warnings if result else ())]
    if warnings:
        sections.append(_section("warnings", _indent("\n".join(warnings)), look))
    return "\n\n".join(sections)


def _head(details: Details, look: Look) -> str:
    run, spec = details.run, details.spec
    exit_text = f"  exit {run.exit_code}" if run.exit_code is not None else ""
    time_text = f"  {format_duration(run.seconds)}" if run.seconds is not None else ""
    head = f"{look.style(short_id(run.id), bold=True)}  {run.notebook}"
    lines = [f"{head}  {status(run.status, look)}{exit_text}{time_text}"]
    branch = f" ({run.branch})" if run.branch else ""
    facts = {
        "id": run.id,
        "name": run.name,
        "reason": run.reason,
        "message": run.message,
        "tags": " ".join(run.tags),
        "group": run.group,
        "created": f"{moment(run.created)} by {run.user} on {run.host}",
        "started": moment(run.started),
        "ended": moment(run.ended),
        "based on": f"{short_id(run.parent)}{branch}{' with changes' if run.dirty else ''}"
        if run.parent
        else "no commit",
        "result": short_id(run.commit) if run.commit != run.id else None,
        "engine": f"{run.engine}, {run.launcher}" + (", in place" if spec.in_place else ""),
        "kernel": " ".join(part for part in (spec.kernel, spec.python) if part),
        "attempts": str(run.attempts) if run.attempts > 1 else None,
        "limits": _limits(details),
        "memory": f"{format_size(details.result.peak_memory)} at most"
        if details.result and details.result.peak_memory
        else None,
    }
    return "\n".join([*lines, _two_columns({name: text for name, text in facts.items() if text}, look)])


def _limits(details: Details) -> str:
    """The GPUs that were wanted and those that the run got, and how much memory it might use."""
    spec, parts = details.spec, []
    if spec.gpus:
        visible = details.environment.get("variables", {}).get("CUDA_VISIBLE_DEVICES")
        visible_text = f" (CUDA_VISIBLE_DEVICES={visible})" if visible is not None else ""
        parts.append(f"{spec.gpus} GPU{'s' if spec.gpus > 1 else ''}{visible_text}")
    if spec.max_memory:
        parts.append(f"{format_size(spec.max_memory)} of memory")
    return ", ".join(parts)


def _param_values(details: Details) -> dict[str, str]:
    explicit_names = set(details.spec.given)
    return {
        name: value(thing) + ("" if name in explicit_names or not explicit_names else "  (default)")
        for name, thing in details.run.params.items()
    }


def _failure(details: Details) -> str:
    error = details.result.error if details.result else None
    if error is None:
        return ""
    source = "\n".join(f"  {number:>3}  {line}" for number, line in enumerate(error.source.splitlines(), 1))
    return f"{source}\n\n{_indent(error.traceback.rstrip() or f'{error.ename}: {error.evalue}')}"


def _environment(environment: Mapping[str, Any]) -> str:
    lines = [
        f"{name}: {value(thing)}"
        for name, thing in environment.items()
        if name != "schema" and isinstance(thing, (str, int, float))
    ]
    packages = environment.get("packages")
    if packages:
        lines.append(f"packages: {len(packages)} (snaprun show RUN:.snaprun/environment.json lists them)")
    gpus = environment.get("gpus")
    if gpus:
        lines.append(f"gpus: {', '.join(map(str, gpus))}")
    return "\n".join(lines)


def _cell_state(state: str, look: Look) -> str:
    colours = {"ok": "green", "failed": "red", "stopped": "yellow"}
    return look.style(state, colours.get(state))


def _section(title: str, body: str, look: Look) -> str:
    return f"{look.style(title, bold=True)}\n{body}"


def _two_columns(facts: Mapping[str, str], look: Look) -> str:
    width = max((len(name) for name in facts), default=0)
    return "\n".join(f"  {look.style(name.ljust(width), 'bright_black')}  {text}" for name, text in facts.items())


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())
