"""The dev servers that PyPI has."""

from __future__ import annotations

from trial import BEFORE, HTML, Trial

__all__ = ["PIP"]

ASGI = f"""
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}})
        await send({{"type": "http.response.body", "body": b"<p>{BEFORE}</p>"}})
    elif scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({{"type": event + ".complete"}})
            if event == "lifespan.shutdown":
                return
"""
WSGI = f"""
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<p>{BEFORE}</p>"]
"""
DJANGO = {
    "manage.py": "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\n"
                 "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n",
    "settings.py": "DEBUG = True\nSECRET_KEY = 'x'\nROOT_URLCONF = 'urls'\nWSGI_APPLICATION = None\n"
                   "MIDDLEWARE = ['django.middleware.common.CommonMiddleware']  # checks the name\n",
    "urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
               f"urlpatterns = [path('', lambda request: HttpResponse('<p>{BEFORE}</p>'))]\n",
}  # fmt: skip


def framework(module: str, name: str) -> dict[str, str]:
    """An app of Flask or what is like it."""
    wait = "async " if name == "Quart" else ""
    named = "" if name == "FastAPI" else "'shop'"
    return {
        "app.py": f"from {module} import {name}\napp = {name}({named})\n\n@app.get('/')\n{wait}def page():\n    return '<p>{BEFORE}</p>'\n"
    }


PIP = (
    Trial("http.server", "", "python -m http.server", {"index.html": HTML}),
    Trial("Django", "django", "python manage.py runserver", DJANGO, ("django",)),
    Trial("Flask", "flask", "flask run --debug", framework("flask", "Flask"), ("flask",)),
    Trial("Quart", "quart", "quart run --reload", framework("quart", "Quart"), ("quart",)),
    Trial("FastAPI", "fastapi", "fastapi dev app.py", framework("fastapi", "FastAPI"), ("fastapi[standard]",)),
    Trial("Litestar", "litestar", "litestar run --reload",
          {"app.py": f"from litestar import Litestar, get\n\n@get('/')\nasync def page() -> str:\n    return '{BEFORE}'\n\napp = Litestar([page])\n"},
          ("litestar[standard]",)),
    Trial("Sanic", "sanic", "sanic app:app --dev",
          {"app.py": "from sanic import Sanic, html\napp = Sanic('shop')\n\n@app.get('/')\nasync def page(request):\n"
                     f"    return html('<p>{BEFORE}</p>')\n"}, ("sanic",)),
    Trial("uvicorn", "uvicorn", "uvicorn app:app --reload", {"app.py": ASGI}, ("uvicorn",)),
    Trial("hypercorn", "hypercorn", "hypercorn app:app --reload", {"app.py": ASGI}, ("hypercorn",)),
    Trial("granian", "granian", "granian --interface asgi app:app", {"app.py": ASGI}, ("granian",)),
    Trial("daphne", "daphne", "daphne app:app", {"app.py": ASGI}, ("daphne",)),
    Trial("gunicorn", "gunicorn", "gunicorn app:app --reload", {"app.py": WSGI}, ("gunicorn",)),
    Trial("Streamlit", "streamlit", "streamlit run app.py", {"app.py": f"import streamlit\nstreamlit.write('{BEFORE}')\n"},
          ("streamlit",), "", True),
    Trial("marimo", "marimo", "marimo run app.py --headless",
          {"app.py": "import marimo\napp = marimo.App()\n\n@app.cell\ndef _():\n    import marimo as mo\n"
                     f"    mo.md('{BEFORE}')\n    return\n"}, ("marimo",), "", True),
    Trial("JupyterLab", "jupyterlab", "jupyter lab --no-browser --IdentityProvider.token=", {"a.txt": BEFORE},
          ("jupyterlab",), "", True, text="jupyter-config-data", path="/lab"),
    Trial("Gradio", "gradio", "python app.py",
          {"app.py": f"import gradio\nwith gradio.Blocks() as app:\n    gradio.Markdown('{BEFORE}')\napp.launch()\n"},
          ("gradio",)),
    Trial("NiceGUI", "nicegui", "python app.py",
          {"app.py": f"from nicegui import ui\nui.label('{BEFORE}')\nui.run(show=False)\n"}, ("nicegui",), "app.py", True),
    Trial("MkDocs", "mkdocs", "mkdocs serve", {"mkdocs.yml": "site_name: shop\n", "docs/index.md": f"# {BEFORE}\n"},
          ("mkdocs",), "docs/index.md", True),
    Trial("sphinx-autobuild", "sphinx-autobuild", "sphinx-autobuild docs build",
          {"docs/conf.py": "project = 'shop'\n", "docs/index.rst": f"{BEFORE}\n============\n"},
          ("sphinx", "sphinx-autobuild"), "docs/index.rst", True),
)  # fmt: skip
