"""When a patch acts."""

import pytest
from hifi_portrait.patching.schedule import Schedule


@pytest.fixture(scope="module")
def sampling():
    import comfy.model_sampling

    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
        pass

    return Sampling()


def test_start_and_end_are_the_hosts(sampling):
    schedule = Schedule.of(0.2, 0.7, 0, 0, sampling.percent_to_sigma)
    for percent, gain in ((0.1, 0), (0.2, 1), (0.5, 1), (0.7, 1), (0.71, 0)):
        assert schedule.gain(sampling.percent_to_sigma(percent)) == gain


def test_whole_schedule_acts_at_every_sigma(sampling):
    schedule = Schedule.of(0, 1, 0, 0, sampling.percent_to_sigma)
    assert all(schedule.gain(float(s)) == 1 for s in (*sampling.sigmas, 200.0, 0.0))


def test_percent_inverts_the_hosts_sigma(sampling):
    schedule = Schedule.of(0, 1, 0.5, 0, sampling.percent_to_sigma)
    for i in range(1, 100):
        assert schedule.percent(sampling.percent_to_sigma(i / 100)) == pytest.approx(i / 100, abs=2e-3)
    assert schedule.percent(1e9) == 0
    assert schedule.percent(0.0) == 1


def test_fades_are_linear_in_percent(sampling):
    schedule = Schedule.of(0.1, 0.9, 0.2, 0.4, sampling.percent_to_sigma)
    for percent, gain in ((0.15, 0.25), (0.2, 0.5), (0.3, 1), (0.5, 1), (0.7, 0.5), (0.85, 0.125)):
        assert schedule.gain(sampling.percent_to_sigma(percent)) == pytest.approx(gain, abs=0.02)
    assert schedule.gain(sampling.percent_to_sigma(0.05)) == 0
    assert schedule.gain(sampling.percent_to_sigma(0.95)) == 0
