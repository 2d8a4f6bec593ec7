#!/bin/sh
# suite.sh
# An installed wheel, tried where it will run: the helper that it ships, its extensions, and the tests that need neither
# root nor the checkout.  cibuildwheel calls it, in a folder that has the test-sources only.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python - "$root" <<'EOF'
import importlib.metadata, os, pathlib, subprocess, sys, sysconfig

import locald
from locald import fdpass
from locald.proxy import features
from locald.setup import source

here, root = pathlib.Path(locald.__file__), pathlib.Path(sys.argv[1])
assert root not in here.parents, f"{here} is the checkout, and not the wheel"
shim = source.find()
assert shim == pathlib.Path(sysconfig.get_path("scripts"), "locald-shim"), shim
source.read(shim)  # a program of this system, and the one that the installer recorded
said = subprocess.run([shim, "version"], capture_output=True, text=True, check=True).stdout
assert said == f"locald-shim {locald.__version__} protocol 1\n", said
# Without privilege, a port below 1024 is refused with a code of its own, and not by a crash.
code = subprocess.run([shim, "bind", "80"], stdin=subprocess.DEVNULL, capture_output=True).returncode
assert code in (65, 68), code
assert features.HTTP2, "a wheel has HTTP/2"
if hasattr(sys, "_is_gil_enabled") and sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert not sys._is_gil_enabled(), "an extension has turned the GIL on"
print(f"{sys.version.split()[0]} {sysconfig.get_platform()}: {said.strip()}, {here.parent}")
EOF
cd "$root"
exec python -P -m pytest -q tests/test_fdpass.py tests/test_names.py tests/proxy/test_http1.py tests/proxy/test_headers.py \
    tests/proxy/test_http2.py tests/proxy/test_http2_conformance.py -k 'not test_the_page_shows_the_rules' # docs are not there
