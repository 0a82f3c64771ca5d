"""A page asks the database as often for an organisation that has much as for one that has little."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.rules.holdings import one_of_everything
from tests.rules.test_access import OF_ORGANISATIONS, _ask, _url, parts

__all__ = ["parts"]
MORE = 12


def _counts(admin, parts):
    counts = {}
    for address in OF_ORGANISATIONS:
        url = _url(address, parts)
        _ask(admin.client, "GET", url)
        with CaptureQueriesContext(connection) as queries:
            answer = _ask(admin.client, "GET", url)
        if answer.status_code == 200:
            answer.getvalue()
            counts[address.name] = [query["sql"] for query in queries]
    return counts


def test_the_number_of_queries_does_not_grow_with_what_there_is(admin, editor, parts):
    few = _counts(admin, parts)
    for number in range(MORE):
        one_of_everything(admin, editor, mark=f"More{number}")
    many = _counts(admin, parts)
    assert len(few) > 50
    grown = {name: (len(few[name]), len(many[name])) for name in few if len(many[name]) > len(few[name])}
    assert grown == {}
