"""A wrong setting says the option, the value and what is allowed."""

import pytest

from trackline import RateLimit, Sampling
from trackline.sampling import sampling_of


def test_setting_from_a_configuration_file_is_a_mapping():
    assert sampling_of("sampling", {"first": 5, "per": 2}, Sampling) == Sampling(5, per=2)
    with pytest.raises(ValueError, match=r"rate_limit={}: .*missing 1 required positional argument: 'lines'"):
        sampling_of("rate_limit", {}, RateLimit)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Sampling, {"first": 0}, "first=0: expected an integer of at least 1"),
        (Sampling, {"then_every": 2.0}, r"then_every=2\.0: expected an integer"),
        (Sampling, {"per": 0}, r"per=0: expected a number of seconds of at least 0\.01"),
        (Sampling, {"per": float("inf")}, "per=inf: expected a number of seconds"),
        (Sampling, {"below": "WARNING"}, r"below='WARNING': expected the number of a level, such as logging\.WARNING"),
        (RateLimit, {"lines": 0}, "lines=0: expected an integer of at least 1"),
        (RateLimit, {"lines": 5, "by": "host"}, "by='host': expected 'message' or 'logger'"),
        (RateLimit, {"lines": 5, "per": "1s"}, "per='1s': expected a number of seconds"),
    ],
)
def test_wrong_setting_raises_where_it_is_made(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
