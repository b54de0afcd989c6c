"""The scripted scenes on which counting is measured: each function returns the people of a scene, for a seed."""

from dataclasses import replace
from random import Random

from benchmarks.simulation.people import SHAPE, Noise, Person, Scene, Waypoint

HEIGHT, WIDTH = SHAPE
EXPRESSIONS = ("happiness", "neutral", "neutral", "sadness", "surprise", "anger", None)
"""Expressions of visitors; None for a visitor without a good observation."""
TILL = (420.0, 230.0, 60.0)
"""Position of the cashier's face."""


def crossing(seed: int, pairs: int = 60) -> Scene:
    """Pairs of people walk towards each other. One is nearer and occludes the other where they meet."""
    rng, people = Random(seed), []
    for pair in range(pairs):
        begin, y = 12.0 * pair + 1, rng.uniform(150, 330)
        for side in (0, 1):
            size = 50 * (1 + 0.25 * side) * rng.uniform(0.9, 1.1)
            ends = (-20.0, WIDTH + 20.0) if side else (WIDTH + 20.0, -20.0)
            lasts = WIDTH / (size * rng.uniform(2, 5))
            people.append(_walk(f"{pair}/{side}", begin + rng.random(), lasts, ends, (y, size), _expression(rng)))
    return Scene(tuple(people), 12.0 * pairs + 10)


def hidden(seed: int, visitors: int = 80) -> Scene:
    """People who walk or stand, and are occluded twice for 0.3 to 1.2 s."""
    rng, people = Random(seed), []
    for number in range(visitors):
        begin, y = 10.0 * number + 1, rng.uniform(120, 360)
        size, expression = rng.uniform(35, 80), _expression(rng)
        if number % 2:
            one = _walk(str(number), begin, rng.uniform(4, 7), (-20.0, WIDTH + 20.0), (y, size), expression)
        else:
            x = rng.uniform(100, 540)
            one = Person(str(number), ((begin, x, y, size), (begin + 6, x + 10, y, size)), expression=expression)
        spans = [(begin + at, begin + at + rng.uniform(0.3, 1.2)) for at in (1.5, 3.6)]
        people.append(replace(one, away=tuple(spans)))
    return Scene(tuple(people), 10.0 * visitors + 5)


def flicker(seed: int, flickers: int = 600) -> Scene:
    """An hour of faces that are visible for at most 0.35 s, and false detections: no visitor."""
    rng, people = Random(seed), []
    for number in range(flickers):
        begin = 6.0 * number + rng.random()
        x, y, size = rng.uniform(30, 610), rng.uniform(30, 450), rng.uniform(25, 80)
        route = ((begin, x, y, size), (begin + rng.uniform(0.02, 0.35), x, y, size))
        people.append(Person(str(number), route, expression="neutral", visits=0))
    return Scene(tuple(people), 6.0 * flickers)


def poster(seed: int, missed: float = 0.3) -> Scene:
    """A poster, visible for an hour but missed in many frames and for up to 25 s, and people who walk past it."""
    rng, gaps, time = Random(seed), [], 0.0
    while time < 3600:
        time += rng.uniform(5, 40)
        gaps.append((time, time + rng.uniform(0.5, 25)))
        time = gaps[-1][1]
    on_wall = Person(
        "poster",
        ((0, 330, 210, 48), (3600, 330, 210, 48)),
        tuple(gaps),
        expression="happiness",
        visits=0,
        is_object=True,
    )
    walkers = [
        _walk(str(n), 60.0 * n + 20 * rng.random(), 5, (-20.0, WIDTH + 20.0), (225, rng.uniform(70, 90)), "neutral")
        for n in range(60)
    ]
    return Scene((on_wall, *walkers), 3600, Noise(missed=missed))


def staying(seed: int, visitors: int = 20) -> Scene:
    """Visitors who browse for 4 to 10 minutes, in each spot for less than the dwell limit."""
    rng, people, time = Random(seed), [], 1.0
    for number in range(visitors):
        begin, route, x = time, [(time, -20.0, 240.0, 50.0)], 60.0
        while time < begin + 240 or (time < begin + 600 and rng.random() < 0.8):
            x = (x + rng.uniform(100, 250)) % 480 + 80  # never beside the spot before
            y, size = rng.uniform(200, 280), rng.uniform(45, 60)
            stands = rng.uniform(10, 70)
            route += [(time + 4, x, y, size), (time + 4 + stands, x, y, size)]
            time += 4 + stands
        route.append((time + 4, WIDTH + 20.0, 240.0, 50.0))
        people.append(Person(str(number), tuple(route), expression=_expression(rng)))
        time += 12
    return Scene(tuple(people), time)


def groups(seed: int, parties: int = 60) -> Scene:
    """Groups of two to five people side by side, who walk past, or approach and stay for a while."""
    rng, people = Random(seed), []
    for party in range(parties):
        begin, size, y = 40.0 * party + 1, rng.uniform(32, 48), rng.uniform(170, 310)
        many, right, shift = rng.randint(2, 5), rng.random() < 0.5, rng.uniform(-40, 40)
        for place in range(many):
            own = size * rng.uniform(0.93, 1.07)
            beside = (place - (many - 1) / 2) * size * rng.uniform(2.0, 2.3)
            level, name, expression = y + rng.gauss(0, 0.3) * size, f"{party}/{place}", _expression(rng)
            if party % 2:
                off = (1 if right else -1) * (WIDTH / 2 + 240)
                ends = (WIDTH / 2 + beside - off, WIDTH / 2 + beside + off)
                people.append(_walk(name, begin, rng.uniform(6.9, 7.1), ends, (level, own), expression))
            else:
                x, lasts = WIDTH / 2 + shift + beside, rng.uniform(5, 20)
                people.append(Person(name, _approach(begin, lasts, x, level, own), expression=expression))
    return Scene(tuple(people), 40.0 * parties + 5)


def shop(seed: int, visitors: int = 240) -> Scene:
    """A mix of visitors, several at a time: they walk past, or approach and stay; some are occluded for a moment."""
    rng, people, time = Random(seed), [], 1.0
    for number in range(visitors):
        size, y, expression, kind = rng.uniform(30, 80), rng.uniform(120, 360), _expression(rng), number % 3
        lanes = (80.0, 560.0)
        if kind == 0:
            ends = (-20.0, WIDTH + 20.0) if rng.random() < 0.5 else (WIDTH + 20.0, -20.0)
            people.append(_walk(str(number), time, rng.uniform(2.5, 8), ends, (y, size), expression))
        else:
            stays = rng.uniform(3, 40)
            route = _approach(time, stays, rng.uniform(*lanes), y, size)
            away = () if kind == 1 else ((time + 3.0, time + 3.0 + rng.uniform(0.2, 1.2)),)
            people.append(Person(str(number), route, away, expression))
        time += rng.uniform(6, 18)
    return Scene(tuple(people), time + 60)


def cashier(seed: int, hours: float = 8.0, away_s: tuple[float, float] = (3.0, 20.0)) -> Scene:
    """A cashier behind the till who faces the camera for 20 s at a time, turns away, and moves a little in between."""
    return Scene((_cashier(Random(seed), hours * 3600, away_s),), hours * 3600)


def till(seed: int, hours: float = 1.0) -> Scene:
    """The cashier, and customers who stand beside the till for 15 to 60 s."""
    rng = Random(seed)
    people, time = [_cashier(rng, hours * 3600, (3.0, 20.0))], 5.0
    while time < hours * 3600 - 100:
        x, stands = 170 + rng.gauss(0, 15), rng.uniform(15, 60)
        people.append(_customer(f"c{time:.0f}", (time, stands), (x, 240 + rng.gauss(0, 15), 55), rng))
        time += stands + rng.uniform(5, 40)
    return Scene(tuple(people), hours * 3600)


def door(seed: int, hours: float = 1.0) -> Scene:
    """A busy door: people come in towards the camera one after another, and some stop in it.

    Somebody is in view two thirds of the time.
    """
    rng, people, time = Random(seed), [], 1.0
    while time < hours * 3600 - 20:
        x, y, size = 320 + rng.gauss(0, 25), 220 + rng.gauss(0, 15), rng.uniform(26, 34)
        stops, walks = (rng.uniform(1, 6) if rng.random() < 0.4 else 0.05), rng.uniform(2.5, 4)
        out = x + rng.choice((-1, 1)) * rng.uniform(120, 260)
        inside = time + 0.6 + stops
        route = (
            (time, x, y - 5, size),
            (time + 0.6, x, y, 1.1 * size),
            (inside, x, y, 1.1 * size),
            (inside + 0.75 * walks, x + 0.4 * (out - x), y + 60, 2.4 * size),
            (inside + walks, out, HEIGHT + 20, 3.4 * size),
        )
        people.append(Person(f"{len(people)}", route, expression=_expression(rng)))
        time = route[-1][0] + rng.uniform(0.3, 3.4)
    return Scene(tuple(people), hours * 3600)


def queue(seed: int, hours: float = 1.0) -> Scene:
    """Customers at a counter, one after another in the same spot, two thirds of the time.

    Half of them turn round and leave, so that the face disappears without moving.
    """
    rng, people, time = Random(seed), [], 1.0
    while time < hours * 3600 - 100:
        stands, spot = rng.uniform(15, 50), (300 + rng.gauss(0, 12), 230 + rng.gauss(0, 12), 60.0)
        people.append(_customer(str(len(people)), (time, stands), spot, rng))
        time = people[-1].route[-1][0] + rng.uniform(5, 25)
    return Scene(tuple(people), hours * 3600)


def in_place(seed: int, hours: float = 1.0) -> Scene:
    """Visitors who cannot be told from a cashier: detected only where they stand, one after another in one spot.

    Each stays for 10 to 30 s, with pauses of 10 to 60 s.
    """
    rng, people, time = Random(seed), [], 1.0
    while time < hours * 3600 - 100:
        x, y, stands = 320 + rng.gauss(0, 15), 230 + rng.gauss(0, 15), rng.uniform(10, 30)
        people.append(
            Person(str(len(people)), ((time, x, y, 60), (time + stands, x, y, 60)), expression=_expression(rng))
        )
        time += stands + rng.uniform(10, 60)
    return Scene(tuple(people), hours * 3600)


def before_till(seed: int, hours: float = 1.0) -> Scene:
    """The cashier, and customers who walk past at the same distance, across the cashier's face: the cost of a till."""
    rng = Random(seed)
    people, time = [_cashier(rng, hours * 3600, (3.0, 20.0))], 5.0
    while time < hours * 3600 - 30:
        line = (TILL[1] + rng.gauss(0, 15), TILL[2] * rng.uniform(0.9, 1.1))
        people.append(_walk(f"c{time:.0f}", time, rng.uniform(4, 8), (-20.0, WIDTH + 20.0), line, _expression(rng)))
        time += rng.uniform(20, 60)
    return Scene(tuple(people), hours * 3600)


def _expression(rng: Random) -> str | None:
    return rng.choice(EXPRESSIONS)


def _walk(
    name: str, begin: float, lasts: float, ends: tuple[float, float], line: tuple[float, float], expression: str | None
) -> Person:
    """Return a person who walks straight from one x (``ends``) to the other; ``line`` is y and size."""
    return Person(name, ((begin, ends[0], *line), (begin + lasts, ends[1], *line)), expression=expression)


def _approach(begin: float, stays: float, x: float, y: float, size: float) -> tuple[Waypoint, ...]:
    """Return a route that approaches a spot, stays there, and leaves to the nearer side, at full speed after 1 s."""
    side = -1 if x < WIDTH / 2 else 1
    leaves = begin + 2 + stays
    off = ((0.0, 0), (0.5, 35), (1.0, 105), (3.7, WIDTH))
    return (
        (begin, x + 60 * -side, y - 20, 0.7 * size),
        (begin + 2, x, y, size),
        *((leaves + after, x + side * far, y, size) for after, far in off),
    )


def _customer(name: str, when: tuple[float, float], spot: tuple[float, float, float], rng: Random) -> Person:
    """Return a customer who walks from the left to a spot and stands there; ``when`` is the begin and the time there.

    Afterwards the customer walks off, or turns round so that the face disappears.
    """
    (begin, stands), (x, y, size) = when, spot
    route = [(begin, -20.0, y, size), (begin + 3, x, y, size), (begin + 3 + stands, x, y, size)]
    if rng.random() < 0.5:
        route.append((begin + 6 + stands, -20.0, y, size))
    return Person(name, tuple(route), expression=_expression(rng))


def _cashier(rng: Random, seconds: float, away_s: tuple[float, float]) -> Person:
    """Return a cashier who turns away every 20 s for a time in ``away_s``, and moves a little meanwhile."""
    x, y, size = TILL
    route, away, time = [], [], 0.0
    while time < seconds:
        spot = (x + rng.gauss(0, 0.3) * size, y + rng.gauss(0, 0.1) * size, size * rng.uniform(0.95, 1.05))
        gone = rng.uniform(*away_s)
        route += [(time, *spot), (time + 20, *spot)]
        away.append((time + 20, time + 20 + gone))
        time += 20 + gone
    return Person("cashier", tuple(route), tuple(away), expression="neutral", visits=0)
