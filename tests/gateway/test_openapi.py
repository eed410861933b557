"""The OpenAPI document, and the gateway held against it."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from anew.testing.fake_journal import FakeJournal
from tests.gateway.served import served
from tests.gateway.test_app import call, champion, make

EXAMPLES = 6
"""For each operation and each way of making requests."""

CHECKS = (
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
)


def hold(document: dict[str, Any], place: str) -> int:
    """Ask what the document allows, and what it does not; return how often."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://{place}")
    asked = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr] # an error in the document raises here
        bare = operation.method == "get" or not len(operation.body)  # then nothing about it can be wrong
        modes = (GenerationMode.POSITIVE,) if bare else tuple(GenerationMode)[:2]
        for mode in modes:

            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(checks=list(CHECKS))

            most = 1 if operation.method == "get" else EXAMPLES
            limits = settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            told: Any = given
            limits(told(operation.as_strategy(generation_mode=mode))(ask))()
    return asked


@pytest.mark.fault("V1")
@pytest.mark.fault("V3")
def test_whatever_is_asked_is_answered_as_the_document_says() -> None:
    app = make(FakeJournal(), champion("amount"))
    document = asyncio.run(call(app, "/openapi.json", method="GET"))[1]
    paths = document["paths"]
    assert {f"/models/m{path}" for path in ("/predict", "/labels", "/feedback")} < set(paths)
    for path in ("/predict", "/v2/models/m/infer"):
        (patience,) = paths[path]["post"]["parameters"]
        assert (patience["name"], patience["schema"]["type"]) == ("x-request-timeout-ms", "integer")
    document["paths"] = {
        path: item for path, item in paths.items() if not path.startswith("/models/")
    }  # the same again
    with served(app) as place:
        assert hold(document, place) > 40


def test_a_document_that_hides_a_status_is_found() -> None:
    app = make(FakeJournal(), champion("raise"))
    document = asyncio.run(call(app, "/openapi.json", method="GET"))[1]
    document["paths"] = {"/labels": document["paths"]["/labels"]}
    del document["paths"]["/labels"]["post"]["responses"]["422"]
    with served(app) as place, pytest.raises(FailureGroup):
        hold(document, place)
