"""The JSON Schema of locald.toml, for editors; docs/locald.schema.json is it, and a test keeps it so.  [pure]"""

from __future__ import annotations

from typing import Any

import msgspec

from locald.project import rules
from locald.project.model import File

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """The schema, by draft 2020-12.  What depends on several keys is not in it: `locald config --check` has that."""
    made: dict[str, Any] = _plain(msgspec.json.schema(File))
    service = made["$defs"]["Service"]["properties"]
    service["port"]["anyOf"][1]["enum"] = ["auto", "none"]  # None is how structs have it, and TOML has no null
    service["env"]["propertyNames"] = {"pattern": f"^{rules.VARIABLE.pattern}$"}
    service["port_env"]["pattern"] = f"^{rules.VARIABLE.pattern}$"
    service["stop_signal"]["enum"] = [*rules.SIGNALS, *(f"SIG{name}" for name in rules.SIGNALS)]
    made["$defs"]["File"]["properties"]["services"]["propertyNames"] = {"pattern": f"^{rules.LABEL.pattern}$"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "locald.toml", **made}


def _plain(part: Any) -> Any:
    """The schema without what stands for a key that is not there, and the same by each version of msgspec: they differ
    in how descriptions are indented, and in 1 or 1.0 for a bound."""
    if isinstance(part, list):
        return [_plain(each) for each in part if each != {"type": "null"}]
    if isinstance(part, float) and part.is_integer():
        return int(part)
    if not isinstance(part, dict):
        return part
    kept = {key: _plain(value) for key, value in part.items() if (key, value) != ("default", None)}
    if isinstance(words := kept.get("description"), str):
        kept["description"] = " ".join(words.split())
    if len(kept.get("anyOf", ())) == 1:
        (only,) = kept.pop("anyOf")
        kept = {**only, **kept}
    return kept
