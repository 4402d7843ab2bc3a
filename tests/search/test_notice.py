"""What the log says about itself, as it was written or as an index gives it back."""

import pytest

from trackline.search.notice import Notice, read_notice

LOGGER = {"log.logger": "trackline"}


@pytest.mark.parametrize(
    "flat",
    [
        LOGGER | {"event.action": "log-drop", "labels.dropped": 3, "labels.dropped_total": 5, "labels.file_number": 2},
        LOGGER | {"event.action": "log-drop", "labels.dropped": "3", "labels.dropped_total": "5", "labels.file_number": "2"},
        {"scope.name": "trackline", "event_name": "trackline.log-drop", "dropped": 3, "dropped_total": 5, "file_number": 2},
    ],
    ids=["ecs", "labels that became texts", "otel, by the Collector"],
)
def test_notice_is_read(flat):
    assert read_notice(flat, 7) == Notice("log-drop", 7, 3, 5, 2)


def test_line_that_closes_the_log_says_how_many_were_dropped_in_all():
    assert read_notice(LOGGER | {"event.action": "log-close", "labels.dropped": 5}, 9) == Notice("log-close", 9, 0, 5, 0)


@pytest.mark.parametrize(
    "flat", [{}, {"event.action": "log-drop", "log.logger": "app"}, LOGGER | {"event.action": "log-sample"}], ids=str
)
def test_other_lines_are_no_notices(flat):
    assert read_notice(flat, 1) is None


@pytest.mark.parametrize("odd", [-1, 1.5, True, "x", "\u00b2", "9" * 30, None, [], {}])
def test_fact_that_is_no_count_counts_as_none(odd):
    assert read_notice(LOGGER | {"event.action": "log-drop", "labels.dropped": odd}, 1) == Notice("log-drop", 1, 0, 0, 0)
