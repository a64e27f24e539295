"""The fields that nobody knows in advance: credentials are masked wherever they sit, and ordinary words are not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encodings import ENCODINGS
from support.examples import examples
from support.tokens import LOTS, TOKENS, core_of

from patchworks_deployments.model.masking import masked
from patchworks_deployments.model.reading import read_deployment
from patchworks_deployments.model.rendering import inert_json
from patchworks_deployments.model.tokens import MASKED, without_tokens

ENOUGH = {"id": 1, "flow_version_id": 1, "enabled_at": None}

WAYS = [
    json.dumps,
    *(ENCODINGS[name] for name in ("plain", "URL", "HTML hex", "JSON numbers", "torn by what nobody sees")),
]
HOMES = [
    lambda text: {"remark": text},
    lambda text: {"remarks": [text, "x"]},
    lambda text: {text: 1},
    lambda text: {"name": text, "value": "x"},
    lambda text: {"id": text},
    lambda text: [{"steps": {"note": text}}],
    lambda text: json.dumps({"a": [text]}),
    lambda text: f"Use {text} for it.",
    lambda text: f"a={text}&b=2",
    lambda text: f"Orders:{text}",
]


@examples(300)
@given(
    st.sampled_from([*TOKENS.values(), *LOTS.values()]),
    st.sampled_from(WAYS),
    st.lists(st.sampled_from(HOMES), min_size=1, max_size=3),
)
def test_what_looks_like_a_credential_is_masked_anywhere(token: str, way: Any, homes: list[Any]) -> None:
    """Under any name, nested, as a key, in JSON text, in a list and in a sentence, escaped or not."""
    value: Any = way(token)
    for home in homes:
        value = home(value if isinstance(value, str) else json.dumps(value))
    deployment = read_deployment({**ENOUGH, "further": value}, with_other=True).to_json()
    assert core_of(token) not in json.dumps(deployment, ensure_ascii=False)


SECRET = "open-sesame-now"
"""It has no looks of its own: only what stands around it tells."""

PAIRS = [
    ("field_name", "field_value"),
    ("fieldName", "fieldValue"),
    ("Field Name", "Field Value"),
    ("field", "value"),
    ("name", "val"),
    ("label", "content"),
    ("header", "content"),
    ("headerName", "headerValue"),
    ("k", "v"),
    ("key", "data"),
    ("param", "default"),
    ("caption", "setting"),
    ("0", "1"),
    ("@name", "#text"),
    ("Name", "Value"),
]
UNUSUAL = {("caption", "setting"), ("0", "1")}
"""Pairs that are told from other fields only where they have a record of their own."""

NAMES = [
    *("password", "passWord", "pass-word", "DB_PASSWORD", "SMTP pass", "pw", "dbPw", "creds", "apiCreds", "api key"),
    *("APIKey", "X-Api-Key", "Authorization", "accessToken", "client secret", "PIN", "keystore", "hmac", "salt"),
    *("pass%77ord", "p&#97;ssword", "pass\u200bword", "ｐａｓｓｗｏｒｄ"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_value_beside_the_name_of_a_credential_is_masked(pair: tuple[str, str]) -> None:
    """However the pair is called, and at any depth; where Patchworks merges it into the deployment, too."""
    label, value = pair
    for name in NAMES:
        record = {label: name, value: SECRET}
        homes = [[record], {"a": {value: [SECRET], label: name}}, {name: SECRET}, [name, SECRET]]
        for home in [{"further": home} for home in homes] + ([record] if pair not in UNUSUAL else []):
            assert SECRET not in json.dumps(masked(home)), home


MARKS: list[dict[str, Any]] = [
    {"isSecret": True},
    {"is_secret": 1},
    {"Is Secret": "yes"},
    {"is-sensitive": "true"},
    {"SECRET": "1"},
    {"encrypted": True},
    {"isPassword": True},
    {"inputType": "password"},
    {"input_type": "Password"},
    {"type": "secret"},
    {"format": "password"},
    {"widget": {"kind": "password"}},
]


@pytest.mark.parametrize("mark", MARKS, ids=str)
def test_a_record_that_is_marked_as_secret_is_masked(mark: dict[str, Any]) -> None:
    """In whatever spelling, beside the value or in a description of it."""
    assert SECRET not in json.dumps(masked({"further": [{"key": "shop", "value": SECRET, **mark}]}))


def test_parallel_lists_are_pairs_too() -> None:
    """Names in one list, values in another."""
    assert SECRET not in json.dumps(masked({"further": {"columns": ["user", "password"], "rows": [["a", SECRET]]}}))


ORDINARY = [
    "Orders to NetSuite",
    "OrderExportV2ForNetSuite",
    "Magento2ToNetSuiteV3Orders",
    "getFlowVersionDeploymentsByVirtualEnvironment",
    "App\\Models\\FlowVersionDeployment",
    "/api/v1/flows/12/steps/3/runs/4/items/5",
    "orders/v2/export/2024/items",
    "export_20240101_v2_final.csv",
    "task-management-for-orders-2024",
    "Order-Export-V2-UK-to-US",
    "20260302T090000Z",
    "2026-03-02T09:00:00.000000+01:00",
    "https://shop.example/orders?page=2",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "0 6 * * 1-5",
    "1234567890123456789012",
    "Turkey orders, compass and bypass",
    "by the author",
    "global-orders-export-uk",
    "ASIAPACIFICORDERSYNC",
    "ASIAPACIFICORDERS2024",
    "ASIAPacificOrders2024",
    "sk-cz-orders-to-netsuite-v2",
    "hf_OrderExportNetSuite",
    "shpfy_OrdersExportToNetsuite",
    "eyJewellery orders",
    "xoxo-orders-export",
    "dp.uk.orders_to_netsuite_v2",
    "pk_test_environment",
    "Größe & Straße 5",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_are_shown(text: str) -> None:
    """In a field, in a list, and as a name."""
    assert masked({"note": text, "list": [text], "name": text}) == {"note": text, "list": [text], "name": text}
    assert without_tokens(text) == text


def test_ids_are_shown_under_the_names_of_ids() -> None:
    """A UUID may be a key where nothing says that it is none."""
    uuid = LOTS["UUID"]
    told = {"id": uuid, "uuid": uuid, "flow_id": uuid, "flow": {"external_id": 5, "guid": uuid}}
    assert masked(told) == told
    assert masked({"thing": uuid}) == {"thing": MASKED}


def test_what_is_labelled_a_webhook_is_masked_whatever_it_is_called() -> None:
    """Its address opens it, under a key that nobody knows, too."""
    assert masked({"steps": [{"key": "webhook", "anything": "x"}]}) == {"steps": [{"key": MASKED, "anything": MASKED}]}


def test_a_neighbour_of_a_trigger_by_webhook_is_shown() -> None:
    """The word alone is no name of a credential: without a value beside it, it hides nothing."""
    assert masked({"steps": [{"trigger": "webhook", "retries": 3}]}) == {"steps": [{"trigger": MASKED, "retries": 3}]}


def test_the_text_of_further_fields_is_no_markup() -> None:
    """Keys and texts stay data where they are printed, and the JSON stays readable."""
    hostile = '[x](https://evil.example) <b> `y` | "z" \\ \U000e0041'
    other = masked({hostile: hostile, "list": [hostile]})
    printed = inert_json(other)
    assert not {"<", "`", "|", "\\", "\U000e0041"} & set(printed)
    assert "](" not in printed
    assert "://" not in printed
    assert json.loads(printed)["list"]


def test_a_text_of_megabytes_is_not_searched() -> None:
    """JSON beyond its bound is masked as a whole."""
    assert masked({"config_text": json.dumps(["x"] * 200_000), "list": json.dumps(["x"] * 50_000)})["list"] == MASKED
