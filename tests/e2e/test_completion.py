"""Completion, in the shells themselves: what they offer when somebody presses Tab."""

from __future__ import annotations

from typing import Any

from programs import need
from shop import Shop

PROJECT = '[services.web]\ncommand = "SERVE web"\n[services.worker]\ncommand = "sleep 1000"\nport = "none"\n'


def test_bash_completes_verbs_options_and_services(alice: Any) -> None:
    shop = Shop(alice, PROJECT)
    script = (
        'eval "$(locald completion bash)"; for words in "$@"; do COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
        'COMP_LINE=$words; COMPREPLY=(); _locald_completion locald; echo "${COMPREPLY[*]}"; done'
    )
    lines = (
        "locald resta",
        "locald up w",
        "locald up web w",
        "locald daemon st",
        "locald up --det",
        "locald exec w",
        "locald exec -p 80 w",
    )
    done = alice.type(need("bash"), "-c", script, "bash", *lines, cwd=shop.folder)
    offered = [sorted(line.split()) for line in done.stdout.splitlines()]
    assert offered == [
        ["restart"],
        ["web", "worker"],
        ["worker"],
        ["start", "status", "stop"],
        ["--detach"],
        ["web", "worker"],
        [],
    ], done.stderr
    shop.good("up", "-d", "worker")
    done = alice.type("bash", "-c", script, "bash", "locald exec shop/", "locald down sh", cwd=alice.home)
    assert [line.split() for line in done.stdout.splitlines()] == [["shop/worker"], ["shop", "shop/worker"]], (
        done.stderr
    )


def test_zsh_completes_them(alice: Any) -> None:
    shop = Shop(alice, PROJECT)
    script = (
        'autoload -U compinit; compinit -u; eval "$(locald completion zsh)"; '
        "compadd() { print -r -- $completions }; words=(locald up w); CURRENT=3; _locald_completion"
    )
    done = alice.type(need("zsh"), "-f", "-c", script, cwd=shop.folder)
    assert done.stdout.split() == ["web", "worker"], done.stderr


def test_fish_completes_them(alice: Any) -> None:
    shop = Shop(alice, PROJECT)
    done = alice.type(
        need("fish"), "-c", 'locald completion fish | source; complete --do-complete "locald up w"', cwd=shop.folder
    )
    assert done.stdout.split() == ["web", "worker"], done.stderr
