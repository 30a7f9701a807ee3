# SPDX-License-Identifier: Apache-2.0
"""The ``filters`` query parameter of list calls, in both encodings that clients use."""

from __future__ import annotations

import json
from collections.abc import Collection

from queenright.edge.http.errors import ApiError

Filters = dict[str, list[str]]
"""Filter name -> accepted values; values of one name are alternatives, names must all match."""


def parse_filters(text: str, allowed: Collection[str] | None = None) -> Filters:
    """Read the JSON of a ``filters`` parameter: ``{"k":["v"]}`` or ``{"k":{"v":true}}``, also mixed.

    An empty text gives no filters. Raises `ApiError` 400 for JSON of another shape and for a name that is not
    in ``allowed`` (``Invalid filter 'foo'``); None allows all.
    """
    if not text:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"invalid filters: they are not valid JSON: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ApiError(400, 'invalid filters: expected a JSON object such as {"name":["web"]}')
    filters: Filters = {}
    for name, values in document.items():
        if allowed is not None and name not in allowed:
            raise ApiError(400, f"Invalid filter '{name}'")
        filters[name] = _values(name, values)
    return filters


def _values(name: str, values: object) -> list[str]:
    if isinstance(values, dict) and all(isinstance(wanted, bool) for wanted in values.values()):
        return [value for value, wanted in values.items() if wanted]
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return list(values)
    raise ApiError(400, f"invalid filters: the values of '{name}' must be a list of strings or an object of booleans")
