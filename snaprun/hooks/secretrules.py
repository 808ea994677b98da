"""The table of secrets that are known by how they begin, each with the word that must stand in a text to look closer.

The forms are those that the issuers document or print; a rule is one line, so that adding one is easy. Chance matches
are what matters here: a notebook is full of hashes and of base64, so no rule goes by randomness alone.
"""

from __future__ import annotations

PREFIX_RULES = (
    # what it is, words of which one must stand in the text (lower case), the form
    ("an AWS access key", ("akia", "asia", "abia", "acca"), r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("an AWS MWS key", ("amzn.mws.",), r"amzn\.mws\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("an Amazon Bedrock key", ("absk",), r"ABSK[A-Za-z0-9+/]{100,}={0,2}"),
    ("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("a GitHub token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{36,255}"),
    (
        "a GitLab token",
        ("glpat-", "gldt-", "glrt-", "glptt-", "glft-", "glsoat-", "glcbt-", "glagent-", "gloas-", "glimt-"),
        r"(?:glpat|gldt|glrt|glptt|glft|glsoat|glcbt|glagent|gloas|glimt)-[A-Za-z0-9_=.-]{20,}",
    ),
    ("a Bitbucket or Atlassian token", ("atbb", "atatt3"), r"(?:ATBB[A-Za-z0-9]{24,}|ATATT3[A-Za-z0-9_=-]{50,})"),
    ("a Slack token", ("xox",), r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}"),
    ("a Slack app token", ("xapp-",), r"xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]+"),
    (
        "a Slack webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/_-]{20,}",
    ),
    ("a Stripe key", ("sk_live_", "rk_live_", "sk_test_", "rk_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    ("a Stripe webhook secret", ("whsec_",), r"whsec_[A-Za-z0-9+/=]{24,}"),
    ("a Google API key", ("aiza",), r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("a Google OAuth secret", ("gocspx-",), r"GOCSPX-[A-Za-z0-9_-]{28}"),
    ("a Google OAuth token", ("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,}"),
    ("a Google refresh token", ("1//0",), r"1//0[A-Za-z0-9_-]{40,}"),
    ("an OpenAI key", ("t3blbkfj",), r"sk-[A-Za-z0-9_-]{16,}T3BlbkFJ[A-Za-z0-9_-]{16,}"),
    ("an OpenAI key", ("sk-",), r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}"),
    ("an API key of the sk- kind", ("sk-",), r"sk-(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{32,64}(?![A-Za-z0-9])"),
    ("an Anthropic key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{20,}"),
    ("an OpenRouter key", ("sk-or-",), r"sk-or-(?:v\d-)?[A-Za-z0-9]{32,}"),
    ("a LangSmith key", ("lsv2_",), r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    ("a Langfuse key", ("sk-lf-",), r"sk-lf-[0-9a-f]{8}-[0-9a-f-]{27}"),
    ("a Hugging Face token", ("hf_",), r"hf_(?=[A-Za-z]*[A-Z0-9])[A-Za-z0-9]{30,}"),
    ("a Hugging Face organisation token", ("api_org_",), r"api_org_[A-Za-z0-9]{30,}"),
    ("a Replicate token", ("r8_",), r"r8_[A-Za-z0-9]{37}"),
    ("a Groq key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,}"),
    ("an xAI key", ("xai-",), r"xai-[A-Za-z0-9]{60,}"),
    ("a Perplexity key", ("pplx-",), r"pplx-[A-Za-z0-9]{40,}"),
    ("an NVIDIA key", ("nvapi-",), r"nvapi-[A-Za-z0-9_-]{40,}"),
    ("a Tavily key", ("tvly-",), r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{28,}"),
    ("a Jina key", ("jina_",), r"jina_[A-Za-z0-9]{32,}"),
    ("a Fireworks key", ("fw_",), r"fw_[A-Za-z0-9]{22,24}(?![A-Za-z0-9])"),
    ("a Pinecone key", ("pcsk_",), r"pcsk_[A-Za-z0-9_]{40,}"),
    ("a Weights & Biases key", ("wandb_v1_",), r"wandb_v1_[A-Za-z0-9_]{40,}"),
    ("a Kaggle token", ("kgat_",), r"KGAT_[A-Za-z0-9]{20,}"),
    ("a Kaggle key", ('"username"',), r'"username"\s*:\s*"[^"]+"\s*,\s*"key"\s*:\s*"[0-9a-f]{32}"'),
    ("a Databricks token", ("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?(?![0-9a-f])"),
    ("a Dagster token", ("user:", "agent:"), r"(?:user|agent):[a-z0-9-]{3,40}:[A-Za-z0-9]{32,}"),
    ("a Prefect key", ("pnu_", "pnb_"), r"pn[ub]_[A-Za-z0-9]{36}"),
    ("a Modal token", ("ak-", "as-"), r"a[ks]-[A-Za-z0-9]{22}(?![A-Za-z0-9_-])"),
    ("an npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    ("a PyPI token", ("pypi-",), r"pypi-Ag[A-Za-z0-9_-]{50,}"),
    ("a RubyGems key", ("rubygems_",), r"rubygems_[a-f0-9]{48}"),
    ("a crates.io token", ("cio",), r"cio[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("a Docker token", ("dckr_",), r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}"),
    ("a DigitalOcean token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"do[opr]_v1_[a-f0-9]{64}"),
    ("a Heroku key", ("hrku-",), r"HRKU-[A-Za-z0-9_-]{36,}"),
    ("a SendGrid key", ("sg.",), r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    ("a Mailgun key", ("key-",), r"key-[a-f0-9]{32}(?![A-Za-z0-9])"),
    ("a Mailchimp key", ("-us",), r"[0-9a-f]{32}-us\d{1,2}(?!\d)"),
    ("a Brevo key", ("xkeysib-",), r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    ("a Resend key", ("re_",), r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),
    ("a Twilio key", ("sk",), r"SK[0-9a-f]{32}(?![0-9a-zA-Z])"),
    ("a Telegram bot token", (":aa",), r"\d{8,10}:AA[A-Za-z0-9_-]{32,33}(?![A-Za-z0-9_-])"),
    ("a Discord bot token", (".",), r"[MNO][A-Za-z\d_-]{23,27}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,40}"),
    ("a Discord webhook", ("/api/webhooks/",), r"discord(?:app)?\.com/api/webhooks/\d{15,}/[A-Za-z0-9_-]{30,}"),
    ("a Teams webhook", ("webhook.office.com",), r"[a-z0-9]+\.webhook\.office\.com/webhookb2/[A-Za-z0-9@/-]{60,}"),
    ("a Zapier webhook", ("hooks.zapier.com",), r"hooks\.zapier\.com/hooks/(?:catch|standard)/\d+/[A-Za-z0-9]+"),
    ("a Shopify token", ("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    (
        "a Square token",
        ("sq0", "eaaa"),
        r"(?:sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}|EAAA[A-Za-z0-9_-]{60}(?![A-Za-z0-9_-]))",
    ),
    (
        "a PayPal or Braintree token",
        ("access_token$",),
        r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}",
    ),
    ("a Facebook token", ("eaa",), r"EAA[MC]?[A-Za-z0-9]{60,}"),
    ("a Twitter bearer token", ("aaaaaaaaaaaaaaaaaaaaa",), r"A{20,22}[A-Za-z0-9%]{50,}"),
    ("a Dropbox token", ("sl.",), r"sl\.(?:u\.)?[A-Za-z0-9_-]{130,}"),
    ("a Notion token", ("secret_", "ntn_"), r"(?:secret_[A-Za-z0-9]{43}|ntn_[A-Za-z0-9]{40,})(?![A-Za-z0-9])"),
    ("an Airtable token", ("pat",), r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    ("a Linear key", ("lin_api_", "lin_oauth_"), r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}"),
    ("a Figma token", ("figd_",), r"figd_[A-Za-z0-9_-]{40,}"),
    ("a Postman key", ("pmak-",), r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    ("a Contentful token", ("cfpat-",), r"CFPAT-[A-Za-z0-9_-]{43}"),
    ("a Typeform token", ("tfp_",), r"tfp_[A-Za-z0-9_.=-]{40,}"),
    ("an Asana token", ("1/1", "2/1"), r"[12]/\d{10,20}(?:/\d{10,20})?:[a-f0-9]{32}"),
    ("a HubSpot token", ("pat-na", "pat-eu"), r"pat-(?:na|eu)\d-[0-9a-f]{8}-[0-9a-f-]{27}"),
    ("a New Relic key", ("nrak-", "nrjs-", "nrii-"), r"NR(?:AK|JS|II)-[A-Za-z0-9_-]{19,}"),
    ("a Grafana token", ("glsa_", "glc_"), r"(?:glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,2})"),
    ("a Sentry token", ("sntrys_", "sntryu_"), r"sntry(?:s_eyJ[A-Za-z0-9+/=_-]{40,}|u_[a-f0-9]{64})"),
    ("a Dynatrace token", ("dt0c01.",), r"dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("a PlanetScale token", ("pscale_",), r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9=._-]{32,}"),
    ("a Supabase key", ("sbp_", "sb_secret_"), r"(?:sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{22,})"),
    ("a Neon key", ("napi_",), r"napi_[a-z0-9]{50,}"),
    ("a Doppler token", ("dp.",), r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}"),
    ("a Vault token", ("hvs.", "hvb.", "hvr."), r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    ("a Terraform token", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"),
    ("a Pulumi token", ("pul-",), r"pul-[a-f0-9]{40}"),
    (
        "a Fly.io token",
        ("fo1_", "fm1_", "fm2_", "flyv1 "),
        r"(?:fo1_[A-Za-z0-9_-]{43}|fm[12][ar]?_[A-Za-z0-9+/]{100,}={0,3})",
    ),
    ("a Netlify token", ("nfp_", "nfc_"), r"nf[pc]_[A-Za-z0-9]{36}"),
    ("a Render key", ("rnd_",), r"rnd_[A-Za-z0-9]{28,}"),
    ("a Tailscale key", ("tskey-",), r"tskey-(?:api|auth|client|scim|webhook)-[A-Za-z0-9]+-[A-Za-z0-9]{20,}"),
    ("a Cloudflare origin key", ("v1.0-",), r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    ("an Alibaba key", ("ltai",), r"LTAI[A-Za-z0-9]{16,20}(?![A-Za-z0-9])"),
    ("a Tencent key", ("akid",), r"AKID[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    ("a Yandex key", ("aqvn", "t1."), r"(?:AQVN[A-Za-z0-9_-]{35,38}|t1\.[A-Z0-9a-z_-]+=*\.[A-Z0-9a-z_-]{86}=*)"),
    (
        "an Azure storage key",
        ("accountkey=", "sharedaccesskey="),
        r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,86}=+",
    ),
    ("an Azure client secret", ("q~",), r"[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}"),
    ("an Azure shared access signature", ("sig=",), r"[?&]sig=[A-Za-z0-9%/+]{40,}(?:%3D|=)"),
    ("an Azure DevOps token", ("azdo",), r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"),
    ("an age key", ("age-secret-key-",), r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    (
        "a 1Password token",
        ("ops_eyj", "a3-"),
        r"(?:ops_eyJ[A-Za-z0-9+/_-]{100,}|A3-[A-Z0-9]{6}-[A-Z0-9-]{11,13}(?:-[A-Z0-9]{5}){3})",
    ),
    ("a JSON web token", ("eyj",), r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("a PuTTY private key", ("putty-user-key-file",), r"PuTTY-User-Key-File-\d: "),
)
"""Secrets with a form of their own."""

KEY_BLOCK = r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?!\s*(?:\.\.\.|…|\\?[\"']))"
"""A private key of OpenSSH, OpenSSL or GnuPG; not its mere first line quoted in code that looks for one."""

IN_URL = r"[a-z][a-z0-9+.-]{1,40}://[^\s:/@'\"<>{}$%]{0,64}:(?P<value>[^\s/@'\"<>{}$]{3,128})@[A-Za-z0-9.\[-]"
"""A password in the address of a database or a repository."""

IN_HEADER = (
    r"authorization[\"']?\s*[:=,]\s*[\"']?(?:basic|bearer|token|bot|apikey|ssws)\s+(?P<value>[A-Za-z0-9+/_.~=-]{16,})"
)
"""The header of an HTTP request with what it proves itself by."""

NAMES = (
    r"(?:passw(?:or)?d|passwd|passphrase|pwd|secret|api[_-]?key|apikey|access[_-]?key|account[_-]?key|auth[_-]?key|"
    r"private[_-]?key|encryption[_-]?key|signing[_-]?key|app[_-]?key|license[_-]?key|subscription[_-]?key|"
    r"credentials?|(?:access|auth|api|bearer|refresh|session|security|bot|personal|private|deploy|user|login|"
    r"wandb|hf|hub|github|gitlab|comet|neptune|kaggle|slack|discord|telegram|mlflow|clearml|dagshub|aws|azure|gcp|"
    r"cloudflare|vercel|heroku|datadog|circleci|codecov|okta|jira|bitbucket|linkedin|twitter|npm|pypi|jwt)[_-]?token)"
)
"""How a variable, setting or key is named that holds a secret."""
