"""make mutants: each rule of the helper broken, in each way that somebody thought of, to see its test fail.

    python tests/mutants.py [WORD]      in the namespace of tests/namespace.py; only mutants with WORD in them
    python tests/mutants.py --rules     the text of tests/root/RULES.md

A mutant is the source with one piece of text replaced.  One that every named test passes has survived, which means that
a rule has no test: that is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACT, FAULTS, HOSTILE = (
    "tests/root/test_shim_contract.py",
    "tests/root/test_faults.py",
    "tests/root/test_hostile.py",
)
PRIVILEGE, PURE, STREAM = "tests/root/test_privilege.py", "tests/shim/test_pure.py", "tests/shim/test_stream.py"
DARWIN, FDPASS = "tests/shim/test_darwin.py", "tests/test_fdpass_darwin.py"
BIND, SETUP, ATTACKED = "tests/root/test_bind.py", "tests/root/test_setup.py", "tests/root/test_setup_attacked.py"

RULES = {
    1: "argc is looked at before argv",
    2: "no environment, argv[0], locale, name service, syslog, heap or stdio",
    3: "success is one byte and one descriptor, checked again by who receives it",
    4: "root is refused; a lack of privilege has a code of its own",
    5: "signals, timers and the mask are reset first; nothing is held that a kill could leave behind",
    6: "a new descriptor of 2 or less is never used",
    7: "only fixed strings go to inherited descriptors",
    8: "standard input is a connected Unix stream of the caller's",
    9: "Linux: all but one capability is dropped before anything is parsed",
    10: "the drop is proven, and tried to be undone",
    11: "never dumpable again",
    12: "the socket is the user's, one family's, nobody shares it, and it listens before it is sent",
    13: "macOS: root is set aside, taken up for bind() alone, given up for good",
    14: "the policy is root's own file, read whole from one descriptor; any doubt denies",
    15: "after the bind seccomp kills for anything but sending, reading and exiting",
    16: "installed in a folder of root's alone: temporary name, owner, mode, sync, rename; the old one loses its power",
}


@dataclass(frozen=True)
class Mutant:
    """A rule, and how it is broken: in this file, this text becomes that one; the tests that must notice."""

    rule: int
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = [
    Mutant(1, "argv is read before argc", "request.c", "if (argc == 2 && strcmp", "if (strcmp", (PURE, "-k", "empty_argv")),
    Mutant(2, "the environment is read", "main.c", "    reset_signals();\n", '    extern char *getenv(const char *); (void)getenv("LANG");\n    reset_signals();\n', (PURE, "-k", "imports")),
    Mutant(2, "stdio by way of inet_ntop", "request.c", "    ipv6_print(out->bytes, canonical);", "    (void)inet_ntop(AF_INET6, out->bytes, canonical, sizeof canonical);", (PURE, "-k", "imports")),
    Mutant(3, "another status byte", "main.c", "unsigned char byte = PROTOCOL;", "unsigned char byte = PROTOCOL + 1;", (CONTRACT, "-k", "granted_port")),
    Mutant(3, "any answer will do", "main.c", "return read(STDIN_FILENO, &byte, 1) == 1 && byte == PROTOCOL ? GRANTED : PEER_GONE;", "return read(STDIN_FILENO, &byte, 1) == 1 ? GRANTED : PEER_GONE;", (HOSTILE, "-k", "answer_that_is_none")),
    Mutant(3, "no answer will do", "main.c", "return read(STDIN_FILENO, &byte, 1) == 1 && byte == PROTOCOL ? GRANTED : PEER_GONE;", "return read(STDIN_FILENO, &byte, 1) >= 0 ? GRANTED : PEER_GONE;", (HOSTILE, "-k", "answer_that_is_none")),
    Mutant(4, "root is served", "os_linux.c", "const int power = uid != 0 && (", "const int power = (", (CONTRACT, "-k", "root_is_refused")),
    Mutant(5, "an armed timer stays", "main.c", "(void)setitimer(timers[i], &never, NULL);", "(void)i, (void)never;", (HOSTILE, "-k", "every_timer")),
    Mutant(5, "SIGALRM stays blocked", "main.c", "(void)sigprocmask(SIG_SETMASK, &none, NULL);", "(void)none;", (CONTRACT, "-k", "never_answers")),
    Mutant(5, "SIGALRM stays ignored", "main.c", "(void)sigaction(SIGALRM, &action, NULL);", "(void)action;", (CONTRACT, "-k", "never_answers")),
    Mutant(5, "no alarm", "main.c", "    alarm(TIME_S);\n", "", (CONTRACT, "-k", "never_answers")),
    Mutant(5, "SIGXFSZ kills", "main.c", "(void)sigaction(SIGXFSZ, &action, NULL);", "", (HOSTILE, "-k", "no_file_may_grow")),
    Mutant(5, "SIGPIPE kills", "main.c", "(void)sigaction(SIGPIPE, &action, NULL);", "", (HOSTILE, "-k", "cannot_be_written")),
    Mutant(6, "a listener on a low descriptor", "sockets.c", "if (fd <= STDERR_FILENO || setsockopt", "if (setsockopt", (PURE, "-k", "low_descriptor")),
    Mutant(6, "a policy on a low descriptor", "policyfile.c", "if (folder <= STDERR_FILENO || ", "if (", (HOSTILE, "-k", "low_descriptor")),
    Mutant(7, "an argument is printed", "main.c", "        leave(USAGE);", "        (void)!write(2, argv[1], strlen(argv[1])), leave(USAGE);", (HOSTILE, "-k", "says_only")),
    Mutant(8, "any family", "sockets.c", " || name.sun_family != AF_UNIX", "", (STREAM,)),
    Mutant(8, "any type", "sockets.c", "option_is(fd, SOL_SOCKET, SO_TYPE, SOCK_STREAM) && ", "", (STREAM,)),
    Mutant(8, "a listener", "os_linux.c", " || listens != 0", "", (PURE, "-k", "unconnected")),
    Mutant(8, "anybody's", "sockets.c", " && peer == uid;", " && peer != 4294967294u;", (CONTRACT, "-k", "stream_of_the_users")),
    Mutant(8, "not connected", "os_linux.c", " || peer.pid == 0", "", (PURE, "-k", "unconnected")),
    Mutant(9, "the bounding set stays", "os_linux.c", "        drop_bounding_set();", "        (void)drop_bounding_set;", (PRIVILEGE,)),
    Mutant(9, "all capabilities stay", "os_linux.c", "caps_keep(power ? BIND_ONLY : 0)", "caps_keep(power ? had[0].permitted : 0)", (PRIVILEGE,)),
    Mutant(9, "no_new_privs is not set", "os_linux.c", "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !is", "!is", (CONTRACT, "-k", "granted_port")),
    Mutant(9, "standard input before the drop", "main.c", "    const int power = os_drop();\n", "    (void)stream_is_of(0, 0);\n    const int power = os_drop();\n", (PRIVILEGE,)),
    Mutant(9, "more file capabilities than one", "os_linux.c", "had[0].permitted != BIND_ONLY || had[1].permitted != 0", "0", (HOSTILE, "-k", "file_capability")),
    Mutant(9, "file capabilities of the second word", "os_linux.c", " || had[1].permitted != 0", "", (HOSTILE, "-k", "file_capability")),
    Mutant(9, "the capability stays after the bind", "os_linux.c", "    return caps_keep(0);", "    return 0;", (PRIVILEGE,)),
    Mutant(10, "setresuid is believed", "os_linux.c", "if (getresuid(&r, &e, &s) != 0 || r != uid || e != uid || s != uid)", "if (getresuid(&r, &e, &s) != 0)", (FAULTS, "-k", "not_happen")),
    Mutant(10, "root is not tried to be had back", "os_linux.c", "if (uid != 0 && (setuid(0) == 0 || geteuid() != uid))", "if (0)", (FAULTS, "-k", "not_happen")),
    Mutant(10, "capset is believed", "os_linux.c", "return memcmp(now, wanted, sizeof now) == 0 ? 0 : -1;", "return 0;", (FAULTS, "-k", "not_happen")),
    Mutant(11, "dumpable again", "os_linux.c", "    return power;\n", "    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);\n    return power;\n", (PRIVILEGE, "-k", "reach_into")),
    Mutant(12, "the port may be shared", "sockets.c", "SO_REUSEADDR, &on, sizeof on) != 0)", "SO_REUSEADDR, &on, sizeof on) != 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)", (CONTRACT, "-k", "granted_port")),
    Mutant(12, "both families", "sockets.c", "if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)", "if (0)", (CONTRACT, "-k", "wildcard")),
    Mutant(12, "a mapped address", "request.c", " && memcmp(out->bytes, mapped, sizeof mapped) != 0 ? 0 : -1;", " && mapped[0] == 0 ? 0 : -1;", (CONTRACT, "-k", "canonical_form")),
    Mutant(12, "it does not listen", "sockets.c", " || listen(fd, BACKLOG) != 0", "", (CONTRACT, "-k", "granted_port")),
    Mutant(12, "the listener is not proven", "sockets.c", "return is_named(fd, &name, size) && option_is(fd, os_listen_level, os_listen_option, 1) ? GRANTED : SYSTEM;", "return GRANTED;", (FAULTS, "-k", "retval")),
    Mutant(14, "a link for a policy", "policyfile.c", 'return openat(folder, "ports", flags | O_NOFOLLOW);', 'return openat(folder, "ports", flags);', (CONTRACT, "-k", "regular_own")),
    Mutant(14, "a link for the folder", "policyfile.c", "flags | O_DIRECTORY | os_nofollow", "flags | O_DIRECTORY", (CONTRACT, "-k", "folder_that_is_a_link")),
    Mutant(14, "anybody's policy", "policyfile.c", "seen->st_uid == 0 && ", "", (CONTRACT, "-k", "regular_own")),
    Mutant(14, "a policy that others write", "policyfile.c", "(S_IWGRP | S_IWOTH)", "S_IWOTH", (CONTRACT, "-k", "others_may_write")),
    Mutant(14, "a policy that all write", "policyfile.c", "(S_IWGRP | S_IWOTH)", "S_IWGRP", (CONTRACT, "-k", "others_may_write")),
    Mutant(14, "a second name", "policyfile.c", "seen.st_nlink != 1 || ", "", (CONTRACT, "-k", "regular_own")),
    Mutant(14, "a policy that grows", "policyfile.c", " || read(fd, &beyond, 1) != 0", " || (beyond = 0)", (HOSTILE, "-k", "changes_while")),
    Mutant(14, "a policy that shrinks", "policyfile.c", "    if (read(fd, text, (size_t)seen.st_size) != seen.st_size ||", "    seen.st_size = read(fd, text, (size_t)seen.st_size);\n    if (seen.st_size < 0 ||", (HOSTILE, "-k", "changes_while")),
    Mutant(14, "lines that are no lines are skipped", "policy.c", "            return BAD_POLICY;\n        if (is_repeated", "            return verdict;\n        if (is_repeated", (PURE, "-k", "cut_short")),
    Mutant(14, "a line twice", "policy.c", "if (is_repeated(text, start, cursor.at))", "if (0 && is_repeated(text, start, cursor.at))", (CONTRACT, "-k", "one_bad_byte")),
    Mutant(14, "another address", "policy.c", " &&\n           memcmp(line->address.bytes, request->address.bytes, sizeof line->address.bytes) == 0;", ";", (CONTRACT, "-k", "exact_line")),
    Mutant(14, "another port", "policy.c", "line->port == request->port && ", "", (CONTRACT, "-k", "exact_line")),
    Mutant(14, "another user", "policy.c", "line->uid == uid && ", "", (CONTRACT, "-k", "another_user")),
    Mutant(15, "no filter", "os_linux.c", "return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);", "return filter.len == 0;", (PRIVILEGE,)),
    Mutant(15, "what is not allowed only fails", "os_linux.c", "        ALLOW(SYS_rt_sigreturn),\n        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),", "        ALLOW(SYS_rt_sigreturn),\n        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),", (PRIVILEGE,)),
    Mutant(15, "any architecture", "os_linux.c", "BPF_K, ARCH, 1, 0)", "BPF_K, ARCH, 1, 1)", (PRIVILEGE, "-k", "architecture")),
    # The receiving side, and setup: Python.
    Mutant(3, "any socket will do", "locald/shim.py", "    if not _is_the_one(listener, port, address, family):", "    if False:", (BIND, "-k", "misbehaves")),
    Mutant(3, "any byte will do", "locald/shim.py", "if data != bytes([PROTOCOL]) or listener is None:", "if listener is None:", (BIND, "-k", "misbehaves")),
    Mutant(4, "the cause is not looked for", "locald/refusal.py", "            return no_privilege(_cause())", '            return no_privilege("unknown")', (BIND, "-k", "is_named")),
    Mutant(16, "a folder that others may write", "locald/setup/files.py", "        if seen.st_mode & 0o022:", "        if False:", (SETUP, "-k", "others_may_write")),
    Mutant(16, "a folder that is not root's", "locald/setup/files.py", "        if seen.st_uid != 0:\n            raise", "        if False:\n            raise", (SETUP, "-k", "others_may_write")),
    Mutant(16, "a folder that is a link", "locald/setup/files.py", "        if not stat.S_ISDIR(seen.st_mode):", "        if False:", (SETUP, "-k", "is_a_link")),
    Mutant(16, "whoever owns the temporary name", "locald/setup/files.py", "os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW", "os.O_CREAT | os.O_NOFOLLOW", (ATTACKED, "-k", "does_not_go")),
    Mutant(16, "the mode before the owner", "locald/setup/files.py", "        os.fchown(fd, 0, 0)\n        os.fchmod(fd, mode)\n", "        os.fchmod(fd, mode)\n        os.fchown(fd, 0, 0)\n", (ATTACKED, "-k", "order")),
    Mutant(16, "the folder's group", "locald/setup/files.py", "        os.fchown(fd, 0, 0)\n", "", (ATTACKED, "-k", "its_group_on")),
    Mutant(16, "renamed before it is on disk", "locald/setup/files.py", "        os.fsync(fd)\n", "", (ATTACKED, "-k", "order")),
    Mutant(16, "the umask decides", "locald/setup/files.py", "        os.fchmod(fd, mode)\n", "", (SETUP, "-k", "umask")),
    Mutant(16, "written in place", "locald/setup/files.py", "_write(new, data, mode, capability, directory)", "_unlink(name, directory), _write(new, data, mode, capability, directory)", (ATTACKED, "-k", "killed_before_any_change and older")),
    Mutant(16, "the old one keeps its power", "locald/setup/files.py", "        yield\n        if armed:\n            os.fchmod(fd, ROOT_ALONE)", "        yield", (ATTACKED, "-k", "holds_the_old")),
    Mutant(16, "a second name keeps its power until the first goes", "locald/setup/files.py", "        if armed and seen.st_nlink > 1:", "        if False:", (ATTACKED, "-k", "second_name")),
    Mutant(16, "not the program on record", "locald/setup/source.py", "    if recorded is not None and recorded != digest:", "    if False:", (SETUP, "-k", "on_record")),
    # The helper for macOS, over a fake of XNU.
    Mutant(4, "root is served on macOS", "os_darwin.c", "const int power = uid != 0 && geteuid() == 0;", "const int power = geteuid() == 0;", (DARWIN, "-k", "without_power")),
    Mutant(4, "a group stays without power", "os_darwin.c", "setregid(gid, gid) == 0", "setgid(gid) == 0", (DARWIN, "-k", "without_power")),
    Mutant(4, "an id stays without power", "os_darwin.c", "setreuid(uid, uid) == 0", "setuid(uid) == 0", (DARWIN, "-k", "without_power")),
    Mutant(10, "seteuid is believed", "os_darwin.c", " || geteuid() != uid || getegid() != gid)\n        return -1;\n    if (power)", ")\n        return -1;\n    if (power)", (DARWIN, "-k", "lie")),
    Mutant(10, "setuid is believed", "os_darwin.c", "    if (getuid() != uid || geteuid() != uid || getgid() != gid || getegid() != gid)\n        return -1;\n    return seteuid(0) == 0 ? -1 : 0;", "    return 0;", (DARWIN, "-k", "did_not_happen")),
    Mutant(10, "the saved id is not proven gone", "os_darwin.c", "return seteuid(0) == 0 ? -1 : 0;", "return 0;", (DARWIN, "-k", "saved_id_that_stays")),
    Mutant(12, "a socket of root's on macOS", "sockets.c", "    const int fd = socket(family, SOCK_STREAM, 0);", "    (void)!seteuid(0);\n    const int fd = socket(family, SOCK_STREAM, 0);\n    (void)!seteuid(getuid());", (DARWIN, "-k", "order")),
    Mutant(12, "the listener is not proven on macOS", "sockets.c", " && option_is(fd, os_listen_level, os_listen_option, 1)", "", (DARWIN, "-k", "lie")),
    Mutant(13, "root is not set aside", "os_darwin.c", "seteuid(uid) != 0 || geteuid() != uid || ", "", (DARWIN, "-k", "order")),
    Mutant(13, "root is not taken up for the bind", "os_darwin.c", "    if (seteuid(0) != 0)\n        return -1;\n", "", (DARWIN, "-k", "order")),
    Mutant(13, "root stays for what follows the bind", "os_darwin.c", "gone = os_renounce() == 0", "gone = 1", (DARWIN, "-k", "order")),
    Mutant(13, "root is set aside, not given up", "os_darwin.c", "setuid(uid) != 0)))", "seteuid(uid) != 0)))", (DARWIN, "-k", "order")),
    Mutant(13, "the user goes before the group", "os_darwin.c", "(setgid(gid) != 0 || setuid(uid) != 0)", "(setuid(uid) != 0 || setgid(gid) != 0)", (DARWIN, "-k", "group_that_the_file_gave")),
    Mutant(13, "the group of the file stays", "os_darwin.c", "if (setegid(gid) != 0 || seteuid", "if (seteuid", (DARWIN, "-k", "group_that_the_file_gave")),
    Mutant(13, "why bind failed is forgotten", "os_darwin.c", "    errno = gone ? why : EIO;", "    (void)why;", (DARWIN, "-k", "why_bind_failed")),
    Mutant(13, "a drop that failed is a lack of privilege", "os_darwin.c", "    errno = gone ? why : EIO;", "    errno = gone ? why : errno;", (DARWIN, "-k", "given_up")),
    Mutant(13, "it leaves before the answer", "main.c", "return read(STDIN_FILENO, &byte, 1) == 1 && byte == PROTOCOL ? GRANTED : PEER_GONE;", "return GRANTED;", (DARWIN, "-k", "order")),
    Mutant(14, "a link above the folder", "os_darwin.c", "O_NOFOLLOW_ANY", "O_NOFOLLOW", (DARWIN, "-k", "below_a_link")),
    Mutant(13, "what comes stays open over an exec", "../fdpass.c", "MSG_CMSG_CLOEXEC == 0 && i < count", "0 && i < count", (FDPASS, "-k", "close_on_exec")),
    Mutant(13, "what came before a failure stays open", "../fdpass.c", "return refuse(came, count, errno);", "return -1;", (FDPASS, "-k", "closes_all")),
]  # fmt: skip


def main(word: str) -> int:
    chosen = [mutant for mutant in MUTANTS if word in f"{mutant.rule} {mutant.what}"]
    survivors = [mutant for mutant in chosen if survives(mutant)]
    print(f"\n{len(chosen)} mutants, {len(survivors)} survived")
    return 1 if survivors else 0


def place_of(mutant: Mutant) -> Path:
    """Where the file is in a copy of the sources: names without a folder are the helper's."""
    return (
        Path(mutant.file) if mutant.file.startswith("locald/") else Path(os.path.normpath(f"csrc/shim/{mutant.file}"))
    )


def survives(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in ("csrc", "locald"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / place_of(mutant)
        text = file.read_text()
        assert text.count(mutant.old) == 1, f"{mutant.file} does not have once: {mutant.old}"
        file.write_text(text.replace(mutant.old, mutant.new))
        copy.chmod(0o755)
        environ = {**os.environ, "LOCALD_TEST_SOURCE": name}
        if mutant.file.startswith("locald/"):
            environ["PYTHONPATH"] = name
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", "-q", "-x", *mutant.tests], cwd=ROOT, capture_output=True, text=True,
            env=environ, check=False,
        )  # fmt: skip
    # 1 is a test that failed, and a negative code a crash; anything else is no verdict, nor is C that does not compile.
    assert done.returncode in (0, 1) or done.returncode < 0, done.stdout
    assert not re.search(r"\.[ch]:\d+:\d+: error: ", done.stdout), done.stdout
    failed = next(
        (line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), f"exit {done.returncode}"
    )
    print(f"rule {mutant.rule:2}  {mutant.what:42}  {'SURVIVED' if done.returncode == 0 else failed[:110]}", flush=True)
    return done.returncode == 0


def rules() -> str:
    """The rules, how each was broken, and the tests that noticed."""
    lines = [
        "# The rules of the helper, and what shows that they hold\n",
        "Written by `python tests/mutants.py --rules`, from the list that `make mutants` runs: each row is a way in which",
        "a rule was broken, and the tests that then failed.\n",
    ]
    for number, rule in RULES.items():
        lines += [f"## {number}. {rule[0].upper()}{rule[1:]}\n", "| broken by | in | noticed by |", "|---|---|---|"]
        for mutant in MUTANTS:
            if mutant.rule == number:
                tests = f"`{mutant.tests[0]}`" + (f", {' '.join(mutant.tests[2:])}" if mutant.tests[1:] else "")
                lines.append(f"| {mutant.what} | `{place_of(mutant)}` | {tests} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["--rules"]:
        print(rules(), end="")
    else:
        sys.exit(main(" ".join(sys.argv[1:])))
