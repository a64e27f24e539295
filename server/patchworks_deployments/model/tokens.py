"""What credentials look like by themselves, whatever they are called.

The kinds are those that gitleaks (github.com/gitleaks/gitleaks, config/gitleaks.toml) tells by their beginning; the
patterns are ours, and wider: whoever shows a field needs no proof that a token is real.
"""

import re
from functools import lru_cache

from patchworks_deployments.model.text import CACHE_ENTRIES, MAX_NAME_CHARACTERS, clean_text, decoded

MASKED = "(masked)"
"""What is shown in the place of a secret; without brackets or markup, so that it looks alike everywhere."""

_TOKEN = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      eyJ[\w-]{10,}(?:\.[\w-]*)*                                         # JSON in base64, of which a JWT has two
    | (?:(?:sk|rk|pk)_(?:live|test|prod)_ | shippo_(?:live|test)_ | whsec_)(?=[A-Za-z]*\d)[A-Za-z0-9+/=]{8,}
    | (?:AKIA|ASIA|ABIA|ACCA|A3T)(?=[A-Z]*\d)[A-Z2-7]{12,}(?![A-Za-z0-9]) # AWS, in base32
    | LTAI(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}                                # Alibaba
    | (?:gh[a-z]|hf|npm|pul|pnu|ntn|rdme|glsa|glc|shp[a-z]{2,3})_(?:(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}|[A-Za-z]{30,})
    | (?:github_pat|do[opr]_v1|pscale_[a-z]+|tfp)_[\w.-]{16,}
    | sk-(?=[\w-]*\d)(?=[\w-]*[A-Za-z0-9]{12})[\w-]{16,}                # OpenAI, Anthropic
    | (?:pypi|PMAK|NR[A-Z]{2}|xkeysib|xapp|sq0[a-z]{3}|pat-[a-z]{2}\d)-(?=[\w-]*\d)[\w-]{16,}
    | gl(?:pat|dt|rt|ft|ptt|cbt|imt|oas|soat|agent|ffct)-[\w-]{12,}      # GitLab
    | AIza[\w-]{16,} | ya29\.[\w-]{8,} | GOCSPX-[\w-]{8,}                # Google
    | xox[a-z][.-](?=[\w.-]*\d)[\w.-]{8,} | (?:https?://)?hooks\.slack\.com/\S+       # Slack
    | SG\.[\w-]{8,}\.[\w-]{8,} | key-[0-9a-f]{24,}                       # senders of post
    | (?:SK|AC)[0-9a-f]{32} | EAAA[\w-]{16,} | dapi[0-9a-f]{24,}         # Twilio, Square, Databricks
    | hv[bsr]\.[\w-]{16,} | dp\.[a-z]{2,5}\.[A-Za-z0-9]{16,}                      # vaults
    | AGE-SECRET-KEY-\w+ | -----BEGIN\s.*
    ) | ://[^\s/@:]*:[^\s/@]+@""",
    re.VERBOSE,
)

_UUID = re.compile(r"(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE)
_HEX = re.compile(r"(?<![0-9a-z])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{20,}(?![0-9a-z])", re.IGNORECASE)
_RUNS = (re.compile(r"[A-Za-z0-9]{16,}"), re.compile(r"[A-Za-z0-9+/]{20,}"), re.compile(r"[A-Za-z0-9_-]{20,}"))
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")

_MIN_WORD_CHARACTERS = 3
"""Characters that the words within a name have on average, like `OrderExportV2`; random letters have about two."""

_MIN_NUMBERS = 3
"""Numbers within one name that no person gives it."""


def without_tokens(text: str, limit: int = MAX_NAME_CHARACTERS) -> str | None:
    """Clean text, like `clean_text`'s, in which what looks like a well-known kind of token is masked."""
    return _without_tokens(text[: limit * 4], limit)


@lru_cache(CACHE_ENTRIES)
def _without_tokens(text: str, limit: int) -> str | None:
    line = clean_text(text, len(text)) or ""
    if not _TOKEN.search(line) and _TOKEN.search(plain := decoded(line)):
        line = plain
    return clean_text(_TOKEN.sub(MASKED, line), limit)


def holds_token(text: str) -> bool:
    """Whether a well-known kind of token is in the text, or something drawn by lot: hex, base64 or a UUID."""
    return bool(_TOKEN.search(text) or _UUID.search(text) or _HEX.search(text)) or any(
        _is_drawn_by_lot(run) for runs in _RUNS for run in runs.findall(text)
    )


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID, which under the name of an id is one."""
    return _UUID.fullmatch(text) is not None


def _is_drawn_by_lot(run: str) -> bool:
    has_digit, has_both_cases = any(map(str.isdigit, run)), not (run.islower() or run.isupper() or run.isdigit())
    # A path or a slug has separators and digits, too, but seldom both cases.
    is_mixed = has_digit or has_both_cases if run.isalnum() else has_digit and has_both_cases
    words = _WORD.findall(run)
    are_short = len(words) * _MIN_WORD_CHARACTERS > len(run) or sum(map(str.isdigit, words)) >= _MIN_NUMBERS
    return is_mixed and are_short and not run.isdigit()
