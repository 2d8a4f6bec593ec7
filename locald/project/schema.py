"""The JSON Schema of locald.toml, for editors; docs/locald.schema.json is it, and a test keeps it so.  [pure]"""

from __future__ import annotations

from typing import Any

import msgspec

from locald.project import rules
from locald.project.model import File

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """The schema, by draft 2020-12.  What depends on several keys is not in it: `locald config --check` has that."""
    made: dict[str, Any] = _without_null(msgspec.json.schema(File))
    service = made["$defs"]["Service"]["properties"]
    service["port"]["anyOf"][1]["enum"] = ["auto", "none"]  # None is how structs have it, and TOML has no null
    service["env"]["propertyNames"] = {"pattern": f"^{rules.VARIABLE.pattern}$"}
    service["port_env"]["pattern"] = f"^{rules.VARIABLE.pattern}$"
    service["stop_signal"]["enum"] = [*rules.SIGNALS, *(f"SIG{name}" for name in rules.SIGNALS)]
    made["$defs"]["File"]["properties"]["services"]["propertyNames"] = {"pattern": f"^{rules.LABEL.pattern}$"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "locald.toml", **made}


def _without_null(part: Any) -> Any:
    """The schema without what stands for a key that is not there."""
    if isinstance(part, list):
        return [_without_null(each) for each in part if each != {"type": "null"}]
    if not isinstance(part, dict):
        return part
    kept = {key: _without_null(value) for key, value in part.items() if (key, value) != ("default", None)}
    if len(kept.get("anyOf", ())) == 1:
        (only,) = kept.pop("anyOf")
        kept = {**only, **kept}
    return kept
