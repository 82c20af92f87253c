"""The inbox: every signed delivery is kept and leads to notices in one order, or to a dead letter with its reason."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pendulum
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from webhook_bodies import CONNECTION, REALM, body_of, cloud_event, legacy

from books.core import money
from books.ledgers.notices import Notice, Unreadable
from books.ledgers.quickbooks.webhook import QuickBooksWebhooks
from books.store import Store
from books.store.tables_webhooks import webhook_dead_letter, webhook_delivery, webhook_notice
from books.webhooks.inbox import Inbox, NoticedObjects

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
        inbox.receive(bodies)
        return inbox.split(realms)

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


ENTITY = {"name": "Payment", "id": "190", "operation": "Update"}
IMPOSSIBLE_TO_READ = ("P9999999999Y",)
IMPOSSIBLE_YEARS = (
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
)

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
    (body_of(cloud_event(intuitaccountid="")), "no valid company"),
    (body_of(cloud_event(intuitaccountid="1' OR '1'='1")), "no valid company"),
    (body_of(cloud_event("")), "no valid object"),
    (body_of(cloud_event("../../190")), "no valid object"),
    (b'[{"type": NaN}]', "not JSON"),
    (b'[{"type": 7, "\\ud800": "\\u0000"}]', "qbo.<entity>.<operation>"),
    (body_of(cloud_event(intuitaccountid="111")), "company 111 is not connected here"),
    *((body_of(cloud_event(time=time)), "cannot be read (OverflowError)") for time in IMPOSSIBLE_TO_READ),
    *((body_of(cloud_event(time=time)), "not in the years 2000 to 2199") for time in IMPOSSIBLE_YEARS),
    (money.dumps(legacy(ENTITY | {"lastUpdated": "9999-12-31T23:59:59-12:00"})).encode(), "2000 to 2199"),
    (b'[{"type": 1e99999999999999999999}]', "not JSON"),
    (b'[{"type": ' + b"9" * 5000 + b"}]", "not JSON"),
    (b'[{"type": ' + b"[" * 900 + b"]" * 900 + b"}]", "qbo.<entity>.<operation>"),
    (b'[{"type": "qbo.payment.created.v1", "type": [{}]}]', "qbo.<entity>.<operation>"),
]


def test_what_no_notice_can_be_made_of_is_a_dead_letter(take_in, store):
    """Unparseable bodies, odd events and unknown companies are kept with the reason, and stop nothing."""
    done = take_in(*(body for body, _ in DEAD), body_of(cloud_event("190")))
    assert (done.deliveries, done.notices, done.dead_letters) == (len(DEAD) + 1, 1, len(DEAD))
    for letter, (_, reason) in zip(rows(store, webhook_dead_letter), DEAD, strict=True):
        assert reason in letter["reason"]
    assert notices(store) == [(CONNECTION, "payment", "190", "created")]


def test_what_only_the_store_refuses_is_a_dead_letter_too(inbox, store):
    """A delivery whose notices cannot be written, or whose reading raises anything, stops nothing and is kept."""

    class Raising(QuickBooksWebhooks):
        def parse(self, body):
            if body == b"raise":
                raise MemoryError
            company = CONNECTION.partition(":")[2]
            at = pendulum.datetime(9999, 12, 31, 23, 59, 59)
            return [
                Notice(company, "payment", "1", "created", "a", None),
                Notice(company, "payment", "2", "created", "b", None if body == b"good" else at),
            ]

    inbox.receive([b"raise", b"late", b"good"])
    done = Inbox(inbox._store, Raising(()), "sandbox").split((REALM,))
    assert (done.deliveries, done.notices, done.dead_letters) == (3, 2, 2)
    assert [(row["place"], row["reason"], row["event"]) for row in rows(store, webhook_dead_letter)] == [
        (-1, "the delivery cannot be split (MemoryError)", "raise"),
        (-1, "the delivery cannot be split (OverflowError)", "late"),
    ]
    assert [row["delivery_id"] for row in rows(store, webhook_notice)] == [3, 3]


def test_a_delivery_full_of_dead_letters_fills_no_store(take_in, store):
    """Thousands of empty events leave a hundred dead letters and one that counts the rest."""
    done = take_in(b"[" + b"{}," * 3_000 + b"{}]", body_of(cloud_event("190")))
    assert (done.notices, done.dead_letters) == (1, 101)
    assert rows(store, webhook_dead_letter)[-1]["reason"] == "and 2,901 more events of this delivery"


def test_splitting_that_stands_still_is_told(inbox, clock, dialect):
    """Five minutes unsplit: splitting stands still; split, it does not."""
    inbox.receive([body_of(cloud_event("190"))])
    clock.advance(299)
    assert not inbox.backlog([]).stands_still
    clock.advance(2)
    assert inbox.backlog([]).stands_still
    inbox.split((REALM,))
    assert not inbox.backlog([]).stands_still


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
    inbox.split((OTHER,))
    assert notices(store) == [(f"sandbox:{OTHER}", "payment", "190", "created")]
    assert rows(store, webhook_dead_letter) == []


def test_news_is_what_came_after_an_offset(take_in, inbox):
    """Many notices of one object are one object to read; the offset moves on; nothing new is nothing to read."""
    take_in(body_of(cloud_event("190"), cloud_event("190", "qbo.payment.updated.v1"), cloud_event("191")))
    first = inbox.noticed(CONNECTION, "payment", 0)
    assert sorted(first.changed_at) == ["190", "191"]
    assert inbox.noticed(CONNECTION, "payment", first.seq).changed_at == {}
    take_in(body_of(cloud_event("192")))
    assert list(inbox.noticed(CONNECTION, "payment", first.seq).changed_at) == ["192"]
    assert inbox.noticed(f"sandbox:{OTHER}", "payment", 0).changed_at == {}


def test_an_offset_of_a_lost_store_counts_as_none(take_in, inbox):
    """After a store was lost its numbers begin anew: an offset beyond them does not hide what comes."""
    take_in(body_of(cloud_event("190")))
    assert list(inbox.noticed(CONNECTION, "payment", 1_000_000).changed_at) == ["190"]


def test_out_of_order_notices_leave_the_newest_time(take_in, inbox):
    """Whichever way round they come, an object is to be shown in its newest noticed state."""
    late, early = "2026-11-02T08:59:30Z", "2026-11-02T08:00:00Z"
    take_in(body_of(cloud_event("190", time=late)), body_of(cloud_event("190", time=early)))
    news = inbox.noticed(CONNECTION, "payment", 0)
    assert news.changed_at["190"].isoformat() == "2026-11-02T08:59:30+00:00"


def test_what_a_read_has_shown_needs_no_read_of_its_own(take_in, inbox, clock):
    """An object shown in the noticed state is done; an older state, or none, is to be read. A deletion is final."""
    take_in(*(body_of(cloud_event(key, time=clock.now().isoformat())) for key in ("1", "2", "3", "4")))
    news = inbox.noticed(CONNECTION, "payment", 0)
    shown = {"1": clock.now(), "2": clock.now().subtract(minutes=5), "3": None}
    assert news.missing_from(shown) == ["2", "4"]
    assert NoticedObjects({}, 0).missing_from(shown) == []


def test_replay_appends_to_the_log(take_in, inbox):
    """Replayed notices come again after every offset, one for each object."""
    take_in(body_of(cloud_event("190"), cloud_event("190", "qbo.payment.voided.v1"), cloud_event("191")))
    offset = inbox.noticed(CONNECTION, "payment", 0).seq
    assert inbox.replay(CONNECTION, webhook_notice.c.entity_id == "190") == 1
    assert list(inbox.noticed(CONNECTION, "payment", offset).changed_at) == ["190"]


def test_the_backlog_is_what_waits(take_in, inbox, clock):
    """Deliveries not split and notices not handed on count, with the age of the oldest; read, they no longer do."""
    inbox.receive([body_of(cloud_event("190"))])
    clock.advance(30)
    assert (inbox.backlog(["payment"]).unsplit, inbox.backlog(["payment"]).oldest_seconds) == (1, 30)
    take_in()
    clock.advance(30)
    backlog = inbox.backlog(["payment"])
    assert (backlog.unsplit, backlog.unread, backlog.oldest_seconds) == (0, 1, 30)
    assert inbox.has_unread({"payment": ()})
    assert not inbox.has_unread({"payment": ("created",)})
    inbox.mark_read(CONNECTION, "payment", inbox.noticed(CONNECTION, "payment", 0).seq)
    assert inbox.backlog(["payment"]).unread == 0
    assert not inbox.has_unread({"payment": ()})


def test_what_is_old_is_forgotten(take_in, inbox, clock, store):
    """After 90 days deliveries, notices and letters are gone; what is younger, or not split yet, stays."""
    take_in(body_of(cloud_event("190")), b"rubbish")
    inbox.receive([body_of(cloud_event("191"))])
    clock.advance(91 * 86_400)
    take_in_later = body_of(cloud_event("192"))
    inbox.receive([take_in_later])
    assert inbox.prune() == 2
    assert notices(store) == []
    assert rows(store, webhook_dead_letter) == []
    assert len(rows(store, webhook_delivery)) == 2


class TestMissed:
    """What webhooks missed is counted as such."""

    def test_nobody_misses_what_nobody_listens_for(self, inbox, clock):
        """Without a receiver no change counts as missed."""
        assert inbox.record_unnoticed(CONNECTION, "payment", {"1": clock.now()}) == 0

    def test_a_change_without_a_notice_counts_after_an_hour(self, inbox, take_in, clock):
        """A notice may be late; after an hour without one, the change was missed, once."""
        inbox.record_heartbeat()
        clock.advance(60)
        changed = {"1": clock.now(), "2": clock.now(), "3": None}
        assert inbox.record_unnoticed(CONNECTION, "payment", changed) == 2
        assert inbox.record_unnoticed(CONNECTION, "payment", changed) == 0
        assert inbox.missed(CONNECTION) == []
        take_in(body_of(cloud_event("2", time=clock.now().isoformat())))
        clock.advance(3700)
        assert [row["entity_id"] for row in inbox.missed(CONNECTION)] == ["1"]

    def test_a_notice_that_came_first_is_no_miss(self, inbox, take_in, clock):
        """A change that was noticed before it was read does not count, nor one from before the receiver."""
        before = clock.now()
        clock.advance(10)
        inbox.record_heartbeat()
        take_in(body_of(cloud_event("1", time=clock.now().isoformat())))
        assert inbox.record_unnoticed(CONNECTION, "payment", {"1": clock.now(), "2": before}) == 0

    def test_a_receiver_that_was_given_up_misses_nothing(self, inbox, clock):
        """Seven days after its last sign of life a receiver is no longer expected to tell of anything."""
        inbox.record_heartbeat()
        clock.advance(8 * 86_400)
        assert inbox.record_unnoticed(CONNECTION, "payment", {"1": clock.now()}) == 0


VALUES = [
    *("qbo.payment.created.v1", "Payment", "Update", REALM, "190", "2026-11-02T08:59:30Z", "now", "P1D", "12:61"),
    *(*IMPOSSIBLE_TO_READ, *IMPOSSIBLE_YEARS, "-1", "0", "x" * 300, "\ud800", "\0"),
]
RAW = ["NaN", "-Infinity", "1e999999999", "-1e-999999999", "9" * 5000, '"\\ud800"', '"\\u0000"', "[" * 400 + "]" * 400]
CLOUD_KEYS = ["type", "intuitaccountid", "intuitentityid", "id", "time"]
LEGACY_KEYS = ["name", "id", "operation", "lastUpdated", "deletedId"]
KEYS = [*CLOUD_KEYS, *LEGACY_KEYS, "eventNotifications", "realmId", "dataChangeEvent", "entities"]
LEAVES = st.one_of(
    st.sampled_from(RAW),
    st.one_of(st.sampled_from(VALUES), st.none(), st.booleans(), st.integers(), st.text(max_size=8)).map(json.dumps),
)


def objects(values):
    """JSON objects as text, keys possibly twice."""
    pairs = st.lists(st.tuples(st.sampled_from(KEYS), values).map(lambda pair: f'"{pair[0]}":{pair[1]}'), max_size=6)
    return pairs.map(lambda each: "{" + ",".join(each) + "}")


def arrays(values):
    """JSON arrays as text."""
    return st.lists(values, max_size=3).map(lambda each: "[" + ",".join(each) + "]")


def changed(event, key, value):
    """A good event, one value of which is another; the text of it."""
    return json.dumps(event | {key: "@"}).replace('"@"', value)


EVENTS = st.builds(changed, st.just(cloud_event()), st.sampled_from(CLOUD_KEYS), LEAVES)
ENTITIES = st.builds(changed, st.just(ENTITY), st.sampled_from(LEGACY_KEYS), LEAVES)
BODIES = st.one_of(
    st.recursive(LEAVES, lambda inner: st.one_of(objects(inner), arrays(inner)), max_leaves=8),
    arrays(EVENTS),
    arrays(ENTITIES).map(
        lambda each: f'{{"eventNotifications":[{{"realmId":"{REALM}","dataChangeEvent":{{"entities":{each}}}}}]}}'
    ),
).map(str.encode)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(BODIES, st.binary(max_size=40)))
def test_no_body_stops_the_next(body, inbox, dialect, store):
    """Whatever was signed, in either shape, is kept and split, what follows it is read, and so is what it says."""
    number = uuid4().hex
    inbox.receive([body, body_of(cloud_event(number))])
    inbox.split((REALM,))
    assert inbox.backlog([]).unsplit == 0
    news = inbox.noticed(CONNECTION, "payment", 0)
    assert number in news.changed_at
    assert news.missing_from(dict(news.changed_at)) == []


@settings(max_examples=300, deadline=None)
@given(body=st.one_of(BODIES, st.binary(max_size=40)))
def test_no_body_is_an_error(body):
    """Of whatever was signed, every part is a notice that every store takes, or a dead letter."""
    for event in QuickBooksWebhooks(()).parse(body):
        if isinstance(event, Notice):
            assert event.occurred_at is None or 2000 <= event.occurred_at.year < 2200
            assert re.fullmatch("[A-Za-z0-9._:-]{1,64}", event.entity_id)
        words = event.event if isinstance(event, Unreadable) else event.event_id
        assert "\0" not in words
        assert words.encode().decode() == words
