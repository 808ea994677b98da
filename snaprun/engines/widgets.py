"""Keep the state of Jupyter widgets and of their output areas without a browser, by nbclient's imitation of one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from snaprun.engines.channels import Channels, Message
from snaprun.notebooks.slimimport import JUPYTER_EXTRAS, skip_imports

with skip_imports(*JUPYTER_EXTRAS):  # importing nbformat with them takes seconds
    from nbclient import NotebookClient
    from nbformat import NotebookNode, from_dict

OUTPUTS = ("stream", "display_data", "execute_result", "error")


class Widgets(NotebookClient):  # type: ignore[misc]
    """The state of all widgets of a run. What an ``Output`` widget catches does not belong to a cell's outputs."""

    def __init__(self, channels: Channels, note: Callable[[str], None]) -> None:
        super().__init__(NotebookNode(cells=[], metadata=NotebookNode()))
        shell = SimpleNamespace(send=lambda message: channels.send_raw("shell", message))
        self.kc = SimpleNamespace(session=channels.session, shell_channel=shell)
        self.changed_ids: set[str] = set()
        self._note = note

    def comm(self, message: Message) -> None:
        """A widget is made, changes or goes."""
        data = message.content.get("data") or {}
        area = self.comm_objects.get(message.content.get("comm_id"))
        if area is not None and data.get("method") == "echo_update":
            return  # our own news of an output area, which may be newer by now
        if area is not None and "outputs" in (data.get("state") or {}):
            area.outputs = data["state"]["outputs"]
        try:
            self.handle_comm_msg([], message.as_dict(), 0)
        except (KeyError, TypeError, ValueError, AssertionError, IndexError) as error:
            self._note(f"a widget message was not understood: {type(error).__name__}: {error}")
        self.changed_ids.add(str(message.content.get("comm_id")))

    def capture(self, message: Message) -> bool:
        """Whether an output widget takes this output or this clearing for itself."""
        stack = self.output_hook_stack.get(message.parent.get("msg_id", ""))
        if not stack:
            return False
        if message.kind == "clear_output":
            stack[-1].clear_output([], message.as_dict(), 0)
        elif message.kind in OUTPUTS:
            stack[-1].output([], from_dict(message.as_dict()), None, 0)
        else:
            return False
        self.changed_ids.add(stack[-1].comm_id)
        return True

    def take_changes(self) -> dict[str, Any]:
        """The state of the widgets that changed since the last call, in the notebook format's words."""
        states = {}
        for name in self.changed_ids & self.widget_state.keys():
            if "_model_name" not in self.widget_state[name]:
                continue
            state = self._serialize_widget_state(self.widget_state[name])
            buffers = self.widget_buffers.get(name)
            if buffers:
                state["buffers"] = list(buffers.values())
            states[name] = state
        self.changed_ids.clear()
        return states
