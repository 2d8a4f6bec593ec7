"""A project -> the text of a locald.toml that reads back as the same.  [pure]"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from locald.project.model import Project, Ready, Service
from locald.toml import key_text

__all__ = ["text_of"]

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}

HEAD = """\
# What this project runs.  `locald up` starts it, each service at a name of its own; `locald config` shows the names.
# Every key: docs/project.md of locald.  Is it right?  `locald config --check`
"""

MORE = """
# More that a service may have:
#
# port = 3000                         # a fixed port; "none" for a worker.  Else a free one, in $PORT
# workdir = "web"                     # the folder it is started in
# env = { API = "${services.api.url}" }
# depends_on = ["db"]                 # started when these are ready
# ready = { http = "/health" }        # or tcp, command, log; exit = true for a migration
# watch = ["src/**/*.py"]             # restarted when one of these changes
# lazy = true                         # started by the first request
"""


def text_of(project: Project) -> str:
    """The file, with its comments."""
    header = [("name", project.base or project.name)] + ([("domain", project.domain)] if project.domain else [])
    parts = [HEAD, "[project]", *(f"{key} = {_value(value)}" for key, value in header)]
    for name, service in project.services.items():
        parts += ["", f"[{key_text(('services', name))}]", *_service(service)]
    return "\n".join(parts) + "\n" + MORE


def _service(service: Service) -> list[str]:
    """The lines of what is not as it would be without them."""
    lines = []
    for field in msgspec.structs.fields(Service):
        value = getattr(service, field.encode_name)
        if field.encode_name == "port" and value is None and not service.socket:
            value = "none"
        if field.required or (value is not None and value != _default(field)):
            lines.append(f"{field.encode_name} = {_value(value)}")
    return lines


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Ready):
        return _value({key: each for key, each in msgspec.structs.asdict(value).items() if each not in ("", (), False)})
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key_text((key,))} = {_value(each)}' for key, each in value.items())} }}"
    return repr(value)  # a number


def _string(text: str) -> str:
    """A literal string where that is easier to read, else a basic one (TOML 1.0, "String")."""
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(ESCAPES.get(c) or (c if c.isprintable() else _escaped(c)) for c in text) + '"'


def _escaped(c: str) -> str:
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
