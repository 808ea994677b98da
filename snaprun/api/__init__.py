"""The library that every door calls: the command line, a notebook, a page.

A verb is a function, in the groups of ``snaprun --help``: ``run`` (exec, snapshot, rerun, resume, stop, wait, attach),
``sweep``, ``search``, ``queue`` and ``console`` start and steer; ``history``, ``ps``, ``look`` (show, logs), ``diff``
(and log) and ``compare`` (and plot) look; ``use`` takes things out; ``share`` fetches; ``keep`` and ``hook`` look after
the repository. Each takes a :class:`snaprun.context.Context` first, selectors as people type them, and options as a
frozen dataclass where there are many; it returns data, gives it piece by piece, or calls back. Errors are kinds of
:class:`snaprun.errors.SnaprunError`, with a hint. Nothing here prints, or knows of a terminal.
"""
