"""authority.py HOME: the certificate authority that setup would have made for the user whose home this is, as that user."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests/lib"))

from authorities import make_authority

from locald.paths import find

make_authority(Path(find({"HOME": sys.argv[1]}).authority))
