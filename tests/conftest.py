"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A shared machine may stall for a second: no test fails because an example was slow.
settings.register_profile("nasmith", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nasmith")
