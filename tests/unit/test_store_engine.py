"""How the database is reached: without TLS on the same machine alone."""

import pytest
from sqlalchemy.engine import make_url

from clients.store.engine import connect_args


@pytest.mark.parametrize(
    ("place", "plain"),
    [
        ("127.0.0.1:3306/bronco", True),
        ("localhost/bronco", True),
        ("[::1]/bronco", True),
        ("db/bronco", False),
        ("10.0.0.7/bronco", False),
        ("127.0.0.1.example.com/bronco", False),
        ("127.0.0.1/bronco?ssl_ca=/etc/ca.pem", False),
    ],
)
def test_connection__to_another_machine_or_asked_for__is_offered_tls(
    place: str, plain: bool
) -> None:
    given = connect_args(make_url(f"mysql+pymysql://bronco:x@{place}"))
    assert given.get("ssl_disabled", False) is plain
