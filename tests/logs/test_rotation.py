"""When the next rollover is, in every zone and over every change of its clock, and that names sort in the order of time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackline.logs.rotation import Schedule

ZONES = sorted(zone for zone in available_timezones() if not zone.startswith(("posix", "right")) and zone != "localtime")
INTERVALS = ["midnight", "12h", "6h", "4h", "3h", "1h", "90m", "30m", "20m", "15m", "5m", "30s"]


def at(zone, *when, fold=0):
    return datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def rollovers(schedule, start, end):
    """Give the rollovers between two instants."""
    found = []
    while (start := schedule.next_after(start)) < end:
        found.append(start)
    return found


def readings(zone, instants):
    return [datetime.fromtimestamp(instant, ZoneInfo(zone)).strftime("%H:%M") for instant in instants]


def changes(zone):
    """Give the instants, to the hour, about which the clock of a zone was changed."""
    known, offset = [], None
    for instant in range(int(at("UTC", 1970, 1, 1)), int(at("UTC", 2038, 1, 1)), 30 * 86_400):
        now = datetime.fromtimestamp(instant, ZoneInfo(zone)).utcoffset()
        if offset is not None and now != offset:
            low, high = instant - 30 * 86_400, instant
            while high - low > 3600:
                middle = (low + high) // 2
                low, high = (middle, high) if datetime.fromtimestamp(middle, ZoneInfo(zone)).utcoffset() == offset else (low, middle)
            known.append(high)
        offset = now
    return known


CHANGES = {
    zone: changes(zone) for zone in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu")
}
near_a_change = st.sampled_from([(zone, change) for zone, found in CHANGES.items() for change in found]).flatmap(
    lambda one: st.tuples(st.just(one[0]), st.floats(one[1] - 90_000, one[1] + 90_000))
)
anywhere = st.tuples(st.sampled_from(ZONES), st.floats(0, 2**31))


@given(near_a_change | anywhere, st.sampled_from(INTERVALS))
def test_next_rollover_is_later_and_the_same_for_whoever_asks_until_then(when, interval):
    zone, now = when
    schedule = Schedule(interval, zone)
    following = schedule.next_after(now)

    assert now < following <= now + 2 * 86_400 + 7200
    for share in (0.001, 0.5, 0.999):
        assert schedule.next_after(now + (following - now) * share) == following or now + (following - now) * share >= following
    assert schedule.next_after(following) > following


@given(near_a_change | anywhere, st.sampled_from(INTERVALS))
def test_label_is_one_in_a_period_and_sorts_in_the_order_of_time(when, interval):
    zone, now = when
    schedule = Schedule(interval, zone)
    instants = [now]
    for _ in range(5):
        instants.append(schedule.next_after(instants[-1]))
    labels = [schedule.label(instant) for instant in instants]

    assert labels == sorted(labels)
    for instant, label in zip(instants[1:], labels, strict=False):
        assert schedule.label(instant - 1) == label or instant - 1 < now
    if interval == "midnight":
        assert len(set(labels)) == len(labels)


@given(near_a_change | anywhere, st.sampled_from(INTERVALS))
def test_clock_reads_a_multiple_of_the_interval_or_has_been_put_forward_over_it(when, interval):
    zone, now = when
    following = Schedule(interval, zone).next_after(now)
    local = datetime.fromtimestamp(following, ZoneInfo(zone))
    seconds = {"midnight": 86_400}.get(interval) or int(interval[:-1]) * {"s": 1, "m": 60, "h": 3600}[interval[-1]]
    reading = local.hour * 3600 + local.minute * 60 + local.second
    if reading % seconds:
        before = datetime.fromtimestamp(following - 1, ZoneInfo(zone))
        assert local.utcoffset() > before.utcoffset()


@given(near_a_change | anywhere)
def test_midnight_is_the_first_instant_of_a_day(when):
    zone, now = when
    following = Schedule("midnight", zone).next_after(now)
    days = [datetime.fromtimestamp(instant, ZoneInfo(zone)).date() for instant in (following - 1, following)]

    assert days[0] < days[1]


@pytest.mark.parametrize(
    ("interval", "day", "expected"),
    [
        ("6h", (2026, 3, 29), ["06:00", "12:00", "18:00"]),
        ("6h", (2026, 10, 25), ["06:00", "12:00", "18:00"]),
        ("2h", (2026, 3, 29), ["03:00", "04:00", "06:00", "08:00"]),
        ("1h", (2026, 3, 29), ["01:00", "03:00", "04:00", "05:00"]),
        ("1h", (2026, 10, 25), ["01:00", "02:00", "02:00", "03:00"]),
        ("30m", (2026, 10, 25), ["00:30", "01:00", "01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]),
    ],
)
def test_intervals_follow_the_clock_over_its_changes(interval, day, expected):
    schedule = Schedule(interval, "Europe/Berlin")
    found = rollovers(schedule, at("Europe/Berlin", *day), at("Europe/Berlin", *day, 23, 59))

    assert readings("Europe/Berlin", found)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("zone", "before", "hours"),
    [
        ("America/Havana", (2026, 10, 31, 12), [12, 25]),  # midnight comes twice
        ("America/St_Johns", (2010, 11, 6, 12), [12, 25]),  # so does 23:30, a minute after midnight
        ("Africa/Cairo", (2026, 4, 23, 12), [12, 23]),  # midnight does not come
        ("Pacific/Apia", (2011, 12, 29, 12), [12, 24]),  # the 30th did not come
        ("America/Toronto", (1940, 4, 27, 12), [12, 23]),
    ],
)
def test_day_is_as_long_as_the_zone_has_it(zone, before, hours):
    start = at(zone, *before)
    found = rollovers(Schedule("midnight", zone), start, start + 60 * 3600)

    assert [(later - earlier) / 3600 for earlier, later in zip([start, *found], found, strict=False)][: len(hours)] == hours


def test_label_names_the_period_by_its_beginning():
    noon = at("Europe/Berlin", 2026, 11, 21, 12, 34, 56)

    assert Schedule("midnight", "Europe/Berlin").label(noon) == "2026-11-21"
    assert Schedule("15m", "Europe/Berlin").label(noon) == "2026-11-21T12-30-00"
    assert Schedule("30s", "utc").label(noon + 0.9) == "2026-11-21T11-34-30"
    assert Schedule(None, "Asia/Tokyo").label(at("UTC", 2026, 11, 21, 16)) == "2026-11-22"


def test_label_stays_while_the_clock_repeats_itself():
    schedule = Schedule("30m", "Europe/Berlin")
    first = at("Europe/Berlin", 2026, 10, 25, 1, 59)

    assert [schedule.label(first + minutes * 60)[-8:] for minutes in (0, 1, 31, 61, 91, 121)] == [
        "01-30-00",
        "02-00-00",
        "02-30-00",
        "02-30-00",
        "02-30-00",
        "03-00-00",
    ]


def test_nothing_is_due_where_files_end_for_other_reasons():
    assert Schedule(None).next_after(datetime(2026, 11, 21, tzinfo=UTC).timestamp()) == float("inf")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("interval", ["midnight", "6h", "15m"])
def test_zone_of_the_system_is_kept_as_the_same_zone_by_name_is(zone, interval, in_zone):
    in_zone(zone)
    local, named = Schedule(interval), Schedule(interval, zone)
    for change in changes(zone)[-4:]:
        for instant in range(change - 90_000, change + 90_000, 4567):
            assert local.next_after(instant) == named.next_after(instant)
            assert local.label(instant) == named.label(instant)


@pytest.mark.parametrize("rotate", ["weekly", "7h", "0s", "24h", "1d", "15", "15M", " 15m", "m", "٣m", 60, True, b"1h"])
def test_rotation_that_is_not_one_is_refused(rotate):
    with pytest.raises(ValueError, match="expected 'midnight', None, or an interval that divides a day"):
        Schedule(rotate)


@pytest.mark.parametrize("zone", ["Europe/Berlim", "", "../etc/passwd", "Europe", None, 1, "\0"])
def test_zone_that_is_not_known_is_refused(zone):
    with pytest.raises(ValueError, match="expected 'local', 'utc', or a zone"):
        Schedule("midnight", zone)
