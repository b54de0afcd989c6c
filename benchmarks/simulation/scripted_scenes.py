"""The scenes on which counting is measured: a seed -> people, and where they go."""

from dataclasses import replace
from random import Random

from benchmarks.simulation.people import SHAPE, Noise, Person, Point, Scene

HEIGHT, WIDTH = SHAPE
SHOWS = ("happiness", "neutral", "neutral", "sadness", "surprise", "anger", None)
"""What visitors show; None is somebody of whom no look is good."""
TILL = (420.0, 230.0, 60.0)
"""Where the cashier's face is, and its size."""


def crossing(seed: int, pairs: int = 60) -> Scene:
    """Two walk towards each other, one a little nearer, who hides the other where they meet."""
    chance, people = Random(seed), []
    for pair in range(pairs):
        begin, y = 12.0 * pair + 1, chance.uniform(150, 330)
        for side in (0, 1):
            size = 50 * (1 + 0.25 * side) * chance.uniform(0.9, 1.1)
            ends = (-20.0, WIDTH + 20.0) if side else (WIDTH + 20.0, -20.0)
            lasts = WIDTH / (size * chance.uniform(2, 5))
            people.append(_walk(f"{pair}/{side}", begin + chance.random(), lasts, ends, (y, size), _shown(chance)))
    return Scene(tuple(people), 12.0 * pairs + 10)


def hidden(seed: int, visitors: int = 80) -> Scene:
    """Walkers behind pillars, and others who stand and are hidden by something, for 0.3 to 1.2 s at a time."""
    chance, people = Random(seed), []
    for number in range(visitors):
        begin, y = 10.0 * number + 1, chance.uniform(120, 360)
        size, shows = chance.uniform(35, 80), _shown(chance)
        if number % 2:
            one = _walk(str(number), begin, chance.uniform(4, 7), (-20.0, WIDTH + 20.0), (y, size), shows)
        else:
            x = chance.uniform(100, 540)
            one = Person(str(number), ((begin, x, y, size), (begin + 6, x + 10, y, size)), shows=shows)
        spans = [(begin + at, begin + at + chance.uniform(0.3, 1.2)) for at in (1.5, 3.6)]
        people.append(replace(one, away=tuple(spans)))
    return Scene(tuple(people), 10.0 * visitors + 5)


def flicker(seed: int, flickers: int = 600) -> Scene:
    """An hour of faces that are there for up to 0.35 s, and false ones: nobody."""
    chance, people = Random(seed), []
    for number in range(flickers):
        begin = 6.0 * number + chance.random()
        x, y, size = chance.uniform(30, 610), chance.uniform(30, 450), chance.uniform(25, 80)
        route = ((begin, x, y, size), (begin + chance.uniform(0.02, 0.35), x, y, size))
        people.append(Person(str(number), route, shows="neutral", visits=0))
    return Scene(tuple(people), 6.0 * flickers)


def poster(seed: int, missed: float = 0.3) -> Scene:
    """A poster, an hour in view, missed in many frames and in bouts of up to 25 s, while people walk by before it."""
    chance, bouts, time = Random(seed), [], 0.0
    while time < 3600:
        time += chance.uniform(5, 40)
        bouts.append((time, time + chance.uniform(0.5, 25)))
        time = bouts[-1][1]
    pinned = Person(
        "poster", ((0, 330, 210, 48), (3600, 330, 210, 48)), tuple(bouts), shows="happiness", visits=0, thing=True
    )
    walkers = [
        _walk(
            str(n), 60.0 * n + 20 * chance.random(), 5, (-20.0, WIDTH + 20.0), (225, chance.uniform(70, 90)), "neutral"
        )
        for n in range(60)
    ]
    return Scene((pinned, *walkers), 3600, Noise(missed=missed))


def staying(seed: int, visitors: int = 20) -> Scene:
    """Visitors who browse for four to ten minutes, at one shelf after another for less than the dwell limit."""
    chance, people, time = Random(seed), [], 1.0
    for number in range(visitors):
        begin, route, x = time, [(time, -20.0, 240.0, 50.0)], 60.0
        while time < begin + 240 or (time < begin + 600 and chance.random() < 0.8):
            x = (x + chance.uniform(100, 250)) % 480 + 80  # never next to the last one
            y, size = chance.uniform(200, 280), chance.uniform(45, 60)
            stands = chance.uniform(10, 70)
            route += [(time + 4, x, y, size), (time + 4 + stands, x, y, size)]
            time += 4 + stands
        route.append((time + 4, WIDTH + 20.0, 240.0, 50.0))
        people.append(Person(str(number), tuple(route), shows=_shown(chance)))
        time += 12
    return Scene(tuple(people), time)


def groups(seed: int, parties: int = 60) -> Scene:
    """Two to five side by side, who walk past, or come up and stay for a while."""
    chance, people = Random(seed), []
    for party in range(parties):
        begin, size, y = 40.0 * party + 1, chance.uniform(32, 48), chance.uniform(170, 310)
        many, right, shift = chance.randint(2, 5), chance.random() < 0.5, chance.uniform(-40, 40)
        for place in range(many):
            own = size * chance.uniform(0.93, 1.07)
            beside = (place - (many - 1) / 2) * size * chance.uniform(2.0, 2.3)
            level, name, shows = y + chance.gauss(0, 0.3) * size, f"{party}/{place}", _shown(chance)
            if party % 2:
                off = (1 if right else -1) * (WIDTH / 2 + 240)
                ends = (WIDTH / 2 + beside - off, WIDTH / 2 + beside + off)
                people.append(_walk(name, begin, chance.uniform(6.9, 7.1), ends, (level, own), shows))
            else:
                x, lasts = WIDTH / 2 + shift + beside, chance.uniform(5, 20)
                people.append(Person(name, _approach(begin, lasts, x, level, own), shows=shows))
    return Scene(tuple(people), 40.0 * parties + 5)


def shop(seed: int, visitors: int = 240) -> Scene:
    """Visitors as they come: walking past, coming up to stay, hidden for a moment; several at a time."""
    chance, people, time = Random(seed), [], 1.0
    for number in range(visitors):
        size, y, shows, kind = chance.uniform(30, 80), chance.uniform(120, 360), _shown(chance), number % 3
        lanes = (80.0, 560.0)
        if kind == 0:
            ends = (-20.0, WIDTH + 20.0) if chance.random() < 0.5 else (WIDTH + 20.0, -20.0)
            people.append(_walk(str(number), time, chance.uniform(2.5, 8), ends, (y, size), shows))
        else:
            stays = chance.uniform(3, 40)
            route = _approach(time, stays, chance.uniform(*lanes), y, size)
            looks = () if kind == 1 else ((time + 3.0, time + 3.0 + chance.uniform(0.2, 1.2)),)
            people.append(Person(str(number), route, looks, shows))
        time += chance.uniform(6, 18)
    return Scene(tuple(people), time + 60)


def cashier(seed: int, hours: float = 8.0, away_s: tuple[float, float] = (3.0, 20.0)) -> Scene:
    """Behind the till, face to the shop for 20 s at a time, then turned away; back a bit beside where they were."""
    return Scene((_cashier(Random(seed), hours * 3600, away_s),), hours * 3600)


def till(seed: int, hours: float = 1.0) -> Scene:
    """The same cashier, and customers who come up beside the till, stand before it for 15 to 60 s and go."""
    chance = Random(seed)
    people, time = [_cashier(chance, hours * 3600, (3.0, 20.0))], 5.0
    while time < hours * 3600 - 100:
        x, stands = 170 + chance.gauss(0, 15), chance.uniform(15, 60)
        people.append(_customer(f"c{time:.0f}", (time, stands), (x, 240 + chance.gauss(0, 15), 55), chance))
        time += stands + chance.uniform(5, 40)
    return Scene(tuple(people), hours * 3600)


def door(seed: int, hours: float = 1.0) -> Scene:
    """A busy door: one after another comes in through it towards the camera, some stop in it, in view two thirds of the
    time.
    """
    chance, people, time = Random(seed), [], 1.0
    while time < hours * 3600 - 20:
        x, y, size = 320 + chance.gauss(0, 25), 220 + chance.gauss(0, 15), chance.uniform(26, 34)
        stops, walks = (chance.uniform(1, 6) if chance.random() < 0.4 else 0.05), chance.uniform(2.5, 4)
        out = x + chance.choice((-1, 1)) * chance.uniform(120, 260)
        inside = time + 0.6 + stops
        route = (
            (time, x, y - 5, size),
            (time + 0.6, x, y, 1.1 * size),
            (inside, x, y, 1.1 * size),
            (inside + 0.75 * walks, x + 0.4 * (out - x), y + 60, 2.4 * size),
            (inside + walks, out, HEIGHT + 20, 3.4 * size),
        )
        people.append(Person(f"{len(people)}", route, shows=_shown(chance)))
        time = route[-1][0] + chance.uniform(0.3, 3.4)
    return Scene(tuple(people), hours * 3600)


def queue(seed: int, hours: float = 1.0) -> Scene:
    """Customers before a counter, one after another in the same place, two thirds of the time; half of them leave by
    turning round, so that their face is just gone.
    """
    chance, people, time = Random(seed), [], 1.0
    while time < hours * 3600 - 100:
        stands, spot = chance.uniform(15, 50), (300 + chance.gauss(0, 12), 230 + chance.gauss(0, 12), 60.0)
        people.append(_customer(str(len(people)), (time, stands), spot, chance))
        time = people[-1].route[-1][0] + chance.uniform(5, 25)
    return Scene(tuple(people), hours * 3600)


def in_place(seed: int, hours: float = 1.0) -> Scene:
    """What cannot be told from a cashier: visitors whose faces are found only where they stand, one after another, for
    10 to 30 s with pauses of 10 to 60 s.
    """
    chance, people, time = Random(seed), [], 1.0
    while time < hours * 3600 - 100:
        x, y, stands = 320 + chance.gauss(0, 15), 230 + chance.gauss(0, 15), chance.uniform(10, 30)
        people.append(Person(str(len(people)), ((time, x, y, 60), (time + stands, x, y, 60)), shows=_shown(chance)))
        time += stands + chance.uniform(10, 60)
    return Scene(tuple(people), hours * 3600)


def before_till(seed: int, hours: float = 1.0) -> Scene:
    """What a till costs: the cashier, and customers who walk past at its depth, through where the cashier's face is."""
    chance = Random(seed)
    people, time = [_cashier(chance, hours * 3600, (3.0, 20.0))], 5.0
    while time < hours * 3600 - 30:
        line = (TILL[1] + chance.gauss(0, 15), TILL[2] * chance.uniform(0.9, 1.1))
        people.append(_walk(f"c{time:.0f}", time, chance.uniform(4, 8), (-20.0, WIDTH + 20.0), line, _shown(chance)))
        time += chance.uniform(20, 60)
    return Scene(tuple(people), hours * 3600)


def _shown(chance: Random) -> str | None:
    return chance.choice(SHOWS)


def _walk(
    name: str, begin: float, lasts: float, ends: tuple[float, float], line: tuple[float, float], shows: str | None
) -> Person:
    """Straight across, from one x to the other; ``line`` is y and size."""
    return Person(name, ((begin, ends[0], *line), (begin + lasts, ends[1], *line)), shows=shows)


def _approach(begin: float, stays: float, x: float, y: float, size: float) -> tuple[Point, ...]:
    """From further away to a place, there for a while, and out to the nearer side, at full pace after a second."""
    side = -1 if x < WIDTH / 2 else 1
    leaves = begin + 2 + stays
    off = ((0.0, 0), (0.5, 35), (1.0, 105), (3.7, WIDTH))
    return (
        (begin, x + 60 * -side, y - 20, 0.7 * size),
        (begin + 2, x, y, size),
        *((leaves + after, x + side * far, y, size) for after, far in off),
    )


def _customer(name: str, when: tuple[float, float], spot: tuple[float, float, float], chance: Random) -> Person:
    """Comes up from the left to a spot, stands there from a second on for so long, and walks off or turns round."""
    (begin, stands), (x, y, size) = when, spot
    route = [(begin, -20.0, y, size), (begin + 3, x, y, size), (begin + 3 + stands, x, y, size)]
    if chance.random() < 0.5:
        route.append((begin + 6 + stands, -20.0, y, size))
    return Person(name, tuple(route), shows=_shown(chance))


def _cashier(chance: Random, seconds: float, away_s: tuple[float, float]) -> Person:
    """Turns away every 20 s, and moves a little while the face is not seen."""
    x, y, size = TILL
    route, away, time = [], [], 0.0
    while time < seconds:
        spot = (x + chance.gauss(0, 0.3) * size, y + chance.gauss(0, 0.1) * size, size * chance.uniform(0.95, 1.05))
        gone = chance.uniform(*away_s)
        route += [(time, *spot), (time + 20, *spot)]
        away.append((time + 20, time + 20 + gone))
        time += 20 + gone
    return Person("cashier", tuple(route), tuple(away), shows="neutral", visits=0)
