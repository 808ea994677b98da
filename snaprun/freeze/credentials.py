"""Tell from its name whether a file looks like a credential: such a file, when git does not track it, stays out.

The names are those of the tools that write them (OpenSSH, GnuPG, cloud command lines, package registries, dotenv); the
content is never read, so that the guard costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

NAMES = [
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.asc.key",
    "secring.*",
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".pypirc",
    ".npmrc",
    ".dockercfg",
    ".htpasswd",
    ".s3cfg",
    ".boto",
    "credentials",
    "credentials.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "application_default_credentials.json",
    "*-credentials.json",
    "*_credentials.json",
    "secrets.json",
    "secrets.yaml",
    "secrets.yml",
    "secrets.toml",
    "kaggle.json",
    "*.kubeconfig",
    "*.tfvars",
    "*.tfstate",
    ".vault-token",
]
"""Shell patterns of file names, compared without regard to case."""

FOLDERS = {".ssh", ".gnupg", ".aws", ".azure", ".gcloud", ".kube", ".oci"}
"""Folders in which every file counts."""

HARMLESS = [
    "*.pub",
    "*.example",
    "*.sample",
    "*.template",
    "*.dist",
    ".env.defaults",
]
"""What a name above may end in and be meant for everyone."""


def looks_secret(path: str) -> bool:
    """Whether a file of this path (posix, relative) looks like a credential by its name."""
    *folders, name = path.lower().split("/")
    if any(fnmatchcase(name, pattern) for pattern in HARMLESS):
        return False
    if any(fnmatchcase(name, pattern) for pattern in NAMES):
        return True
    return any(folder in FOLDERS for folder in folders) or (name == "config.json" and ".docker" in folders[-1:])


def is_included(path: str, include: Sequence[str]) -> bool:
    """Whether ``--include`` names this path: exactly, as a shell pattern, or as a folder above it."""
    return any(
        path == entry or path.startswith(f"{entry.rstrip('/')}/") or fnmatchcase(path, entry) for entry in include
    )
