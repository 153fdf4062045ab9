"""Real processes, killed at random moments; afterwards the whole database is read.

`NASMITH_CHAOS_SEED` repeats a schedule, `NASMITH_CHAOS_ROUNDS` sets how many faults of each kind
(the promises are held with 100).
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from search.request.resolve import resolve
from search.trial import Candidate
from service.settings import ServiceSettings
from tests.chaos.checker import check
from tests.chaos.figures import ROUNDS, SEED, Figures
from tests.chaos.world import World, kill, tiny_search

PARALLEL = 2

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(chaos_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("home")
    settings = ServiceSettings(
        home=home,
        database_url=chaos_database_url,
        lease_seconds=4,
        max_driver_crashes=1000,
        max_running_searches=2,
    )
    world = World(settings)
    world.start()
    yield world
    world.until(world.is_swept)
    check(world.sessions, world.acknowledged, world.settings.home)
    world.close()


one_database_is_enough = pytest.mark.parametrize("chaos_database_url", ["sqlite"], indirect=True)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    print(f"NASMITH_CHAOS_SEED={SEED}")
    return random.Random(f"{SEED}:{request.node.name}")


@pytest.fixture(autouse=True)
def checked(world: World) -> Iterator[None]:
    yield
    world.settle()
    check(world.sessions, world.acknowledged, world.settings.home, is_swept=False)


def proposals_are_those_of_an_undisturbed_run(world: World, search_id: str) -> bool:
    resolved = resolve(world.search(search_id).spec)
    strategy = resolved.strategy()  # random search: what it asks depends on the number alone
    return all(
        Candidate.from_json(trial.proposal) == strategy.ask(trial.number, ())
        for trial in world.trials(search_id)
        if trial.kind == "candidate"
    )


def test_a_killed_driver_repeats_nothing_finished(
    world: World, rng: random.Random, figures: Figures
) -> None:
    count = 10 * ROUNDS if ROUNDS < 10 else 20 * ROUNDS
    search_id = world.submit(tiny_search(trials=count, seed=rng.randrange(1000)))
    kills = 0
    waits = []
    while kills < ROUNDS and not world.has_ended(search_id):
        driver = world.driver_of(search_id)
        taken = world.search(search_id).lease_token
        time.sleep(rng.uniform(0, 4))
        if world.has_ended(search_id):
            break
        kill(driver)
        kills += 1
        start = time.monotonic()
        world.until_taken_after(search_id, taken)
        waits.append(time.monotonic() - start)
    world.until_ended(search_id, 300.0 + count)
    search, trials = world.search(search_id), world.trials(search_id)
    assert search.state == "succeeded", search.state_reason
    assert search.trials_done == count
    assert sum(trial.attempts - 1 for trial in trials) <= kills * PARALLEL
    assert proposals_are_those_of_an_undisturbed_run(world, search_id)
    assert max(waits, default=0) <= 120
    again = sum(trial.attempts - 1 for trial in trials)
    figures.add(
        "R2",
        world.dialect,
        f"{kills} kills of a real driver in {count} trials, {again} in flight run again, "
        f"picked up in {max(waits, default=0):.1f} s at most",
    )


@one_database_is_enough
def test_a_cancel_ends_a_search_whenever_it_comes(
    world: World, rng: random.Random, figures: Figures
) -> None:
    seconds = []
    for _ in range(ROUNDS):
        search_id = world.submit(tiny_search(trials=500, seed=rng.randrange(1000)))
        world.driver_of(search_id)
        time.sleep(rng.uniform(0, 3))
        start = time.monotonic()
        world.request(search_id, "cancel")
        world.until_ended(search_id)
        seconds.append(time.monotonic() - start)
        assert world.search(search_id).state == "cancelled"
    seconds.sort()
    late = seconds[int(0.95 * len(seconds))]
    assert late <= 60
    figures.add("R8", world.dialect, f"{ROUNDS} of {ROUNDS} cancelled, p95 {late:.2f} s")


@one_database_is_enough
def test_two_searches_share_the_runtime(world: World) -> None:
    """Both make progress: neither waits for the other's end."""
    first = world.submit(tiny_search(trials=300, seed=1))
    second = world.submit(tiny_search(trials=300, seed=2))
    world.until(
        lambda: world.search(first).trials_done > 3 and world.search(second).trials_done > 3
    )
    assert {world.search(first).state, world.search(second).state} == {"running"}
    for search_id in (first, second):
        world.cancel(search_id)


def test_frozen_drivers_lose_their_searches_and_write_nothing_more(
    world: World, rng: random.Random, figures: Figures
) -> None:
    """All of them at once, so that no place is free for their successors, and at any moment: in
    the middle of a transaction too, whose locks everybody waits for.
    """
    searches = [world.submit(tiny_search(trials=1000, seed=seed)) for seed in range(2)]
    for search_id in searches:
        world.until(lambda search_id=search_id: world.search(search_id).trials_done >= 1)
    time.sleep(rng.uniform(0, 1))
    frozen = [world.driver_of(search_id) for search_id in searches]
    tokens = [world.search(search_id).lease_token for search_id in searches]
    start = time.monotonic()
    for driver in frozen:
        kill(driver, signal.SIGSTOP)
    for search_id, token in zip(searches, tokens, strict=True):
        world.until_taken_after(search_id, token)
    waited = time.monotonic() - start
    lease = world.settings.lease_seconds
    text = f"two frozen drivers taken over in {waited:.1f} s at a lease of {lease:g} s"
    figures.add("R9", world.dialect, text)
    assert psutil.wait_procs(frozen, timeout=20)[1] == []
    for search_id in searches:
        world.shorten(search_id)
        world.until_ended(search_id)
        assert world.search(search_id).state == "succeeded"
        assert proposals_are_those_of_an_undisturbed_run(world, search_id)


@one_database_is_enough
def test_pause_and_resume_go_on_from_the_journal(world: World) -> None:
    search_id = world.submit(tiny_search(trials=12))
    world.until(lambda: world.search(search_id).trials_done >= 2)
    world.request(search_id, "pause")
    world.until(lambda: world.search(search_id).state == "paused")
    paused = world.search(search_id)
    assert paused.lease_owner is None
    assert all(trial.state != "running" for trial in world.trials(search_id))
    world.resume(search_id)
    world.until_ended(search_id)
    search = world.search(search_id)
    assert (search.state, search.trials_done) == ("succeeded", 12)
    assert search.elapsed_seconds > paused.elapsed_seconds
    assert all(trial.attempts == 1 for trial in world.trials(search_id))


@one_database_is_enough
def test_a_stopped_dispatcher_leaves_nothing_behind_and_goes_on(
    world: World, figures: Figures
) -> None:
    search_id = world.submit(tiny_search(trials=12))
    world.until(lambda: world.search(search_id).trials_done >= 2)
    seconds = world.stop()
    assert seconds <= 60
    assert world.processes() == []
    stopped = world.search(search_id)
    assert (stopped.state, stopped.lease_owner) == ("running", None)
    ended = {t.number: t.metrics for t in world.trials(search_id) if t.state == "completed"}
    world.start()
    world.until_ended(search_id)
    assert world.search(search_id).state == "succeeded"
    after = {trial.number: trial.metrics for trial in world.trials(search_id)}
    assert all(after[number] == metrics for number, metrics in ended.items())
    figures.add("R7", world.dialect, f"ended in {seconds:.1f} s with trials running, 0 repeated")


def test_a_killed_dispatcher_takes_everything_with_it(world: World, rng: random.Random) -> None:
    search_id = world.submit(tiny_search(trials=12, seed=rng.randrange(1000)))
    world.driver_of(search_id)
    time.sleep(rng.uniform(0, 3))
    world.kill_dispatcher()
    world.until(lambda: world.processes() == [], seconds=60)
    token = world.search(search_id).lease_token
    start = time.monotonic()
    world.start()
    world.until_taken_after(search_id, token)
    assert time.monotonic() - start <= 120
    world.until_ended(search_id)
    assert world.search(search_id).state == "succeeded"
    assert sum(trial.attempts - 1 for trial in world.trials(search_id)) <= PARALLEL


@one_database_is_enough
def test_a_lost_ray_head_is_replaced_and_no_result_is_lost(world: World, figures: Figures) -> None:
    search_id = world.submit(tiny_search(trials=12))
    world.until(lambda: world.search(search_id).trials_done >= 2)
    before = {t.number: t.metrics for t in world.trials(search_id) if t.state == "completed"}
    start = time.monotonic()
    kill(world.ray_head())
    world.until_ended(search_id)
    assert world.search(search_id).state == "succeeded"
    after = {trial.number: trial.metrics for trial in world.trials(search_id)}
    assert all(after[number] == metrics for number, metrics in before.items())
    seconds = time.monotonic() - start
    figures.add("R4", world.dialect, f"0 of {len(before)} lost, at its end {seconds:.1f} s later")


@pytest.mark.parametrize("chaos_database_url", ["postgresql"], indirect=True)
def test_cut_connections_to_the_database_lose_nothing(
    world: World, rng: random.Random, figures: Figures
) -> None:
    search_id = world.submit(tiny_search(trials=12, seed=rng.randrange(1000)))
    world.until(lambda: world.search(search_id).trials_done >= 1)
    cuts = max(3, ROUNDS // 10)
    for _ in range(cuts):
        time.sleep(rng.uniform(0, 0.5))
        world.cut_connections()
    world.until_ended(search_id)
    search = world.search(search_id)
    assert (search.state, search.trials_done) == ("succeeded", 12)
    figures.add("R5", world.dialect, f"{cuts} times all connections cut, nothing lost")
