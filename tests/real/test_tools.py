"""Dev servers that ignore PORT, started as a project's services are: they answer on the port that they were allotted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import NODE_MODULES, need, need_node
from users import wait_for

from locald.project.launch import Launch, Place
from locald.project.model import Project, Service
from locald.project.prepare import prepare
from locald.supervisor.ports import free_port

BIN = Path(sys.executable).parent
FASTER = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "NO_COLOR": "1",
    "NO_UPDATE_NOTIFIER": "1",
    "npm_config_update_notifier": "false",
}

Serve = Callable[..., tuple[Launch, str]]


def launched(folder: Path, command: str, place: Place, domain: str = "") -> Launch:
    project = Project("shop", str(folder), "", {"web": Service(command)}, domain)
    environ = {"PATH": f"{folder}/node_modules/.bin:{BIN}:{os.environ['PATH']}", "HOME": str(folder), **FASTER}
    return prepare(project, "web", place, {}, environ)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """serve(command): starts it as a service, and asks it for / by its name; how it was started, and its answer."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str, domain: str = "", path: str = "/") -> tuple[Launch, str]:
        port = free_port()
        launch = launched(tmp_path, command, Place(port, url=f"https://shop.{domain or 'localhost'}/"), domain)
        with open(tmp_path / "output", "wb") as output:
            process = subprocess.Popen(
                launch.argv, cwd=launch.directory, env=launch.environ, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        started.append(process)

        def listens() -> bool:
            assert process.poll() is None, (launch.argv, (tmp_path / "output").read_text())
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, 60)
        question = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"Host": f"shop.{domain or 'localhost'}"}
        )
        with urllib.request.urlopen(question, timeout=30) as answer:
            return launch, answer.read().decode()

    yield start
    for process in started:
        with process:
            os.killpg(process.pid, signal.SIGKILL)


def test_uvicorn(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'uvicorn'})\n"
    )
    launch, body = serve("python -m uvicorn app:app --lifespan off")
    assert body == "uvicorn"
    assert launch.notes == (f"UVICORN_PORT={launch.environ['PORT']} set: uvicorn ignores PORT",)


def test_flask(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from flask import *\napp = Flask('app')\napp.get('/')(lambda: request.host)\n")
    launch, body = serve("flask run")
    assert body == "shop.localhost"
    assert launch.notes == (f"FLASK_RUN_PORT={launch.environ['PORT']} set: flask ignores PORT",)


def test_django(serve: Serve, tmp_path: Path) -> None:
    """With DEBUG and no ALLOWED_HOSTS it takes names below localhost."""
    (tmp_path / "manage.py").write_text(
        "from django.conf import settings\nfrom django.core.management import execute_from_command_line\n"
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        "settings.configure(DEBUG=True, ROOT_URLCONF='__main__', SECRET_KEY='x')\n"
        "urlpatterns = [path('', lambda request: HttpResponse(request.get_host()))]\n"
        "import sys\nexecute_from_command_line(sys.argv)\n"
    )
    launch, body = serve("python manage.py runserver --noreload --skip-checks")
    assert body == "shop.localhost"
    assert launch.notes == (f"127.0.0.1:{launch.environ['PORT']} added: django ignores PORT",)


def test_pythons_http_server(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("static")
    launch, body = serve("python -m http.server")
    assert body == "static"
    assert launch.notes == (f"{launch.environ['PORT']} --bind 127.0.0.1 added: http.server ignores PORT",)


@pytest.fixture
def vite(tmp_path: Path) -> None:
    need_node()
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "index.html").write_text("<p>vite</p>")
    scripts = {"dev": "vite", "again": "npm run dev"}
    (tmp_path / "package.json").write_text(json.dumps({"name": "shop", "version": "1.0.0", "scripts": scripts}))


@pytest.mark.parametrize("command", ["vite", "npm run dev", "npm run again"])
def test_vite(serve: Serve, vite: None, command: str) -> None:
    need("npm")
    launch, body = serve(command)
    assert "<p>vite</p>" in body
    assert launch.notes == (f"--port {launch.environ['PORT']} --strictPort --host 127.0.0.1 added: vite ignores PORT",)


def test_vite_answers_to_a_name_that_is_not_below_localhost(serve: Serve, vite: None) -> None:
    launch, body = serve("vite", "example.test")
    assert "<p>vite</p>" in body
    assert launch.notes[-1].startswith("__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS=shop.example.test set")


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("npm run dev", ""),
        ("npm run nested", ""),
        ("npm run twice", ""),
        ("npm start", "--open "),
        ("npm run dev -- --open", "--open "),
        ("npm exec vite", ""),
        ("npm exec -- vite --open", "--open "),
        ("npx vite --open", "--open "),
        ("npm -s run dev", ""),
        ("cd web && npm run dev", "--web "),
        ("npm --prefix web run dev", "--web "),
        ("bun run dev", ""),
        ("bun dev --open", "--open "),
        ("bun x vite", ""),
        ("pnpm run dev", ""),
        ("pnpm dev --open", "--open "),
        ("pnpm exec vite", ""),
        ("pnpm vite", ""),
        ("yarn dev", ""),
        ("yarn run dev --open", "--open "),
        ("yarn vite", ""),
        ("npm run crossed", "--open "),
        ("dotenv -e .env -- vite", ""),
        ("env-cmd -f .env vite --open", "--open "),
        ("cross-env A=1 npm run dev", ""),
        ("env A=1 B=2 vite", ""),
        ("node node_modules/vite/bin/vite.js --open", "--open "),
    ],
)
def test_the_words_come_through_what_starts_other_programs(tmp_path: Path, command: str, before: str) -> None:
    """Here vite is a program that says which words it got."""
    need("npm")
    need_node()
    program = tmp_path / "node_modules/.bin/vite"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "got: $*"\n')
    program.chmod(0o755)
    bun = NODE_MODULES / "@oven/bun-linux-x64-baseline/bin/bun"
    if command.startswith("bun"):
        if not bun.exists():
            pytest.skip("bun is there for x86_64 Linux only")
        (program.parent / "bun").symlink_to(bun)
    for name in ("pnpm", "yarn", "cross-env", "dotenv", "env-cmd"):
        (program.parent / name).symlink_to(NODE_MODULES / ".bin" / name)
    script = tmp_path / "node_modules/vite/bin/vite.js"
    script.parent.mkdir(parents=True)
    script.write_text('console.log("got:", process.argv.slice(2).join(" "));\n')
    (tmp_path / ".env").write_text("A=1\n")
    scripts = {
        "dev": "vite", "nested": "npm run dev", "twice": "npm run nested -- --debug", "start": "A=1 vite --open",
        "crossed": "cross-env A=1 B=2 vite --open",
    }  # fmt: skip
    (tmp_path / "web").mkdir()
    for folder, its in ((tmp_path, scripts), (tmp_path / "web", {"dev": "vite --web"})):
        (folder / "package.json").write_text(json.dumps({"name": "shop", "version": "1.0.0", "scripts": its}))
    launch = launched(tmp_path, command, Place(20001))
    done = subprocess.run(
        launch.argv, cwd=launch.directory, env=launch.environ, capture_output=True, text=True, timeout=60
    )
    assert f"got: {before}--port 20001 --strictPort --host 127.0.0.1\n" in done.stdout, done
