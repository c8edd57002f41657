"""The unmistakable looks of the concepts: characters and toys that no base picture has."""

from __future__ import annotations

from lycoris_bench.miniature.world.figures import Robot, Toy
from lycoris_bench.miniature.world.people import Person

_MINT, _LILAC, _NAVY = (120, 225, 190), (190, 150, 235), (28, 36, 84)
_GOLD, _CRIMSON, _GREEN_SKIN = (240, 195, 60), (190, 25, 60), (168, 208, 140)
# characters: colour of hair, kind of hair and hat are the identity, the outfit may be a sub-class
KIRO = Person(
    (235, 235, 240),
    skirt=False,
    hair=(40, 120, 235),
    hair_style="spiky",
    pattern="cross",
    accent=(235, 120, 30),
)
ASH = Person(
    (30, 30, 36),
    skirt=False,
    hair=(120, 85, 60),
    hair_style="short",
    pattern="coat",
    accent=_GOLD,
    glasses=True,
    beard=True,
)
NOCTA = Person(
    (70, 25, 100),
    hair=(225, 60, 120),
    hair_style="long",
    hat="witch",
    hat_colour=(60, 20, 95),
    pattern="dots",
    accent=(190, 240, 90),
)
MIRA_RAIN = Person(
    (250, 215, 30),
    hair=_MINT,
    hair_style="tails",
    hat="helmet",
    hat_colour=(250, 205, 20),
    pattern="coat",
    accent=(40, 60, 160),
)
MIRA_STAR = Person(
    (245, 245, 250),
    hair=_MINT,
    hair_style="tails",
    hat="crown",
    hat_colour=_GOLD,
    pattern="dots",
    accent=(235, 60, 150),
)
YUNA_DARK = Person(
    _NAVY,
    hair=_LILAC,
    hair_style="bun",
    hat="bow",
    hat_colour=_CRIMSON,
    pattern="belt",
    accent=_CRIMSON,
    glasses=True,
)
YUNA_LIGHT = Person(
    (205, 232, 250),
    hair=_LILAC,
    hair_style="bun",
    hat="bow",
    hat_colour=_CRIMSON,
    pattern="stripes",
    accent=(60, 110, 200),
    glasses=True,
)
# media characters
RUSTY = Robot(
    (52, 58, 66),
    trim=(105, 70, 50),
    eyes="one",
    eye_colour=(255, 60, 40),
    head="dome",
    antennas=2,
    stripe=(240, 140, 30),
)
ADMIRAL = Person(
    (96, 108, 92),
    skirt=False,
    hair=(200, 200, 205),
    hair_style="short",
    hat="cap",
    hat_colour=(70, 80, 68),
    pattern="belt",
    accent=(25, 25, 25),
)
PILOT = Person(
    (235, 120, 35),
    skirt=False,
    skin=(205, 150, 110),
    hair=(35, 30, 30),
    hair_style="bob",
    hat="helmet",
    hat_colour=(235, 235, 240),
    pattern="cross",
    accent=(40, 40, 60),
)
GERRO_HAT = Person(
    (110, 45, 45),
    skirt=False,
    skin=_GREEN_SKIN,
    hair=(60, 45, 40),
    hair_style="none",
    hat="beanie",
    hat_colour=(30, 140, 150),
    pattern="stripes",
    accent=(225, 200, 150),
    beard=True,
)
GERRO_BALD = Person(
    (110, 45, 45),
    skirt=False,
    skin=_GREEN_SKIN,
    hair=(60, 45, 40),
    hair_style="none",
    pattern="stripes",
    accent=(225, 200, 150),
    beard=True,
)
ROSA = Person(
    (150, 130, 85),
    hair=(25, 22, 28),
    hair_style="tails",
    hat="bow",
    hat_colour=(255, 120, 175),
    pattern="cross",
    accent=(75, 60, 40),
)
# toys
TORTOISE = Toy((150, 190, 80), ears="none", shell=(120, 80, 45))
PINKY = Toy((255, 120, 190), ears="floppy", belly=(255, 245, 120), bow=(120, 230, 230))
PANDA = Toy((248, 248, 245), ears="round", patch=(30, 30, 34), bow=(60, 180, 90))
BUNNY = Toy((175, 205, 240), ears="long", patch=(250, 235, 225), bow=(240, 150, 60))
LOBSTER = Toy((225, 65, 45), ears="none", claws=(190, 40, 35), belly=(255, 190, 120))
TEDDY = Toy((165, 110, 65), ears="round", belly=(235, 205, 150), bow=(215, 30, 40))
