"""Find secrets in text: by their documented beginnings, by the name they are given to, or because they are known.

Randomness alone is no sign: a notebook is full of hashes. (Raw ``.ipynb`` files must be decoded first: scanners that
read them as text miss what JSON escapes, and take every image for a key.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from snaprun.hooks.secretrules import IN_HEADER, IN_URL, KEY_BLOCK, NAMES, PREFIX_RULES

ALLOW_MARKS = ("pragma: allowlist secret", "gitleaks:allow", "snaprun: not-a-secret")
"""What a line may say to be passed over: detect-secrets' mark, gitleaks' and our own."""

MEND = "take it out (os.environ, getpass), and revoke it where it was shared"

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables whose values are secrets."""


@dataclass(frozen=True)
class Secret:
    """A secret in a text. ``excerpt`` is enough of it to recognise it, and too little to use it."""

    kind: str
    excerpt: str
    start: int
    mend: str = MEND


_KEY_BLOCK = re.compile(KEY_BLOCK)
_IN_URL = re.compile(IN_URL, re.IGNORECASE)
_IN_HEADER = re.compile(IN_HEADER, re.IGNORECASE)
_WORDS = ("pass", "pwd", "secret", "key", "token", "credential")
"""One of these stands in every name of :data:`NAMES`."""

_VALUE = r"[^\s'\"`\\,;(){}\[\]<>]{8,200}"
_ASSIGNMENT = re.compile(
    rf"(?:--)?(?P<name>[A-Za-z0-9_.-]{{0,40}}?{NAMES}[A-Za-z0-9_-]{{0,20}})(?:"
    rf"[\"']?\]?\s*(?::\s*str\s*)?(?::=|=>|==?|:|,)\s*[rbuf]{{0,2}}(?P<quote>[\"'])(?P<value>[^\"'\n]{{8,200}})(?P=quote)|"
    rf"(?<=[A-Z0-9])(?:=|\s*:\s*|\s+(?=\S{{16}}))(?P<bare>{_VALUE}))",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"--(?P<name>{NAMES})(?:=|\s+)[\"']?(?P<value>{_VALUE})", re.IGNORECASE)
_LOOSE = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]{0,60}token)[\"']?\]?\s*[=:,]\s*[\"']"
    r"(?P<value>(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9_]{20,200})[\"']",
    re.IGNORECASE,
)
"""Something merely called a token is one only with a value like one: models have tokens too."""

_SERVICES = """
wandb comet_ml neptune kaggle dagshub cohere mistral together datadog cloudflare algolia twitter linkedin okta fastly
circleci travis codecov snyk sonar heroku vercel deepl mapbox etherscan openweather
"""
_SERVICE_NAMES = tuple(_SERVICES.split())
_BY_SERVICE = re.compile(
    r"(?P<name>\w+)[\w.\s\"'\[\]-]{0,40}(?:key|token|secret|login|auth)[\w\"'\]]{0,20}\s*(?:=|:|\(|,)\s*"
    r"(?:\w+\s*=\s*)?[\"'](?P<value>[A-Za-z0-9_-]{16,80})[\"']",
    re.IGNORECASE,
)
_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
_WORD_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-")
_DATA_URI = re.compile(r"data:[\w.+-]{1,60}/[\w.+;=-]{1,80};base64,[A-Za-z0-9+/=\s\\]+")
_PLACEHOLDER = re.compile(
    r"[<$%{*]|(?:your|my|the|an?|some|example|changeme|change[_-]me|placeholder|dummy|fake|sample|redacted|hidden|"
    r"insert|replace|enter|put|todo|none|null|true|false|test|xxx|\.\.\.|abc|123456789|os\.|env|config|settings|"
    r"getpass|input|secret|password|token|api|key|str|string|bytes|int|float|list|dict|optional|http)"
    r"(?:$|[^a-z0-9]|(?<=x)x)",
    re.IGNORECASE,
)
_NO_SECRET_NAME = re.compile(
    r"(?:hash|hashed|digest|id|ids|name|names|file|files|path|dir|url|uri|endpoint|type|field|column|env|var|prefix|"
    r"suffix|length|len|size|index|count|regex|pattern|label|header|policy|hint|prompt|param|arn|version|expir\w*|at)$",
    re.IGNORECASE,
)


def from_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The values of the environment variables that hold secrets, by name; short ones would be found everywhere."""
    return {name: value for name, value in env.items() if SECRET_NAME.search(name) and _is_plausible(value)}


def find(text: str, values: Mapping[str, str] | None = None) -> Iterator[Secret]:
    """Every secret in ``text``, in order; ``values`` are those known by name, see :func:`from_environment`."""
    if not text:
        return
    clean = _DATA_URI.sub("data:", text) if "base64," in text else text
    spans: list[tuple[int, int]] = []
    secrets = []
    for secret, end in _candidates(clean, values or {}):
        if any(start < end and secret.start < stop for start, stop in spans) or _is_allowed(clean, secret.start):
            continue
        spans.append((secret.start, end))
        secrets.append(secret)
    yield from sorted(secrets, key=lambda secret: secret.start)


def _candidates(text: str, values: Mapping[str, str]) -> Iterator[tuple[Secret, int]]:
    """What looks like a secret, with its end; the surest signs first."""
    lower = text.lower()
    for name, value in values.items():
        start = text.find(value)
        if start >= 0:
            yield Secret(f"the value of ${name}", _mask(value), start), start + len(value)
    for kind, words, form in PREFIX_RULES:
        if any(word in lower for word in words):
            for match in _pattern(form).finditer(text):
                if not match.start() or text[match.start() - 1] not in _WORD_CHARS or ".com/" in match[0]:
                    yield Secret(kind, _mask(match[0]), match.start()), match.end()
    for start in _find_word(lower, "-----begin "):
        block = _KEY_BLOCK.match(text, start)
        if block:
            yield Secret("a private key", block[0].strip("-").lower(), start), block.end()
    for hit in _find_word(lower, "://"):
        yield from _credential("a password in an address", _IN_URL.match(text, _start_of_name(lower, hit)))
    for hit in _find_word(lower, "authorization"):
        yield from _credential("a credential", _IN_HEADER.match(text, hit))
    yield from _find_assignments(text, lower)


def _credential(kind: str, match: re.Match[str] | None) -> Iterator[tuple[Secret, int]]:
    if match and not _PLACEHOLDER.match(match["value"]) and not _is_dull(match["value"]):
        yield Secret(kind, _mask(match["value"]), match.start("value")), match.end("value")


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """A rule, made ready when its word is first seen: all of them take longer than a commit should."""
    return re.compile(form)


def _find_assignments(text: str, lower: str) -> Iterator[tuple[Secret, int]]:
    """Values that are given to something named like a secret.

    Each form is tried only where a word of it stands: searching a whole text for it takes seconds a megabyte.
    """
    starts = set()
    for word in _WORDS:
        for hit in _find_word(lower, word):
            start = _start_of_name(lower, hit)
            if start not in starts:
                starts.add(start)
                yield from _assigned_value(
                    _ASSIGNMENT.match(text, start) or _OPTION.match(text, start) or _LOOSE.match(text, start)
                )
    for service in _SERVICE_NAMES:
        for hit in _find_word(lower, service):
            yield from _assigned_value(_BY_SERVICE.match(text, hit))


def _assigned_value(match: re.Match[str] | None) -> Iterator[tuple[Secret, int]]:
    if match is None:
        return
    group = "bare" if match.re is _ASSIGNMENT and match["value"] is None else "value"
    name, value = match["name"].strip(".-"), match[group]
    if group == "bare" and name != name.upper():
        return  # without quotes only as shells and .env files have it
    if not _NO_SECRET_NAME.search(name) and _is_plausible(value) and not _PLACEHOLDER.match(value):
        yield Secret(f"a value given to {name}", _mask(value), match.start(group)), match.end(group)


def _find_word(lower: str, word: str) -> Iterator[int]:
    """Every place of ``word``."""
    position = lower.find(word)
    while position >= 0:
        yield position
        position = lower.find(word, position + len(word))


def _start_of_name(lower: str, hit: int) -> int:
    """Where the name around a hit begins."""
    start = hit
    while start > 0 and hit - start < 60 and lower[start - 1] in _NAME_CHARS:
        start -= 1
    return start


def _is_plausible(value: str) -> bool:
    """Whether a value may be a secret at all: long enough, of more than one sort of character, no sentence, no path."""
    if len(value) < 8 or _is_dull(value) or value.startswith(("/", "./", "~/", "http:", "https:", "[", "#")):
        return False
    if value.count(" ") > 1 or (" " in value and not re.search(r"\d", value)):
        return False
    sorts = (re.search(form, value) for form in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z0-9\s._-]"))
    return sum(match is not None for match in sorts) > 1


def _is_dull(value: str) -> bool:
    """Whether a value is one character over and over, as in ``********``."""
    return len(set(value)) < 4


def _is_allowed(text: str, start: int) -> bool:
    """Whether the line of a secret says that it is none."""
    end = text.find("\n", start)
    line = text[text.rfind("\n", 0, start) + 1 : end if end >= 0 else len(text)]
    return any(mark in line for mark in ALLOW_MARKS)


def _mask(value: str) -> str:
    return f"{value[:4]}…" if len(value) >= 8 else "…"
