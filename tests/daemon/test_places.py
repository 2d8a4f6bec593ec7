"""Where services listen: a place of their own, the same at each start, unless somebody else is there."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from locald.daemon.places import SUN_PATH_MAX, Places
from locald.errors import LocaldError
from locald.project.model import Service

AUTO, UNIX, WORKER = Service("x"), Service("x", port=None, socket=True), Service("x", port=None)


def test_a_place_stays_as_long_as_it_is_what_the_service_wants(tmp_path: Path) -> None:
    places = Places(tmp_path / "s")
    port = places.of("shop/web", AUTO).port
    assert port is not None
    assert places.of("shop/web", AUTO).port == places.ready("shop/web", AUTO).port == port
    assert places.of("shop/web", Service("x", port=4000)).port == 4000
    assert places.of("shop/web", WORKER) == places.of("shop/other", WORKER)
    assert places.of("shop/web", UNIX).socket == str(tmp_path / "s/shop.web.sock")
    assert len({places.of(f"shop/{n}", AUTO).port for n in range(200)}) == 200


def test_a_port_that_was_taken_meanwhile_is_given_up_or_told(tmp_path: Path) -> None:
    places = Places(tmp_path)
    port = places.of("shop/web", AUTO).port
    with socket.create_server(("127.0.0.1", port or 0)):
        assert places.ready("shop/web", AUTO).port not in (None, port)
        with pytest.raises(LocaldError, match=f"port {port} is taken"):
            places.ready("shop/api", Service("x", port=port))
    assert places.ready("shop/api", Service("x", port=port)).port == port


def test_a_socket_of_before_makes_way_and_nobody_else_gets_to_it(tmp_path: Path) -> None:
    places = Places(tmp_path / "s")
    for _ in range(2):
        spot = places.ready("shop/web", UNIX)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(spot.socket)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    places.forget("shop/web")
    assert not Path(spot.socket).exists()
    deep = tmp_path / ("x" * 60)
    long = Places(deep).of("a-project/with-a-long-name", UNIX).socket
    assert long.startswith(str(deep))
    assert len(long) < len(str(deep)) + 25 < SUN_PATH_MAX + 60
