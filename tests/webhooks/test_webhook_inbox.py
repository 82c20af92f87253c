"""The inbox: every signed delivery is kept and leads to notices in one order, or to a dead letter with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from webhook_bodies import CONNECTION, REALM, body_of, cloud_event, legacy

from books import money
from books.inbox import Inbox, News
from books.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.store.tables_webhooks import webhook_dead_letter, webhook_delivery, webhook_notice

OTHER = "9341453000000002"


def rows(store: Store, table: Any) -> list[dict[str, Any]]:
    with store.read() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def notices(store: Store) -> list[tuple[str, str, str, str]]:
    with store.read() as connection:
        columns = webhook_notice.c
        query = select(columns.connection, columns.entity, columns.entity_id, columns.operation).order_by(columns.seq)
        return [tuple(row) for row in connection.execute(query)]


@pytest.fixture
def take_in(inbox: Inbox, dialect: QuickBooksWebhooks):
    """Keep and split deliveries."""

    def take(*bodies: bytes, realms: tuple[str, ...] = (REALM,)):
        inbox.receive("quickbooks", bodies)
        return inbox.split(dialect, "sandbox", realms)

    return take


def test_one_delivery_over_several_companies(take_in, store):
    """An array of CloudEvents of several realms becomes notices of each company, in its order."""
    take_in(
        body_of(
            cloud_event("190"),
            cloud_event("7", "qbo.invoice.voided.v1", intuitaccountid=OTHER),
            cloud_event("12", "qbo.CreditMemo.updated.v1"),
        ),
        realms=(REALM, OTHER),
    )
    assert notices(store) == [
        (CONNECTION, "payment", "190", "created"),
        (f"sandbox:{OTHER}", "invoice", "7", "voided"),
        (CONNECTION, "creditmemo", "12", "updated"),
    ]


VERBS = [
    ("void", "voided"),
    ("voided", "voided"),
    ("Void", "voided"),
    ("delete", "deleted"),
    ("deleted", "deleted"),
    ("emailed", "emailed"),
    ("merged", "merged"),
    ("reopened", "reopened"),
]


def test_verbs_in_either_spelling(take_in, store):
    """`void` and `voided` are one operation; a verb that nobody knows yet is a notice too."""
    take_in(*(body_of(cloud_event("5", f"qbo.payment.{told}.v1")) for told, _ in VERBS))
    assert [row[3] for row in notices(store)] == [meant for _, meant in VERBS]


def test_the_legacy_shape_is_read(take_in, store):
    """`eventNotifications` is understood; a merge tells of both objects."""
    entity = {"name": "Payment", "id": "190", "operation": "Void", "lastUpdated": "2026-11-02T08:00:00.000Z"}
    merged = {"name": "Customer", "id": "1", "operation": "Merge", "deletedId": "2"}
    take_in(money.dumps(legacy(entity, merged)).encode())
    assert notices(store) == [
        (CONNECTION, "payment", "190", "voided"),
        (CONNECTION, "customer", "1", "merged"),
        (CONNECTION, "customer", "2", "merged"),
    ]


DEAD = [
    (b"", "not JSON"),
    (b"\xff\xfe\x00", "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b'"text"', "neither"),
    (b"{}", "neither"),
    (b'{"eventNotifications": [7]}', "no dataChangeEvent"),
    (b'{"eventNotifications": [{"dataChangeEvent": {"entities": [null]}}]}', "not an object"),
    (body_of(7), "not an object"),
    (body_of(cloud_event(type="com.example.thing")), "qbo.<entity>.<operation>"),
    (body_of(cloud_event(intuitaccountid="")), "no company"),
    (body_of(cloud_event(intuitaccountid="1' OR '1'='1")), "no company"),
    (body_of(cloud_event("")), "no object"),
    (body_of(cloud_event("../../190")), "no object"),
    (b'[{"type": NaN}]', "not JSON"),
    (b'[{"type": 7, "\\ud800": "\\u0000"}]', "qbo.<entity>.<operation>"),
    (body_of(cloud_event(intuitaccountid="111")), "company 111 is not connected here"),
]


def test_what_no_notice_can_be_made_of_is_a_dead_letter(take_in, store):
    """Unparseable bodies, odd events and unknown companies are kept with the reason, and stop nothing."""
    done = take_in(*(body for body, _ in DEAD), body_of(cloud_event("190")))
    assert (done.deliveries, done.notices, done.dead_letters) == (len(DEAD) + 1, 1, len(DEAD))
    for letter, (_, reason) in zip(rows(store, webhook_dead_letter), DEAD, strict=True):
        assert reason in letter["reason"]
    assert notices(store) == [(CONNECTION, "payment", "190", "created")]


def test_a_faulty_event_does_not_take_its_neighbours_with_it(take_in, store):
    """Of an array with one bad event the others become notices."""
    take_in(body_of(cloud_event("1"), None, cloud_event("2")))
    assert [row[2] for row in notices(store)] == ["1", "2"]
    assert [row["place"] for row in rows(store, webhook_dead_letter)] == [1]


def test_the_same_delivery_again_is_counted_and_not_doubled(take_in, store):
    """A repeated delivery, and the same event inside another delivery, add no notice."""
    event = cloud_event("190")
    take_in(body_of(event))
    take_in(body_of(event), body_of(event, cloud_event("191")))
    assert [row[2] for row in notices(store)] == ["190", "191"]
    assert sorted(row["repeats"] for row in rows(store, webhook_delivery)) == [0, 1]


def test_events_without_id_and_time_are_not_taken_for_one(take_in, store):
    """Two deliveries that name neither are two hints: a hint too many costs a read, one too few a payment."""
    bare = {"name": "Payment", "id": "190", "operation": "Update"}
    take_in(money.dumps(legacy(bare)).encode(), money.dumps(legacy(bare, realm=OTHER)).encode(), realms=(REALM, OTHER))
    take_in(money.dumps(legacy(bare)).encode() + b" ")
    assert [row[0] for row in notices(store)] == [CONNECTION, f"sandbox:{OTHER}", CONNECTION]


def test_a_company_that_is_connected_later_gets_its_letters(take_in, inbox, dialect, store):
    """A dead letter for an unknown company becomes a notice once the company is known and it is revived."""
    take_in(body_of(cloud_event("190", intuitaccountid=OTHER)))
    assert notices(store) == []
    assert inbox.revive() == 1
    inbox.split(dialect, "sandbox", (OTHER,))
    assert notices(store) == [(f"sandbox:{OTHER}", "payment", "190", "created")]
    assert rows(store, webhook_dead_letter) == []


def test_news_is_what_came_after_an_offset(take_in, inbox):
    """Many notices of one object are one object to read; the offset moves on; nothing new is nothing to read."""
    take_in(body_of(cloud_event("190"), cloud_event("190", "qbo.payment.updated.v1"), cloud_event("191")))
    first = inbox.news(CONNECTION, "payment", 0)
    assert sorted(first.changed_at) == ["190", "191"]
    assert inbox.news(CONNECTION, "payment", first.seq).changed_at == {}
    take_in(body_of(cloud_event("192")))
    assert list(inbox.news(CONNECTION, "payment", first.seq).changed_at) == ["192"]
    assert inbox.news(f"sandbox:{OTHER}", "payment", 0).changed_at == {}


def test_an_offset_of_a_lost_store_counts_as_none(take_in, inbox):
    """After a store was lost its numbers begin anew: an offset beyond them does not hide what comes."""
    take_in(body_of(cloud_event("190")))
    assert list(inbox.news(CONNECTION, "payment", 1_000_000).changed_at) == ["190"]


def test_out_of_order_notices_leave_the_newest_time(take_in, inbox):
    """Whichever way round they come, an object is to be shown in its newest noticed state."""
    late, early = "2026-11-02T08:59:30Z", "2026-11-02T08:00:00Z"
    take_in(body_of(cloud_event("190", time=late)), body_of(cloud_event("190", time=early)))
    news = inbox.news(CONNECTION, "payment", 0)
    assert news.changed_at["190"].isoformat() == "2026-11-02T08:59:30+00:00"


def test_what_a_read_has_shown_needs_no_read_of_its_own(take_in, inbox, clock):
    """An object shown in the noticed state is done; an older state, or none, is to be read. A deletion is final."""
    take_in(*(body_of(cloud_event(key, time=clock.now().isoformat())) for key in ("1", "2", "3", "4")))
    news = inbox.news(CONNECTION, "payment", 0)
    shown = {"1": clock.now(), "2": clock.now().subtract(minutes=5), "3": None}
    assert news.not_shown_by(shown) == ["2", "4"]
    assert News({}, 0).not_shown_by(shown) == []


def test_replay_appends_to_the_log(take_in, inbox):
    """Replayed notices come again after every offset, one for each object."""
    take_in(body_of(cloud_event("190"), cloud_event("190", "qbo.payment.voided.v1"), cloud_event("191")))
    offset = inbox.news(CONNECTION, "payment", 0).seq
    assert inbox.replay(webhook_notice.c.entity_id == "190") == 1
    assert list(inbox.news(CONNECTION, "payment", offset).changed_at) == ["190"]


def test_the_backlog_is_what_waits(take_in, inbox, clock):
    """Deliveries not split and notices not handed on count, with the age of the oldest; read, they no longer do."""
    inbox.receive("quickbooks", [body_of(cloud_event("190"))])
    clock.advance(30)
    assert (inbox.backlog(["payment"]).unsplit, inbox.backlog(["payment"]).oldest_seconds) == (1, 30)
    take_in()
    clock.advance(30)
    backlog = inbox.backlog(["payment"])
    assert (backlog.unsplit, backlog.unread, backlog.oldest_seconds) == (0, 1, 30)
    assert inbox.has_unread({"payment": ()})
    assert not inbox.has_unread({"payment": ("created",)})
    inbox.handed_on(CONNECTION, "payment", inbox.news(CONNECTION, "payment", 0).seq)
    assert inbox.backlog(["payment"]).unread == 0
    assert not inbox.has_unread({"payment": ()})


def test_what_is_old_is_forgotten(take_in, inbox, clock, store):
    """After 90 days deliveries, notices and letters are gone; what is younger, or not split yet, stays."""
    take_in(body_of(cloud_event("190")), b"rubbish")
    inbox.receive("quickbooks", [body_of(cloud_event("191"))])
    clock.advance(91 * 86_400)
    take_in_later = body_of(cloud_event("192"))
    inbox.receive("quickbooks", [take_in_later])
    assert inbox.prune() == 2
    assert notices(store) == []
    assert rows(store, webhook_dead_letter) == []
    assert len(rows(store, webhook_delivery)) == 2


class TestMissed:
    """What webhooks missed is counted as such."""

    def test_nobody_misses_what_nobody_listens_for(self, inbox, clock):
        """Without a receiver no change counts as missed."""
        assert inbox.found_by_reading(CONNECTION, "payment", {"1": clock.now()}) == 0

    def test_a_change_without_a_notice_counts_after_an_hour(self, inbox, take_in, clock):
        """A notice may be late; after an hour without one, the change was missed, once."""
        inbox.listening("quickbooks")
        clock.advance(60)
        changed = {"1": clock.now(), "2": clock.now(), "3": None}
        assert inbox.found_by_reading(CONNECTION, "payment", changed) == 2
        assert inbox.found_by_reading(CONNECTION, "payment", changed) == 0
        assert inbox.missed() == []
        take_in(body_of(cloud_event("2", time=clock.now().isoformat())))
        clock.advance(3700)
        assert [row["entity_id"] for row in inbox.missed()] == ["1"]

    def test_a_notice_that_came_first_is_no_miss(self, inbox, take_in, clock):
        """A change that was noticed before it was read does not count, nor one from before the receiver."""
        before = clock.now()
        clock.advance(10)
        inbox.listening("quickbooks")
        take_in(body_of(cloud_event("1", time=clock.now().isoformat())))
        assert inbox.found_by_reading(CONNECTION, "payment", {"1": clock.now(), "2": before}) == 0

    def test_a_receiver_that_was_given_up_misses_nothing(self, inbox, clock):
        """Seven days after its last sign of life a receiver is no longer expected to tell of anything."""
        inbox.listening("quickbooks")
        clock.advance(8 * 86_400)
        assert inbox.found_by_reading(CONNECTION, "payment", {"1": clock.now()}) == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(
        st.dictionaries(
            st.sampled_from(["type", "intuitaccountid", "intuitentityid", "id", "time", "eventNotifications"]),
            st.one_of(
                st.text(max_size=12),
                st.integers(),
                st.none(),
                st.sampled_from(["qbo.payment.created.v1", REALM, "190", "2026-11-02T08:59:30Z"]),
            ),
        ),
        max_size=3,
    ),
    junk=st.binary(max_size=40),
)
def test_no_body_is_an_error(events, junk, inbox, dialect):
    """Whatever was signed is kept and split without an exception, on either database."""
    inbox.receive("quickbooks", [money.dumps(events).encode(), junk])
    inbox.split(dialect, "sandbox", (REALM,))
    assert inbox.backlog([]).unsplit == 0
