#!/bin/sh
# bootstrap.sh [UID]
# Prints the path of a Python that can build and run locald: 3.11 or later, with venv and the C headers.  With UID
# (needs root), one which that user can run is preferred; if there is none, any other is printed.
# Checks the compiler too.  What is missing is named on stderr, with the command that installs it; exit code 1 then.
set -u

if command -v apt-get >/dev/null 2>&1; then
    install="sudo apt-get install" compiler="gcc libc6-dev" python="python3" venv="python3-venv" headers="python3-dev"
elif command -v dnf >/dev/null 2>&1; then
    install="sudo dnf install" compiler="gcc glibc-static" python="python3" venv="python3" headers="python3-devel"
elif command -v pacman >/dev/null 2>&1; then
    install="sudo pacman -S" compiler="gcc" python="python" venv="python" headers="python"
elif command -v apk >/dev/null 2>&1; then
    install="sudo apk add" compiler="gcc musl-dev" python="python3" venv="python3" headers="python3-dev"
elif [ "$(uname)" = Darwin ]; then
    install="xcode-select --install; brew install" compiler="" python="python" venv="python" headers="python"
else
    install="install" compiler="a C compiler" python="Python 3.11" venv="its venv module" headers="its C headers"
fi
missing="" why=""
lacks() { # what it is, package
    why="$why
  - $1"
    case " $missing " in *" $2 "*) ;; *) missing="$missing $2" ;; esac
}

# Prints nothing for a good one, else what it lacks.
inspect='
import os, sys, sysconfig
try:
    import venv, ensurepip
    has_venv = bool(ensurepip.version())
except (ImportError, AttributeError):
    has_venv = False  # Debian leaves parts of it in a package of its own
if sys.version_info < (3, 11): print("version")
elif not has_venv: print("venv")
elif not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")): print("headers")
'
# Can another user run it?  Only root can try.
reach='
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(int(sys.argv[1])); os.execv(sys.executable, [sys.executable, "-c", "pass"])
'
good="" best="" faults=""
for name in python3 python python3.15 python3.14 python3.13 python3.12 python3.11 \
    /usr/bin/python3 /usr/local/bin/python3 /opt/homebrew/bin/python3; do
    path=$(command -v "$name" 2>/dev/null) || continue
    path=$("$path" -c 'import sys; print(sys.executable)' 2>/dev/null) || continue
    fault=$("$path" -c "$inspect" 2>/dev/null) || continue
    if [ -n "$fault" ]; then
        faults="$faults $fault" worst="$path"
    elif [ -z "${1:-}" ] || "$path" -c "$reach" "$1" 2>/dev/null; then
        best="$path"
        break
    else
        good="${good:-$path}"
    fi
done
best="${best:-$good}"

[ -n "${CC:-}" ] || command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || lacks "a C compiler (cc)" "$compiler"
if [ -z "$best" ]; then
    case "$faults" in
    *headers*) lacks "the C headers of $worst (Python.h)" "$headers" ;;
    *venv*) lacks "the venv module of $worst" "$venv" && lacks "its C headers (Python.h)" "$headers" ;;
    *) lacks "Python 3.11 or later, with venv and C headers" "$python $venv $headers" ;;
    esac
fi
if [ -n "$why" ]; then
    printf 'This machine lacks:%s\n\nhint: %s%s\n' "$why" "$install" "$missing" >&2
    exit 1
fi
echo "$best"
