"""make coverage: which branches of the privileged C the tests take, and that each untaken one has its reason.

    python tests/coverage.py      in the namespace of tests/namespace.py; needs clang and llvm

The helper leaves by _exit(2), by a signal or by seccomp, so its counters are mapped to a file while it runs ("continuous
mode" of LLVM's source-based coverage).  The tests are run for what they reach, and not judged here: an instrumented
helper opens a file of its own, which some of them rightly refuse.

tests/unreached.txt has a line for each branch that is not taken: file, condition, side, reason.  A branch that is missing
there is an error, and so is a line whose branch was taken after all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = Path("/etc/locald-coverage")  # in memory here
UNREACHED = ROOT / "tests/unreached.txt"
JUDGED = [*sorted((ROOT / "csrc/shim").glob("*.c")), ROOT / "csrc/fdpass.c"]
TESTS = (
    "tests/shim",
    "tests/test_fdpass.py",
    *(f"tests/root/test_{name}.py" for name in ("shim_contract", "bind", "privilege", "faults", "hostile")),
)
CC = f"clang -fprofile-instr-generate={OUT}/%p-%m%c.profraw -fcoverage-mapping -mllvm -runtime-counter-relocation"
LLVM = next(
    (
        f"-{version}"
        for version in ("14", "15", "16", "17", "18", "19")
        if Path(f"/usr/bin/llvm-cov-{version}").exists()
    ),
    "",
)

Branch = tuple[str, str, str]  # file, condition, side


def main() -> int:
    OUT.mkdir()
    OUT.chmod(0o1777)  # a helper with a file capability writes as its user
    cover_extension()
    command = [sys.executable, "-P", "-m", "pytest", "-q", f"--basetemp={OUT}/tmp", *TESTS]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"CC": CC, "LOCALD_COVERAGE": str(OUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (OUT / "pytest.txt").write_text(done.stdout + done.stderr)
    print("instrumented:", done.stdout.splitlines()[-1])
    taken = measure()
    missed = [branch for branch, count in taken.items() if count == 0]
    print(f"{len(taken) - len(missed)} of {len(taken)} branches taken ({100 - 100 * len(missed) / len(taken):.1f} %)")
    return judge(missed)


def cover_extension() -> None:
    """Lay an instrumented extension over the one of this checkout, in this namespace."""
    environ = os.environ | {"CC": CC, "LDSHARED": f"{CC} -shared"}
    build = [
        sys.executable,
        "setup.py",
        "-q",
        "build_ext",
        "--force",
        f"--build-lib={OUT}/lib",
        f"--build-temp={OUT}/o",
    ]
    subprocess.run(build, cwd=ROOT, env=environ, check=True, stderr=subprocess.DEVNULL)
    name = f"locald/fdpass{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(["mount", "--bind", OUT / "lib" / name, ROOT / name], check=True)


def measure() -> Counter[Branch]:
    """How often each side of each condition was taken, over all that was compiled and run."""
    profiles = OUT / "profiles"
    profiles.write_text("".join(f"{path}\n" for path in OUT.glob("*.profraw") if path.stat().st_size))
    merged = OUT / "merged.profdata"
    merge = [f"llvm-profdata{LLVM}", "merge", "--failure-mode=all", "-o", merged, f"--input-files={profiles}"]
    subprocess.run(merge, check=True, stderr=subprocess.DEVNULL)
    objects = [path for path in OUT.rglob("*") if path.is_file() and is_instrumented(path)]
    words = [str(objects[0]), *(f"--object={path}" for path in objects[1:])]
    export = [f"llvm-cov{LLVM}", "export", *words, f"--instr-profile={merged}", *map(str, JUDGED)]
    found = json.loads(subprocess.run(export, check=True, capture_output=True, text=True).stdout)
    counts: Counter[Branch] = Counter()
    for file in found["data"][0]["files"]:
        path = Path(file["filename"])
        lines = path.read_text().splitlines()
        for first, start, last, end, true, false, *_ in file["branches"]:
            text = " ".join(" ".join(lines[first - 1 : last])[start - 1 : end - 1 if first == last else None].split())
            for side, count in (("true", true), ("false", false)):
                counts[(str(path.relative_to(ROOT)), text, side)] += count
    return counts


def is_instrumented(path: Path) -> bool:
    data = path.read_bytes()
    return data[:4] == b"\x7fELF" and b"__llvm_covmap" in data and path.suffix != ".o"


def judge(missed: list[Branch]) -> int:
    reasons = {}
    for line in UNREACHED.read_text().splitlines():
        if line and not line.startswith("#"):
            file, condition, side, reason = line.split("  ")
            reasons[file, condition, side] = reason
    for branch in missed:
        print("not taken:  " + "  ".join(branch) + "  " + reasons.get(branch, "NO REASON"))
    stale = [branch for branch in reasons if branch not in missed]
    for branch in stale:
        print("taken after all: " + "  ".join(branch))
    return 1 if stale or set(missed) - set(reasons) else 0


if __name__ == "__main__":
    sys.exit(main())
