"""Standard streams that point elsewhere, in real processes that were started with closed ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NULL = """
import os, subprocess, sys
from snaprun.machine import streams
for stream in (streams.IN, streams.OUT):
    streams.detach(stream)
assert os.read(0, 1) == b""
os.write(1, b"nobody reads this")
child = "import os; assert os.read(0, 1) == b''; os.write(1, b'nor this')"
sys.exit(subprocess.run([sys.executable, "-c", child]).returncode or len(os.listdir("/proc/self/fd")) - 4)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("redirections", ["", "<&-", ">&-", "<&- >&-"])
def test_nothing_is_there_and_no_descriptor_is_left(redirections: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {redirections}', sys.executable, NULL], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


LOG = """
import sys
from pathlib import Path
from snaprun.machine import streams
streams.append(streams.ERR, Path(sys.argv[1]))
print("said", file=sys.stderr)
"""


def test_a_log_is_private_and_grows(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", LOG, path], capture_output=True, check=True)
        assert done.stderr == b""
    assert path.read_text() == "said\nsaid\n"
    assert path.stat().st_mode & 0o777 == 0o600
