"""Properties that are tried in the same way at each run, on whatever machine: the same examples, and no clock.

@steady
@given(...)
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

steady = settings(derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
