"""What stops a start, and what it says."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchworks_deployments.errors import SettingsError
from patchworks_deployments.settings import Settings, load_settings

OAUTH = {"SANDBOX": "1", "OAUTH_ISSUER": "https://issuer.example", "PUBLIC_URL": "https://mcp.example/mcp"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings are no part of a test."""
    for name in list(os.environ):
        if name.upper().startswith("PATCHWORKS_"):
            monkeypatch.delenv(name)


def _load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"PATCHWORKS_{name}", value)
    return load_settings()


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({"SANDBOX": "true"}, "sandbox"),
        ({"API_KEY": "k"}, "api_key"),
        ({"BEARER_TOKEN": "t"}, "bearer_token"),
        ({"USERNAME": "u", "PASSWORD": "p"}, "login"),
    ],
)
def test_each_way_to_authenticate_is_enough(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], way: str
) -> None:
    """One way suffices, and it is the one that is used."""
    assert _load(monkeypatch, **environment).authentication == way


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "No way to authenticate: set PATCHWORKS_API_KEY"),
        ({"API_KEY": ""}, "No way to authenticate"),
        ({"USERNAME": "u"}, "PATCHWORKS_PASSWORD is missing"),
        ({"PASSWORD": "hush"}, "PATCHWORKS_USERNAME is missing"),
        ({"API_KEY": "hush", "BEARER_TOKEN": "hush"}, "Set only one of PATCHWORKS_API_KEY, PATCHWORKS_BEARER_TOKEN"),
        ({"SANDBOX": "1", "API_KEY": "hush"}, "Set only one of --sandbox"),
        ({"SANDBOX": "1", "BASE_URL": "https://example.com"}, "does not use PATCHWORKS_BASE_URL"),
        ({"API_KEY": "hush", "BASE_URL": "ftp://example.com"}, "PATCHWORKS_BASE_URL must be a web address"),
        ({"API_KEY": "hush", "BASE_URL": "example.com"}, "PATCHWORKS_BASE_URL must be a web address"),
        ({"API_KEY": "hush", "BASE_URL": "https://a:hush@example.com"}, "must have no user name"),
        ({"API_KEY": "hush", "BASE_URL": "http://example.com"}, "set PATCHWORKS_ALLOW_HTTP=true"),
        (
            {"USERNAME": "u", "PASSWORD": "hush", "LOGIN_URL": "http://example.com/login"},
            "PATCHWORKS_LOGIN_URL is plain",
        ),
        ({"API_KEY": "hush", "BASE_URL": "http://127.evil.example"}, "PATCHWORKS_BASE_URL is plain"),
        ({"USERNAME": "u", "PASSWORD": "hush", "LOGIN_URL": "http://127.0.0.1.evil.example"}, "LOGIN_URL is plain"),
        ({"SANDBOX": "1", "HTTP": "127.evil.example:80"}, "Serving other machines (127.evil.example) needs"),
        ({**OAUTH, "OAUTH_JWKS_URL": "http://127.evil.example/jwks"}, "PATCHWORKS_OAUTH_JWKS_URL is plain"),
        ({"API_KEY": "hush", "BASE_URL": "core.wearepatchworks.com"}, "with https:// in front"),
        ({"API_KEY": "hush", "BASE_URL": "https://core.we arepatchworks.com"}, "must have no space"),
        ({"API_KEY": "hush", "BASE_URL": "https://app.wearepatchworks.com/"}, "is the dashboard, where people log in"),
        ({"API_KEY": "hush", "BASE_URL": "https://APP.wearepatchworks.com/api/v1"}, "is the dashboard"),
        ({"API_KEY": "hush", "BASE_URL": "https://${HUSH}/"}, "BASE_URL holds a placeholder"),
        ({"API_KEY": "hush", "BASE_URL": "https://core.example:99999"}, "BASE_URL must have a port from 1 to 65535"),
        ({"API_KEY": "hush", "BASE_URL": "https://core.example:hush"}, "BASE_URL must have a port from 1 to 65535"),
        ({"API_KEY": "hush", "BASE_URL": "<hush>"}, "PATCHWORKS_BASE_URL holds a placeholder"),
        ({"API_KEY": "hush", "BASE_URL": "${PATCHWORKS_URL}"}, "PATCHWORKS_BASE_URL holds a placeholder such"),
        ({"API_KEY": "Bearer hush"}, "belongs in PATCHWORKS_BEARER_TOKEN"),
        (
            {"API_KEY": "Authorization: Bearer hush"},
            "PATCHWORKS_API_KEY must be the key alone",
        ),
        ({"API_KEY": "${HUSH}"}, "PATCHWORKS_API_KEY holds a placeholder such as ${NAME}"),
        ({"API_KEY": '"${env:HUSH}"'}, "PATCHWORKS_API_KEY holds a placeholder such"),
        ({"BEARER_TOKEN": "{{hush}}"}, "PATCHWORKS_BEARER_TOKEN holds a placeholder such"),
        ({"USERNAME": "${HUSH_A}", "PASSWORD": "p"}, "PATCHWORKS_USERNAME holds a placeholder such as ${NAME}"),
        ({"USERNAME": "u", "PASSWORD": "${HUSH_B}"}, "PATCHWORKS_PASSWORD holds a placeholder such as ${NAME}"),
        ({"USERNAME": "u", "PASSWORD": "op://hush/hush/password"}, "PATCHWORKS_PASSWORD holds a reference to"),
        ({"API_KEY": "op://hush/Patchworks hush/credential"}, "API_KEY holds a reference to a secret, such as op://"),
        ({"API_KEY": "vault:secret/data/hush#key"}, "PATCHWORKS_API_KEY holds a reference to a secret"),
        ({"API_KEY": "${input:hush-key}"}, "PATCHWORKS_API_KEY holds a placeholder such as ${NAME}"),
        ({"API_KEY": "${{ secrets.HUSH }}"}, "PATCHWORKS_API_KEY holds a placeholder such as ${NAME}"),
        ({"API_KEY": "$(cat hush)"}, "PATCHWORKS_API_KEY holds a placeholder"),
        ({"API_KEY": "hush two"}, "PATCHWORKS_API_KEY must be plain ASCII without spaces"),
        ({"API_KEY": "hush@example.com"}, "PATCHWORKS_API_KEY holds an e-mail address"),
        ({"API_KEY": "https://core.wearepatchworks.com/hush"}, "PATCHWORKS_API_KEY holds an address"),
        ({"API_KEY": "..."}, "PATCHWORKS_API_KEY holds the words of an example"),
        ({"API_KEY": "your-hush-key"}, "PATCHWORKS_API_KEY holds the words of an example"),
        ({"API_KEY": "PATCHWORKS_API_KEY"}, "PATCHWORKS_API_KEY holds the words of an example"),
        ({"API_KEY": "xxxxxxxx"}, "PATCHWORKS_API_KEY holds the words of an example"),
        ({"API_KEY": "changeme"}, "PATCHWORKS_API_KEY holds the words of an example"),
        ({"BEARER_TOKEN": "Bearer ..."}, "PATCHWORKS_BEARER_TOKEN holds the words of an example"),
        ({"BEARER_TOKEN": "Bearer ${HUSH}"}, "PATCHWORKS_BEARER_TOKEN holds a placeholder such as ${NAME}"),
        ({"API_KEY": "${user_config.api_key}"}, "No way to authenticate"),
        ({"SANDBOX": "1", "AUDIT_LOG": "${workspaceFolder}/hush"}, "AUDIT_LOG holds a variable in whose place"),
        ({"SANDBOX": "1", "AUDIT_LOG": "%USERPROFILE%\\hush"}, "AUDIT_LOG holds a variable in whose place"),
        ({"SANDBOX": "1", "AUDIT_LOG": "$HOME/hush"}, "AUDIT_LOG holds a variable in whose place"),
        ({"SANDBOX": "1", "TOKENS_FILE": "$env:APPDATA\\hush"}, "TOKENS_FILE holds a variable in whose place"),
        ({"SANDBOX": "1", "AUDIT_LOG": "~nobody-hush/log"}, "AUDIT_LOG begins with ~, and this machine"),
        ({"SANDBOX": "1", "PROTECTED_ENVIRONMENTS": "10,${HUSH}"}, "PROTECTED_ENVIRONMENTS holds a placeholder"),
        ({"SANDBOX": "1", "PROTECTED_ENVIRONMENTS": " , "}, "PROTECTED_ENVIRONMENTS names nothing"),
        ({"SANDBOX": "1", "PROTECTED_ENVIRONMENTS": "<hush>"}, "PROTECTED_ENVIRONMENTS holds a placeholder"),
        ({"API_KEY": "hush", "BASE_URL": "https://$HUSH/"}, "PATCHWORKS_BASE_URL holds a placeholder"),
        ({"SANDBOX": "1", "REDIS_URL": "${HUSH}"}, "PATCHWORKS_REDIS_URL holds a placeholder such as"),
        ({"SANDBOX": "1", "TIMEOUT": "12s"}, "PATCHWORKS_TIMEOUT must be a number alone, without a unit"),
        ({"SANDBOX": "1", "WORKERS": "2 hush"}, "PATCHWORKS_WORKERS must be a whole number alone"),
        ({"SANDBOX": "sure"}, "PATCHWORKS_SANDBOX must be true or false"),
        ({"SANDBOX": "1", "TOKENS_FILE": "${HUSH}"}, "PATCHWORKS_TOKENS_FILE holds a placeholder such"),
        ({"API_KEY": "$HUSH"}, "PATCHWORKS_API_KEY holds a placeholder"),
        ({"API_KEY": "%HUSH%"}, "PATCHWORKS_API_KEY holds a placeholder"),
        ({"BEARER_TOKEN": "Bearer $env:HUSH"}, "PATCHWORKS_BEARER_TOKEN holds a placeholder"),
        ({"API_KEY": "<your hush>"}, "PATCHWORKS_API_KEY holds a placeholder"),
        ({"API_KEY": '"hush'}, "PATCHWORKS_API_KEY has a quotation mark at its end or its beginning"),
        ({"API_KEY": "hush'"}, "PATCHWORKS_API_KEY has a quotation mark"),
        ({"API_KEY": '""'}, "PATCHWORKS_API_KEY holds only what stands around a value"),
        ({"BEARER_TOKEN": "Bearer "}, "PATCHWORKS_BEARER_TOKEN holds only what stands around a value"),
        ({"API_KEY": "hush", "BASE_URL": "https://a:hush@ex\u2100mple"}, "PATCHWORKS_BASE_URL must be a web address"),
        ({"API_KEY": "hush", "BASE_URL": "https://[::1"}, "PATCHWORKS_BASE_URL must be a web address"),
        (
            {"SANDBOX": "1", "PROTECTED_ENVIRONMENTS": "A, <prod>"},
            "give the id of an environment that is really called",
        ),
        ({"API_KEY": "\u201chush\u201d"}, "PATCHWORKS_API_KEY must be plain ASCII"),
        ({**OAUTH, "OAUTH_SCOPES": 'a "b"'}, "PATCHWORKS_OAUTH_SCOPES "),
        ({"SANDBOX": "1", "OAUTH_SCOPES": "a"}, "OAuth also needs PATCHWORKS_OAUTH_ISSUER"),
        ({"API_KEY": "hush\n"}, "PATCHWORKS_API_KEY must have no line break"),
        ({"API_KEY": "hush\r\nX-Other: 1"}, "PATCHWORKS_API_KEY must have no line break"),
        ({"API_KEY": "hush–dash"}, "PATCHWORKS_API_KEY must be plain ASCII"),
        ({"API_KEY": "hush "}, "PATCHWORKS_API_KEY must be plain ASCII"),
        ({"BEARER_TOKEN": "hush\t"}, "PATCHWORKS_BEARER_TOKEN must have no line break"),
        ({"USERNAME": "u", "PASSWORD": "hush\n"}, "PATCHWORKS_PASSWORD must have no line break"),
        ({"SANDBOX": "1", "STATE_KEYS": f"hush\n{'k' * 32}"}, "PATCHWORKS_STATE_KEYS must have no line break"),
        ({"SANDBOX": "1", "REDIS_URL": "redis://:hush@host\n"}, "PATCHWORKS_REDIS_URL must have no line break"),
        ({"SANDBOX": "1", "READ_ONLY": "ture"}, "PATCHWORKS_READ_ONLY "),
        ({"SANDBOX": "1", "CONFIRM": "none"}, "PATCHWORKS_CONFIRM "),
        ({"SANDBOX": "1", "CONFIRM_BY": "model"}, "PATCHWORKS_CONFIRM_BY "),
        ({"SANDBOX": "1", "TIMEOUT": "0"}, "PATCHWORKS_TIMEOUT "),
        ({"SANDBOX": "1", "TIMEOUT": "31"}, "PATCHWORKS_TIMEOUT "),
        ({"SANDBOX": "1", "STATE_KEYS": f"{'k' * 32},hush"}, "at least 32 bytes"),
        (
            {"SANDBOX": "1", "READ_ONYL": "1"},
            "PATCHWORKS_READ_ONYL is not a setting: did you mean PATCHWORKS_READ_ONLY?",
        ),
        ({"API_KEY": "hush", "APIKEY": "hush"}, "did you mean PATCHWORKS_API_KEY?"),
        ({"SANDBOX": "1", "ZZZ": "hush"}, "known are PATCHWORKS_… SANDBOX"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    """The one message names each faulty setting and what to write instead."""
    with pytest.raises(SettingsError) as caught:
        _load(monkeypatch, **environment)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)
    assert str(caught.value).startswith("The server was not started")


@pytest.mark.parametrize(
    ("environment", "faults"),
    [
        ({"SANDBOX": "1", "CONFIRM": "no", "CONFIRM_BY": "no", "READ_ONYL": "1"}, 3),
        ({"API_KEY": "${HUSH}", "AUDIT_LOG": "$HOME/log", "TIMEOUT": "12s"}, 3),
        ({"SANDBOX": "1", "API_KEY": "hush", "HTTP": "0.0.0.0:80", "OAUTH_SCOPES": "a", "WORKERS": "2"}, 3),
        ({"HTTP": "0.0.0.0:80", "TIMEOUT": "12s"}, 3),
        ({"API_KEY": "${HUSH}", "HTTP": "0.0.0.0:80"}, 2),
        ({"SANDBOX": "sure"}, 1),
        ({"USERNAME": "u", "PASSWORD": "${HUSH}"}, 1),
    ],
)
def test_every_fault_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], faults: int
) -> None:
    """Nobody has to start five times to find five mistakes."""
    with pytest.raises(SettingsError) as caught:
        _load(monkeypatch, **environment)
    first, *others = str(caught.value).splitlines()
    assert first.startswith("The server was not started")
    assert len(others) == faults
    assert all(line.startswith("- PATCHWORKS_") or line[2].isupper() for line in others)


@pytest.mark.parametrize("written", ["${user_config.audit_log}", '"${user_config.audit_log}"', ""])
def test_a_field_of_a_bundle_that_nobody_filled_in_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """Hosts pass on nothing, an empty text, or the field's own name."""
    settings = _load(monkeypatch, SANDBOX="1", AUDIT_LOG=written, PROTECTED_ENVIRONMENTS=written, TIMEOUT=written)
    assert (settings.audit_log, settings.protected_environments, settings.timeout) == (None, (), 12)


def test_a_flag_that_was_left_blank_takes_no_variable_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle must not take away what the machine protects."""
    monkeypatch.setenv("PATCHWORKS_PROTECTED_ENVIRONMENTS", "10")
    settings = load_settings(None, sandbox=True, protected_environments="${user_config.protected_environments}")
    assert settings.protected_environments == ("10",)


@pytest.mark.parametrize("written", ["true", "TRUE", "yes", "on", "1"])
def test_yes_has_many_words(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    """And a variable's name may be in small letters."""
    monkeypatch.setenv("patchworks_read_only", written)
    assert _load(monkeypatch, SANDBOX="1").read_only


def test_a_path_is_taken_as_people_paste_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In quotation marks, with the home folder's sign, and with characters that only look like a variable's."""
    home = os.path.expanduser("~")  # noqa: PTH111 - what pathlib is compared with
    for pasted, used in [('"~/a log"', f"{home}/a log"), ("/a/$b/100%", "/a/$b/100%"), ("a$b", "a$b")]:
        assert str(_load(monkeypatch, SANDBOX="1", AUDIT_LOG=pasted).audit_log) == used


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8080", "http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:9", "https://example.com/"],
)
def test_plain_http_is_for_loopback(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An address on this machine needs no encryption; a trailing slash does not matter."""
    assert _load(monkeypatch, API_KEY="k", BASE_URL=url).base_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("pasted", "used"),
    [
        ("https://core.wearepatchworks.com/api/v1", "https://core.wearepatchworks.com"),
        ("https://core.wearepatchworks.com/api/v1/", "https://core.wearepatchworks.com"),
        ("https://core.wearepatchworks.com/API/v1//", "https://core.wearepatchworks.com"),
        (' "https://core.wearepatchworks.com//api/v1" ', "https://core.wearepatchworks.com"),
        ("'https://core.wearepatchworks.com/'", "https://core.wearepatchworks.com"),
        ("https://gateway.example/patchworks/api/v1", "https://gateway.example/patchworks"),
        ("https://gateway.example/api/v10", "https://gateway.example/api/v10"),
        ("https://gateway.example/my-api/v1", "https://gateway.example/my-api/v1"),
    ],
)
def test_an_address_is_taken_as_people_paste_it(monkeypatch: pytest.MonkeyPatch, pasted: str, used: str) -> None:
    """With the path that every request has anyway, with slashes at its end, and in quotation marks."""
    assert _load(monkeypatch, API_KEY="k", BASE_URL=pasted).base_url == used


@pytest.mark.parametrize(
    ("pasted", "used"),
    [
        ("https://app.wearepatchworks.com", "https://app.wearepatchworks.com/fabric/api/login"),
        ("https://app.example/", "https://app.example/fabric/api/login"),
        ("https://app.example/fabric/api/login/", "https://app.example/fabric/api/login"),
        ("https://app.example/another", "https://app.example/another"),
    ],
)
def test_a_login_without_a_path_has_the_one_of_patchworks(
    monkeypatch: pytest.MonkeyPatch, pasted: str, used: str
) -> None:
    """Nobody logs in at the root of a host."""
    assert _load(monkeypatch, USERNAME="u", PASSWORD="p", LOGIN_URL=pasted).login_url == used


@pytest.mark.parametrize(
    ("name", "pasted"),
    [
        ("api_key", '"to.ken"'),
        ("api_key", "'to.ken'"),
        ("bearer_token", "Bearer to.ken"),
        ("bearer_token", '"Bearer to.ken"'),
        ("bearer_token", 'bearer "to.ken"'),
        ("bearer_token", "Authorization: Bearer to.ken"),
    ],
)
def test_a_key_is_taken_as_people_paste_it(monkeypatch: pytest.MonkeyPatch, name: str, pasted: str) -> None:
    """In quotation marks, and a token with the word that stands before it in a header."""
    settings = _load(monkeypatch, **{name.upper(): pasted})
    assert getattr(settings, name).get_secret_value() == "to.ken"


def test_a_password_may_look_like_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """People choose them: quotation marks, percent signs and dollars are part of them."""
    for password in ('"p"', "%P%", "$P", "<p>", "Bearer p", "a${b}c"):
        settings = _load(monkeypatch, USERNAME="u", PASSWORD=password)
        assert settings.password
        assert settings.password.get_secret_value() == password


@pytest.mark.parametrize("issuer", ["https://tenant.eu.auth0.com/", "https://issuer.example", "https://I.example/a//"])
def test_an_issuer_stays_as_it_is_written(monkeypatch: pytest.MonkeyPatch, issuer: str) -> None:
    """Tokens name it letter by letter."""
    jwks = "https://issuer.example/jwks"
    assert _load(monkeypatch, **{**OAUTH, "OAUTH_ISSUER": issuer, "OAUTH_JWKS_URL": jwks}).oauth_issuer == issuer


@pytest.mark.parametrize("written", ["a:b api://c/d", "a:b,api://c/d", " a:b, api://c/d "])
def test_scopes_are_separated_by_spaces_or_commas(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    """As in OAuth, or as in the other settings."""
    oauth = {**OAUTH, "OAUTH_JWKS_URL": "https://issuer.example/jwks"}
    assert _load(monkeypatch, **oauth, OAUTH_SCOPES=written).oauth_scopes == ("a:b", "api://c/d")


def test_plain_http_elsewhere_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who says so explicitly may do it."""
    assert _load(monkeypatch, API_KEY="k", BASE_URL="http://example.com", ALLOW_HTTP="true").allow_http


LONG = "k" * 20
"""As few characters as a key may be made of."""


@pytest.mark.parametrize(
    ("environment", "is_enough"),
    [
        ({"API_KEY": LONG}, True),
        ({"API_KEY": LONG[:-1]}, False),
        ({"API_KEY": "sandbox-key"}, True),
        ({"BEARER_TOKEN": LONG}, True),
        ({"BEARER_TOKEN": LONG[:-1]}, False),
        ({"SANDBOX": "1"}, True),
        ({"USERNAME": LONG, "PASSWORD": LONG}, False),
        ({"CREDENTIALS": "caller"}, False),
        ({"CREDENTIALS": "caller", "SANDBOX": "1"}, False),
        ({"USERNAME": "u", "PASSWORD": "p", "STATE_KEYS": "k" * 32}, True),
    ],
)
def test_several_workers_start_if_they_have_a_key_in_common(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, is_enough: bool
) -> None:
    """Made of a secret that is too long to be guessed, or set; one worker needs none."""
    _load(monkeypatch, HTTP="8000", **environment)
    if is_enough:
        assert _load(monkeypatch, WORKERS="2").workers == 2
    else:
        with pytest.raises(SettingsError, match=r"Several workers need PATCHWORKS_STATE_KEYS, unless .* 20 characters"):
            _load(monkeypatch, WORKERS="2")


def test_lists_are_comma_separated_and_empty_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that write empty strings for what is not filled in do no harm."""
    settings = _load(monkeypatch, SANDBOX="1", PROTECTED_ENVIRONMENTS=" UK Live , 12,", AUDIT_LOG="", API_KEY="")
    assert settings.protected_environments == ("UK Live", "12")
    assert settings.audit_log is None


def test_a_flag_overrides_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed wins over the environment; what is not typed does not."""
    monkeypatch.setenv("PATCHWORKS_CONFIRM", "all")
    monkeypatch.setenv("PATCHWORKS_CONFIRM_BY", "code")
    settings = load_settings(None, sandbox=True, confirm="destructive", confirm_by=None)
    assert (settings.confirm, settings.confirm_by) == ("destructive", "code")


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=33, max_size=60),
    st.sampled_from(["api_key", "bearer_token", "password", "state_keys"]),
)
def test_no_secret_shows_in_any_text_of_the_settings(secret: str, field: str) -> None:
    """Neither repr, str, a dump nor an error holds a secret."""
    given_: dict[str, object] = {field: secret, "username": "u"} if field == "password" else {field: secret}
    if field == "state_keys":
        given_["sandbox"] = True
    settings = load_settings({}, **given_)
    assert secret not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    with pytest.raises(SettingsError) as caught:
        load_settings({}, **given_, confirm="wrong")
    assert secret not in str(caught.value)
