"""How our pages look and move: one style for all, one script for the one that is live.  [pure]

Both are allowed by their hashes, and nothing else is (Content Security Policy Level 3, section 2.3.1): words of an app,
should they ever get into a page as tags, would neither run nor style anything.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

__all__ = ["LIVE_POLICY", "POLICY", "SCRIPT", "STYLE"]

# Of a terminal: dark enough on light ground, and light enough on dark.
LIGHT = (
    "#24292f #b3261e #1a7f37 #7d5600 #0550ae #8250df #0f6f78 #57606a "
    "#6e7781 #c5352b #2c8a3f #8a6100 #1668c4 #9a4fd8 #1b7c83 #3d444d"
)
DARK = (
    "#8b949e #ff7b72 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #c9d1d9 "
    "#a2acb8 #ffa198 #7ee787 #f2cc60 #a5d6ff #e2c5ff #7be6ee #f0f3f6"
)


def _colours(palette: str) -> str:
    return ";".join(f"--c{number}:{colour}" for number, colour in enumerate(palette.split()))


STYLE = f"""
:root {{ color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif;
  --panel: #f4f5f7; --line: #dfe2e7; --calm: #2c8a3f; --bad: #c5352b; {_colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{
  --panel: #1b1d21; --line: #32353b; --calm: #56d364; --bad: #ff7b72; {_colours(DARK)} }} }}
body {{ max-width: 42rem; margin: 12vh auto; padding: 0 1.5rem }}
body.wide {{ max-width: 60rem; margin: 8vh auto 4vh }}
html {{ scrollbar-gutter: stable }}
#facts p {{ margin: .3rem 0 }}
h1 {{ font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem }}
small {{ color: GrayText; letter-spacing: .08em }}
li {{ margin: .2rem 0 }}
.busy h1::before, .broken h1::before {{ content: ""; display: inline-block; width: .55em; height: .55em;
  margin-right: .5em; border-radius: 50%; background: var(--bad) }}
.busy h1::before {{ background: var(--calm); animation: breathe 2.4s ease-in-out infinite }}
@keyframes breathe {{ 50% {{ opacity: .25 }} }}
@media (prefers-reduced-motion: reduce) {{ .busy h1::before {{ animation: none }} }}
#log {{ font: 13px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--panel);
  border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: 1.3rem 0; max-height: 48vh;
  overflow: auto; scrollbar-width: thin; overscroll-behavior: contain; white-space: pre-wrap;
  overflow-wrap: anywhere; tab-size: 4 }}
#log:empty {{ display: none }}
.wide:not(.busy, .broken) #log {{ max-height: none }}
#log div {{ min-height: 1.55em; unicode-bidi: isolate }}
button {{ font: inherit; padding: .4rem 1.1rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--panel); color: inherit; cursor: pointer }}
button:hover {{ border-color: GrayText }}
[hidden] {{ display: none }}
.bold {{ font-weight: 600 }} .dim {{ opacity: .7 }} .italic {{ font-style: italic }}
.under {{ text-decoration: underline }} .struck {{ text-decoration: line-through }}
.inverse {{ background: CanvasText; color: Canvas }}
{" ".join(f".ink-{n} {{ color: var(--c{n}) }}" for n in range(16))}
{" ".join(f".ground-{n} {{ background: var(--c{n}); color: Canvas }}" for n in range(16))}
"""

SCRIPT = """
(() => {
  const page = document.body, log = document.getElementById("log"), facts = document.getElementById("facts")
  const title = document.querySelector("h1"), hint = document.getElementById("hint"), form = document.forms[0]
  const { log: where, kind, safe } = page.dataset
  let after = Number(page.dataset.after), looking = false, timer = 0

  const put = (element, text) => { if (element.textContent !== text) element.textContent = text }
  const made = (tag, text, kind) => Object.assign(document.createElement(tag), { textContent: text, className: kind })
  const below = () => log.scrollHeight - log.scrollTop - log.clientHeight < 8

  function add(lines) {
    const follow = below()
    for (const parts of lines) {
      const line = document.createElement("div")
      line.append(...parts.map(([kind, text]) => made("span", text, kind)))
      log.append(line)
    }
    while (log.childElementCount > 1000) log.firstChild.remove()
    if (follow) log.scrollTop = log.scrollHeight
  }

  function show(now) {
    if (now.after < after) log.replaceChildren()
    after = now.after
    add(now.lines)
    if (now.state === "sleeping" && safe === "yes") return location.reload()
    put(title, now.title)
    if (document.title !== now.title) document.title = now.title
    if (now.facts.join("\\n") !== [...facts.children].map(each => each.textContent).join("\\n"))
      facts.replaceChildren(...now.facts.map(text => made("p", text, "")))
    hint.hidden = !now.hint
    put(hint.lastChild, " " + now.hint)
    form.hidden = !now.button
    put(form.querySelector("button"), now.button)
    page.classList.toggle("busy", now.busy)
    page.classList.toggle("broken", !now.busy)
  }

  function opened() {
    if (safe === "yes") return location.reload()
    put(title, "It is ready")
    facts.replaceChildren(made("p", "Reload this page to send what you have sent once more.", ""))
    page.classList.remove("busy", "broken")
  }

  async function look() {
    timer = 0
    looking = true
    try {
      const answer = await fetch(where + "?after=" + after, { cache: "no-store", redirect: "manual" })
      if (answer.headers.get("content-type") !== kind) return opened()
      show(await answer.json())
    } catch { /* locald is away for a moment */ }
    looking = false
    next()
  }
  function next() {
    if (!document.hidden && !looking && !timer) timer = setTimeout(look, 400)
  }
  document.addEventListener("visibilitychange", next)
  log.scrollTop = log.scrollHeight
  next()
})()
"""


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = f"default-src 'none'; style-src {_hash(STYLE)}; base-uri 'none'; frame-ancestors 'none'".encode()
LIVE_POLICY = (
    POLICY
    + f"; script-src {_hash(SCRIPT)}; connect-src 'self'; form-action 'self'"
    "; require-trusted-types-for 'script'; trusted-types 'none'".encode()
)
POLICY += b"; form-action 'none'"
