"""Secrets are found in decoded text, and chance finds none."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string

import pytest

from snaprun.hooks import leaks, secrets
from snaprun.hooks.complaint import Complaint
from snaprun.notebooks import cells
from tests.sandbox import notebook

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
dice = random.Random(7)


def some(letters: str, count: int) -> str:
    return "".join(dice.choice(letters) for _ in range(count))


# Every value is made here, of parts: no scanner of this repository takes them for real ones.
KINDS = {
    "aws access key": "AKIA" + some(string.ascii_uppercase + string.digits, 16),
    "aws secret": 'aws_secret_access_key = "' + some(ALNUM + "/+", 38) + 'a1"',
    "github classic": "ghp_" + some(ALNUM, 36),
    "github oauth": "gho_" + some(ALNUM, 36),
    "github app": "ghs_" + some(ALNUM, 36),
    "github fine-grained": "github_pat_" + some(ALNUM, 22) + "_" + some(ALNUM, 59),
    "gitlab": "glpat-" + some(ALNUM, 20),
    "slack bot": "xoxb-" + some(string.digits, 12) + "-" + some(string.digits, 12) + "-" + some(ALNUM, 24),
    "slack webhook": "https://hooks.slack.com/services/T"
    + some(ALNUM, 8)
    + "/B"
    + some(ALNUM, 10)
    + "/"
    + some(ALNUM, 24),
    "stripe": "sk_live_" + some(ALNUM, 24),
    "google api": "AIza" + some(ALNUM + "_-", 34) + "a",
    "google oauth": "GOCSPX-" + some(ALNUM, 28),
    "google token": "ya29." + some(ALNUM, 60),
    "openai old": "sk-" + some(ALNUM, 20) + "T3BlbkFJ" + some(ALNUM, 20),
    "openai project": "sk-proj-" + some(ALNUM, 64),
    "anthropic": "sk-ant-api03-" + some(ALNUM + "_-", 93) + "AA",
    "hugging face": "hf_" + some(ALNUM, 34),
    "wandb": 'wandb.login(key="' + some(HEX, 40) + '")',
    "wandb in the environment": "WANDB_API_KEY=" + some(HEX, 40),
    "kaggle": '{"username":"ada","key":"' + some(HEX, 32) + '"}',
    "facebook": "EAACEdEose0cBA" + some(ALNUM, 80),
    "something called a token": 'lab_token = "' + some(ALNUM, 30) + '1a"',
    "databricks": "dapi" + some(HEX, 32),
    "replicate": "r8_" + some(ALNUM, 37),
    "npm": "npm_" + some(ALNUM, 36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + some(ALNUM, 60),
    "docker": "dckr_pat_" + some(ALNUM, 27),
    "digitalocean": "dop_v1_" + some(HEX, 64),
    "sendgrid": "SG." + some(ALNUM, 22) + "." + some(ALNUM, 43),
    "mailgun": "key-" + some(HEX, 32),
    "mailchimp": some(HEX, 32) + "-us12",
    "twilio": "SK" + some(HEX, 32),
    "telegram": some("123456789", 9) + ":AA" + some(ALNUM, 33),
    "discord": "M" + some(ALNUM, 23) + "." + some(ALNUM, 6) + "." + some(ALNUM, 27),
    "shopify": "shpat_" + some(HEX, 32),
    "azure storage": "DefaultEndpointsProtocol=https;AccountName=ada;AccountKey=" + some(ALNUM, 86) + "==",
    "azure client secret": some(ALNUM, 3) + "8Q~" + some(ALNUM, 34),
    "heroku": 'HEROKU_API_KEY = "' + "-".join(some(HEX, n) for n in (8, 4, 4, 4, 12)) + '"',
    "vault": "hvs." + some(ALNUM, 90),
    "grafana": "glsa_" + some(ALNUM, 32) + "_" + some(HEX, 8),
    "json web token": "eyJ" + some(ALNUM, 30) + ".eyJ" + some(ALNUM, 50) + "." + some(ALNUM, 43),
    "rsa key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + some(ALNUM, 60),
    "openssh key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl" + some(ALNUM, 60),
    "password in a url": "postgresql://ada:" + some(ALNUM, 12) + "@db.example.org/runs",
    "password": 'password = "' + some(ALNUM, 11) + '!1a"',
    "client secret": '"client_secret": "' + some(ALNUM, 30) + '1a"',
    "bearer": "Authorization: Bearer " + some(ALNUM, 40),
    "google service account": json.dumps({"private_key": "-----BEGIN PRIVATE KEY-----\nMIIE" + some(ALNUM, 40)}),
    "notion": "ntn_" + some(ALNUM, 46),
    "linear": "lin_api_" + some(ALNUM, 40),
    "groq": "gsk_" + some(ALNUM, 52),
    "langsmith": "lsv2_pt_" + some(HEX, 32) + "_" + some(HEX, 10),
}


def found_in(node: dict[str, object]) -> list[Complaint]:
    return list(leaks.find_leaks(cells.normalize(node, "x.ipynb")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_found_wherever_a_reader_would_see_it(kind: str) -> None:
    text = KINDS[kind]
    assert found_in(notebook(f"x = {text!r}" if "=" not in text else text)), "in a source"
    shown = notebook("print(secret)")
    shown["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["first\n", text, "\nlast"]}]
    assert found_in(shown), "in an output"
    html = notebook("show()")
    html["cells"][0]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": f"<b>{text}</b>"}}
    ]
    assert found_in(html), "in HTML"


@pytest.mark.parametrize("kind", ["github classic", "aws access key", "openai project", "hugging face"])
def test_base64_of_a_secret_is_one(kind: str) -> None:
    word = base64.b64encode(f"token={KINDS[kind]}".encode()).decode()
    assert found_in(notebook(f'kubectl = "{word}"'))


def test_the_values_of_secret_variables_are_known() -> None:
    values = secrets.from_environment({"MY_LAB_TOKEN": "correct-Horse7", "HOME": "/home/Ada1", "SHORT_KEY": "a1"})
    assert values == {"MY_LAB_TOKEN": "correct-Horse7"}
    (found,) = secrets.find("print: correct-Horse7", values)
    assert found.kind == "the value of $MY_LAB_TOKEN"
    assert "Horse" not in found.excerpt


def test_a_secret_is_never_printed_whole() -> None:
    for text in KINDS.values():
        for found in secrets.find(text):
            assert len(found.excerpt) <= 40
            assert not any(len(word) > 12 and word in found.excerpt for word in text.replace("-----", " ").split('"'))


def test_notebooks_full_of_images_and_hashes_raise_no_alarm() -> None:
    alarms = 0
    for number in range(200):
        image = base64.b64encode(dice.randbytes(20_000)).decode()
        hashes = "\n".join(hashlib.sha256(f"{number} {line}".encode()).hexdigest() for line in range(50))
        node = notebook(
            "# %% md\n![plot](attachment:plot.png)\n" + image[:400],
            f"tokenizer.pad_token = '[PAD]'\nassert digest == '{hashlib.md5(hashes.encode()).hexdigest()}'",
            "key = 'val_accuracy'\npassword = os.environ['PASSWORD']\napi_key = getpass('your API key: ')",
            f"commit = '{hashlib.sha1(hashes.encode()).hexdigest()}'\nmodel_id = 'sentence-transformers/all-MiniLM-L6'",
        )
        node["cells"][1]["outputs"] = [
            {"output_type": "display_data", "metadata": {}, "data": {"image/png": image, "text/plain": "<Figure>"}},
            {
                "output_type": "display_data",
                "metadata": {},
                "data": {"text/html": f'<img src="data:image/png;base64,{image}">'},
            },
            {"output_type": "stream", "name": "stdout", "text": hashes},
            {"output_type": "stream", "name": "stdout", "text": base64.b64encode(dice.randbytes(3_000)).decode()},
        ]
        alarms += bool(found_in(node))
    assert alarms <= 2


@pytest.mark.parametrize(
    "text",
    [
        'password = "<your password>"',
        "api_key = 'YOUR_API_KEY'",
        "token = 'sk-...'",
        'secret_name = "projects/ada/secrets/lab1"',
        "password_hash = 'a1b2c3d4e5f6a7b8'",
        "API_KEY=$OPENAI_API_KEY",
        'os.environ["HF_TOKEN"]',
        "special_tokens = {'eos_token': '</s>', 'access_token_type': 'bearer'}",
        "https://user:${PASSWORD}@host/",
        "sklearn.model_selection, sk-learn, task-based-segmentation-of-remote-sensing-images",
        "api_key = '********'",
        "x = 'ghp_' + name  # how GitHub's tokens begin",
        "password: str = field(repr=False)",
        "git@github.com:ada/lab.git and ssh://git@github.com/ada/lab.git",
        "loss: 0.123, key: value, token: hello world",
        "dict(pad_token='[PAD]', eos_token='<|endoftext|>', unk_token='<unk>', next_token='continuation of it')",
    ],
)
def test_what_only_speaks_of_secrets_is_none(text: str) -> None:
    assert list(secrets.find(text)) == []


@pytest.mark.parametrize("mark", secrets.ALLOW_MARKS)
def test_a_line_can_say_that_it_is_none(mark: str) -> None:
    assert list(secrets.find(f"key = '{KINDS['github classic']}'  # {mark}")) == []
