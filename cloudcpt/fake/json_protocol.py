"""The awsJson1.1 protocol: the operation is in a header, parameters and answers are JSON, times are seconds.

Source: Smithy specification, "AWS JSON 1.1 protocol".
"""

import json
from collections.abc import Mapping
from typing import Any

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request

_CONTENT_TYPE = {"content-type": "application/x-amz-json-1.1"}


def target_operation(head: Request) -> str:
    """Name the operation of a call, such as `CreateTrainingJob`."""
    return head.headers.get("x-amz-target", "").rpartition(".")[2]


def read_parameters(request: Request) -> dict[str, Any]:
    """Read the parameters of a call.

    Raises:
        Refusal: the body is not a JSON object.
    """
    try:
        parameters = json.loads(request.body or b"{}")
    except ValueError:
        parameters = None
    if not isinstance(parameters, dict):
        raise Refusal(status=400, code="SerializationException", message="the body is not a JSON object")
    return parameters


def json_answer(document: Mapping[str, Any]) -> Answer:
    """Word an answer."""
    return Answer(headers=_CONTENT_TYPE, body=json.dumps(document).encode())


def json_refusal(refusal: Refusal) -> Answer:
    """Word a refusal; `AccessDenied` is called `AccessDeniedException` in this protocol."""
    code = "AccessDeniedException" if refusal.code == "AccessDenied" else refusal.code
    status = 400 if code == "AccessDeniedException" else refusal.status
    body = {"__type": code, "message": refusal.message, "Message": refusal.message, **dict(refusal.extra)}
    return Answer(status=status, headers=_CONTENT_TYPE, body=json.dumps(body).encode())
