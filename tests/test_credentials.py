"""Names of credentials are known, and what merely resembles them is not."""

from __future__ import annotations

import pytest

from snaprun.freeze.credentials import is_included, looks_secret


@pytest.mark.parametrize(
    "path",
    [
        ".env", "deploy/.env.production", "prod.env", ".envrc", "id_rsa", "keys/id_ed25519", "server.PEM",
        "tls/site.key", ".docker/config.json",
        "store.p12", "home/.ssh/config", "x/.aws/credentials", "gcloud/application_default_credentials.json",
        "my-service-account-credentials.json", "client_secret_12.json", "kaggle.json", ".netrc", ".pgpass", ".pypirc",
        ".git-credentials", "terraform.tfstate", "secrets.toml", ".streamlit/secrets.toml",
    ],
)  # fmt: skip
def test_these_look_secret(path: str) -> None:
    assert looks_secret(path)


@pytest.mark.parametrize(
    "path",
    [
        ".env.example", ".env.template", "id_rsa.pub", "environment.yml", "keys.py", "monkey.txt", "credentials.py",
        "tokenizer.json", "secret_santa.ipynb", "env", "data/key.csv", "aws/config.py", "model.keras",
        ".docker/Dockerfile",
    ],
)  # fmt: skip
def test_these_do_not(path: str) -> None:
    assert not looks_secret(path)


def test_include_names_a_file_a_folder_or_a_pattern() -> None:
    assert is_included(".env", (".env",))
    assert is_included("conf/.env", ("conf",))
    assert is_included("conf/.env", ("conf/",))
    assert is_included("a/b/site.key", ("*.key",))
    assert not is_included("config/.env", ("conf",))
    assert not is_included(".env", ())
