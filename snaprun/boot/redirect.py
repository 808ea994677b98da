"""Give a run its frozen modules: whatever finds a module in the user's live tree gets the checkout's copy instead.

Runs at the start of every Python process of a run (see ``site/sitecustomize.py``), in the user's own interpreter:
standard library only, Python 3.8 and later, and it must neither print nor fail.

An editable install reaches the live tree in many ways: a path file, setuptools' ``__editable__`` finder with its
mappings and namespaces, the redirecting finders of ``editables``, scikit-build-core and meson-python, a symlink (flit),
``sys.path.insert(0, "/home/me/project/src")`` in a cell. Instead of knowing them all, the finder here stands first,
asks the others, and rewrites what they found. Entries of ``sys.path`` are rewritten as well, in their places, for
hooks that ask ``PathFinder`` directly.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec  # what importlib.machinery and importlib.util give, without their 3 ms
from _frozen_importlib_external import (
    ExtensionFileLoader,
    SourceFileLoader,
    SourcelessFileLoader,
    spec_from_file_location,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

VARIABLE = "SNAPRUN_REDIRECT"
"""Three lists of paths, apart by RECORD: top of the checkout; tops of the live tree; what there is to be left alone."""

RECORD, UNIT = "\x1e", "\x1f"

PLAIN = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)


class Redirect:
    """A finder that asks all others, and moves what they find from the live tree to the frozen one."""

    def __init__(self, live: Iterable[str], checkout: str, skip: Iterable[str]) -> None:
        self.live = [entry.rstrip(os.sep) + os.sep for entry in live]
        self.frozen = checkout.rstrip(os.sep) + os.sep
        prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
        prefixes = {prefix for prefix in prefixes if not any(top.startswith(prefix + os.sep) for top in self.live)}
        self.skip = (self.frozen, *(entry.rstrip(os.sep) + os.sep for entry in [*skip, *prefixes]))

    def move(self, path: str) -> str:
        """The frozen place of a path in the live tree; the path itself where it lies elsewhere."""
        for top in self.live:
            if (path + os.sep).startswith(top):
                if (path + os.sep).startswith(self.skip):
                    return path
                return os.path.join(self.frozen, path[len(top) :]).rstrip(os.sep)
        return path

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec that the other finders give, moved; a module that only the live tree has is not found by it."""
        for finder in list(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec = self.move_spec(name, spec)
            if spec is not None:
                return spec
        return None

    def move_spec(self, name: str, spec: ModuleSpec) -> ModuleSpec | None:
        """A spec with every path in the live tree moved; None where the frozen tree has no such module."""
        locations = spec.submodule_search_locations
        origin = spec.origin if spec.has_location else None
        if origin is None:
            return spec if locations is None else self._move_namespace(spec, locations)
        place = self.move(origin)
        if place == origin and "." not in name:
            place = self._follow_link(origin)
        if place == origin:
            return spec
        if not os.path.exists(place):
            return spec if not os.path.exists(origin) else None
        folders = None if locations is None else [os.path.dirname(place), *self._move_other_folders(locations, origin)]
        if type(spec.loader) in PLAIN:
            return spec_from_file_location(name, place, submodule_search_locations=folders)
        if getattr(spec.loader, "path", None) == origin:  # a subclass of a file loader: an import hook of some package
            setattr(spec.loader, "path", place)  # noqa: B010
            spec.origin = place
            spec.cached = None
            spec.submodule_search_locations = folders
        return spec

    def _move_namespace(self, spec: ModuleSpec, locations: Iterable[str]) -> ModuleSpec | None:
        """A namespace package has folders only; those that the frozen tree has not are left out."""
        entries = list(locations)
        places = {entry: self.move(entry) for entry in entries}
        if all(entry == place for entry, place in places.items()):
            return spec
        folders = [place for entry, place in places.items() if place == entry or os.path.isdir(place)]
        if not any(os.path.isdir(entry) for entry in folders):
            return None
        package_spec = ModuleSpec(spec.name, None, is_package=True)
        package_spec.submodule_search_locations = list(dict.fromkeys(folders))
        return package_spec

    def _move_other_folders(self, locations: Iterable[str], origin: str) -> list[str]:
        """The further folders of a package beside that of its ``__init__`` file."""
        package_folder = os.path.dirname(origin)
        return [self.move(entry) for entry in locations if entry != package_folder]

    def _follow_link(self, origin: str) -> str:
        """The frozen place of a module that is linked into site-packages from the live tree."""
        folder = os.path.dirname(origin)
        if not (os.path.islink(origin) or os.path.islink(folder)):
            return origin
        real_path = os.path.realpath(origin)
        place = self.move(real_path)
        return origin if place == real_path else place

    def move_path(self) -> None:
        """Rewrite the entries of ``sys.path`` that lie in the live tree, where the frozen one has the folder."""
        for number, entry in enumerate(sys.path):
            if isinstance(entry, str) and os.path.isabs(entry):
                place = self.move(entry)
                if place != entry and os.path.isdir(place):
                    sys.path[number] = place


def install() -> None:
    """Put the finder first, once a process."""
    if any(type(finder).__name__ == "Redirect" and hasattr(finder, "frozen") for finder in sys.meta_path):
        return
    lists = [part.split(UNIT) for part in os.environ.get(VARIABLE, "").split(RECORD)]
    if len(lists) != 3:
        return
    (checkout,), live, skip = lists
    redirect = Redirect(live, checkout, [entry for entry in skip if entry])
    if os.path.isdir(redirect.frozen):
        sys.meta_path.insert(0, redirect)
        redirect.move_path()


install()
