"""The OpenAPI 3.1 document of a gateway: what each path takes and gives, for the very columns of its models."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from anew import __version__
from anew.domain.column import GREATEST, Column, ColumnKind
from anew.gateway.infer_request import OUTPUTS
from anew.gateway.settings import GatewaySettings
from anew.gateway.signed import HEADERS

__all__ = ["document"]

_Json = dict[str, Any]
_INSTANT: Final[_Json] = {"type": "string", "format": "date-time", "description": "an instant with its zone"}
_ID: Final[_Json] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_DELIVERY: Final[_Json] = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}
_NUMBER: Final[_Json] = {"type": "number", "minimum": -GREATEST, "maximum": GREATEST}
_SOURCE: Final[_Json] = {"type": "string", "minLength": 1, "maxLength": 200}
_REASONS: Final[Mapping[int, str]] = {
    400: "this is no JSON",
    409: "the id was used for another row",
    413: "the body is too big",
    415: "this is no plain JSON",
    422: "a field is missing, unknown or wrong; `path` names it",
    429: "too many requests at once; try again later",
    500: "the model failed, and nobody could answer in its place",
    503: "no model is served yet, the journal takes nothing, or there is too much to do; try again later",
    504: "the deadline that the request gave has passed",
}


def document(models: Sequence[GatewaySettings]) -> _Json:
    """Return the document; a single model's paths are there without its name, too."""
    paths: dict[str, _Json] = {
        "/live": _get("the process runs", {200}),
        "/ready": _get("a model answers", {200, 503}),
        "/stats": _get("what was counted", {200}),
        "/metrics": {"get": {"summary": "what was counted, for Prometheus", "responses": {"200": _TEXT}}},
        "/v2": _get("name and version of the server", {200}),
        "/v2/health/live": _get("the process runs", {200}),
        "/v2/health/ready": _get("every model answers", {200, 503}),
    }
    schemas: _Json = {"Error": _ERROR, "ProtocolError": _PROTOCOL_ERROR}
    for settings in models:
        own = _own_paths(settings)
        paths |= {f"/models/{settings.model}{path}": item for path, item in own.items()}
        paths |= own if len(models) == 1 else {}
        paths |= _protocol_paths(settings)
        schemas |= {f"{settings.model}.{name}": schema for name, schema in _schemas(settings).items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "anew gateway", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _own_paths(settings: GatewaySettings) -> dict[str, _Json]:
    model = settings.model
    commands = {"/retrain": _RETRAIN} if settings.webhook else {}
    if settings.review:
        commands |= _review_paths(settings)
    if settings.signing:
        commands |= {
            "/webhook/labels": _signed("take ground truth, signed as Standard Webhooks are", f"{model}.Labels", model),
            "/webhook/feedback": _signed("take feedback, signed so", f"{model}.Feedback", model),
        }
    if settings.labelling:
        commands["/review/label-studio"] = _LABELLING
    answers = {"/predict": _timed(_post("answer rows", f"{model}.Predict", f"{model}.Predicted"))}
    if settings.log_only:
        answers = {"/log": _post("take what another server answered", f"{model}.Logged", f"{model}.Predicted")}
    return (
        commands
        | answers
        | {
            "/labels": _post("take ground truth", f"{model}.Labels", f"{model}.Accepted"),
            "/feedback": _post("take what happened after an answer", f"{model}.Feedback", f"{model}.Accepted"),
        }
    )


def _review_paths(settings: GatewaySettings) -> dict[str, _Json]:
    model = settings.model
    return {
        "/review/next": {"post": _reviewed("get something to look at", None)},
        "/review/answer": {"post": _reviewed("say what is true of it", _ref(f"{model}.Reviewed"))},
        "/review/skip": {"post": _reviewed("give it back", _object({"item": _ITEM}, ("item",)))},
        "/review/status": {"get": _reviewed("how much there is to look at", None)},
    }


def _reviewed(summary: str, takes: _Json | None) -> _Json:
    statuses = (400, 404, 409, 413, 415, 422, 500, 503)
    said = {
        str(status): _json(_ref("Error"), _REASONS.get(status, "not yours, settled, or answered already"))
        for status in statuses
    }
    body = (
        {} if takes is None else {"requestBody": {"required": True, "content": {"application/json": {"schema": takes}}}}
    )
    return {"summary": summary, **body, "responses": {"200": _json({"type": "object"}, summary)} | said}


def _protocol_paths(settings: GatewaySettings) -> dict[str, _Json]:
    model, base = settings.model, f"/v2/models/{settings.model}"
    infer = _timed(_post("answer tensors", f"{model}.Infer", f"{model}.Inferred", "ProtocolError"))
    told = {base: _get("what the model takes and gives", {200}), f"{base}/ready": _get("it answers", {200, 503})}
    return told if settings.log_only else told | {f"{base}/infer": infer}


def _schemas(settings: GatewaySettings) -> _Json:
    columns = settings.columns
    beside = [name for name in (columns.key, *columns.sensitive) if name and name not in columns.names]
    properties: _Json = {column.name: _cell(column, settings) for column in columns.features}
    properties |= {name: {"type": ["number", "string", "null"]} for name in beside}
    key = [columns.key] if columns.key in beside else []
    row = _object(properties | {columns.time: _INSTANT}, (*columns.names, *key))
    ids = {"type": "array", "items": _DELIVERY}
    again = "with `at`, a request is safe to repeat at any worker; alone, at the one that answered it"
    common = {"at": _INSTANT, "ids": ids | {"description": again}}
    value: _Json = {"enum": list(columns.classes)} if columns.task.classifies else _NUMBER
    deliver = {"prediction": _ID, "at": _INSTANT, "id": _DELIVERY, "source": _SOURCE}
    label = deliver | {"value": value, "withdraw": {"type": "boolean"}, "revision": {"type": "integer", "minimum": 0}}
    event = deliver | {
        "event": {"enum": list(settings.events)} if settings.events else {"type": "string"},
        "value": _NUMBER,
        "thumb": {"enum": ["up", "down"]},
        "correction": value,
    }
    return {
        "Row": row,
        "Predict": {
            "oneOf": [
                _object({"row": _ref(f"{settings.model}.Row"), **common}, ("row",)),
                _object({"rows": _list(_ref(f"{settings.model}.Row"), settings), **common}, ("rows",)),
            ]
        },
        "Logged": _logged(settings, value),
        "Predicted": _predicted(settings),
        "Labels": _object({"labels": _list(_object(label, ("prediction",)), settings)}, ("labels",)),
        "Reviewed": _object({"item": _ITEM, "value": value}, ("item", "value")),
        "Feedback": _object({"feedback": _list(_object(event, ("prediction",)), settings)}, ("feedback",)),
        "Accepted": _object(
            {"accepted": {"type": "integer"}, "ids": {"type": "array", "items": _DELIVERY}}, ("accepted", "ids")
        ),
        "Infer": _infer(settings),
        "Inferred": _INFERRED,
    }


def _logged(settings: GatewaySettings, value: _Json) -> _Json:
    proba = {"type": ["array", "null"], "items": {"type": "number"}}
    answers = _list(_object({"output": value, "proba": proba}, ("output",)), settings)
    version = {"type": "string", "pattern": "^v[0-9]{1,9}$"}
    return _object(
        {"asked": _ref(f"{settings.model}.Predict"), "answers": answers, "version": version}, ("asked", "answers")
    )


def _predicted(settings: GatewaySettings) -> _Json:
    proba = {"type": ["array", "null"], "items": {"type": "number"}}
    one = {"id": _ID, "output": {"type": ["number", "string"]}, "proba": proba} | {
        "version": {"type": "string"},
        "arm": {"enum": ["champion", "challenger", "fallback"]},
    }
    told = {"model": {"const": settings.model}, "version": {"type": "string"}, "epoch": {"type": "integer"}}
    many = {"type": "array", "items": _object(one, tuple(one))}
    return _object(told | {"predictions": many}, (*told, "predictions"))


def _infer(settings: GatewaySettings) -> _Json:
    cell = {"type": ["number", "string", "null", "array"]}
    tensor = {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 3},
        "datatype": {"enum": [*(f"FP{n}" for n in (64, 32, 16)), *_integers(), "BYTES"]},
        "data": {"type": "array", "items": cell},
        "parameters": {"type": "object"},
    }
    output = _object({"name": {"enum": list(OUTPUTS)}, "parameters": {"type": "object"}}, ("name",))
    names = len(settings.columns.names) + len(settings.columns.sensitive) + 2
    tensors = {"type": "array", "minItems": 1, "maxItems": names}
    return _object(
        {
            "id": {"type": "string"},
            "inputs": tensors | {"items": _object(tensor, ("name", "shape", "datatype", "data"))},
            "outputs": {"type": "array", "items": output, "maxItems": len(OUTPUTS)},
            "parameters": {"type": "object"},
        },
        ("inputs",),
    )


def _integers() -> Iterable[str]:
    return (f"{sign}INT{n}" for sign in ("", "U") for n in (64, 32, 16, 8))


def _cell(column: Column, settings: GatewaySettings) -> _Json:
    null = ["null"] if column.nullable else []
    if column.kind is ColumnKind.NUMBER:
        return {"type": ["number", *null]}
    if column.kind is ColumnKind.CATEGORY:
        return {"type": ["string", *null], "maxLength": settings.most_string}
    return {"type": ["array", *null], "items": _NUMBER, "minItems": column.width, "maxItems": column.width}


def _list(item: _Json, settings: GatewaySettings) -> _Json:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": settings.most_rows}


def _object(properties: _Json, required: Sequence[str]) -> _Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _ref(name: str) -> _Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: _Json, description: str) -> _Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, statuses: set[int]) -> _Json:
    said = {str(status): _json({"type": "object"}, summary) for status in sorted(statuses)}
    return {"get": {"summary": summary, "responses": said}}


def _post(summary: str, takes: str, gives: str, error: str = "Error") -> _Json:
    said = {str(status): _json(_ref(error), reason) for status, reason in _REASONS.items()}
    body = {"required": True, "content": {"application/json": {"schema": _ref(takes)}}}
    return {"post": {"summary": summary, "requestBody": body, "responses": {"200": _json(_ref(gives), summary)} | said}}


def _timed(item: _Json) -> _Json:
    return {"post": item["post"] | {"parameters": [_PATIENCE]}}


def _signed(summary: str, takes: str, model: str) -> _Json:
    post = _post(summary, takes, f"{model}.Accepted")["post"]
    refused = {"401": _json(_ref("Error"), "it is not signed by a source of this project, or not now")}
    return {"post": post | {"parameters": _SIGNATURE, "responses": post["responses"] | refused}}


_ITEM: Final[_Json] = {"type": "string", "pattern": "^[0-9a-f]{26}$"}
_SIGNATURE: Final = [{"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in HEADERS]
_PATIENCE: Final[_Json] = {
    "name": "x-request-timeout-ms",
    "in": "header",
    "description": "how long the caller waits: what is not begun by then is not computed",
    "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
}
_REASON: Final[_Json] = {"type": "string", "maxLength": 500}
_TEXT: Final[_Json] = {"description": "the page", "content": {"text/plain": {"schema": {"type": "string"}}}}
_SAID: Final[_Json] = {name: {"type": "string"} for name in ("code", "message", "path")}
_ERROR: Final[_Json] = _object({"error": _object(_SAID, tuple(_SAID))}, ("error",))
_PROTOCOL_ERROR: Final[_Json] = _object({"error": {"type": "string"}} | _SAID, ("error", *_SAID))
_INFERRED: Final[_Json] = _object(
    {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name", "shape", "datatype", "data"]}},
    },
    ("model_name", "model_version", "outputs"),
)
_LABELLING: Final[_Json] = {
    "post": {
        "summary": "have Label Studio asked what people said there; the body is not looked at",
        "parameters": [{"name": "x-anew-secret", "in": "header", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "202": _json({"type": "object"}, "it is asked soon"),
            "401": _json(_ref("Error"), "this is not the shared secret"),
            **{str(status): _json(_ref("Error"), _REASONS[status]) for status in (400, 413, 415, 429, 500, 503)},
        },
    }
}
_RETRAIN: Final[_Json] = {
    "post": {
        "summary": "ask for a retrain, signed as Standard Webhooks are",
        "parameters": _SIGNATURE,
        "requestBody": {"content": {"application/json": {"schema": _object({"reason": _REASON}, ())}}},
        "responses": {
            "202": _json({"type": "object"}, "taken, once for each webhook-id"),
            "401": _json(_ref("Error"), "it is not signed by the shared secret, or not now"),
            **{str(status): _json(_ref("Error"), _REASONS[status]) for status in (400, 413, 415, 422, 429, 500, 503)},
        },
    }
}
