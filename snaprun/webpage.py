"""Put a page together that needs no network and trusts nothing: its policy allows no more than what it brings along."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources


def page(title: str, body: str, *, style: str, script: str = "", sources: str = "") -> str:
    """A whole page around ``body``; ``sources`` are further directives of its policy, ``script`` the one allowed."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    element = ""
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
        element = f"<script>{script}</script>"
    if sources:
        policy += f"; {sources}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">'
        '<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>{body}{element}</body></html>\n"
    )


def asset(name: str) -> str:
    """A style or a script that comes with snaprun."""
    return (resources.files("snaprun") / "assets" / name).read_text(encoding="utf-8")
