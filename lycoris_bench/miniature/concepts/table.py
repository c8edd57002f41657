"""The 39 (sub)classes: names, counts, triggers and looks, imbalanced like the paper's dataset."""

from __future__ import annotations

from dataclasses import dataclass

from lycoris_bench.miniature.concepts import looks, places
from lycoris_bench.miniature.concepts.styles import CONCEPT_STYLES
from lycoris_bench.miniature.world.figures import Robot, Toy
from lycoris_bench.miniature.world.people import Person
from lycoris_bench.miniature.world.places import Place
from lycoris_bench.miniature.world.styles import Style

_PLACES = (
    "beach",
    "forest",
    "city",
    "desert",
    "snow",
    "night",
    "room",
    "meadow",
    "sunset",
    "plain background",
)
_DRAWN = ("photo", "photo", "comic", "pencil", "watercolor", "oil painting")
_PHOTOS = ("photo", "photo", "photo", "watercolor")
# picture sizes (width, height), taken in turn
SIZES = {
    "square": ((64, 64),),
    "tall": ((64, 64), (64, 80), (56, 72)),
    "wide": ((64, 64), (80, 64), (72, 56)),
}


@dataclass(frozen=True)
class ConceptDesign:
    """One class or sub-class of the fine-tuning dataset."""

    category: str
    name: str
    count: int
    trigger: str
    class_word: str
    description: str
    subclass: str = ""
    subclass_words: str = ""
    look: Person | Robot | Toy | None = None
    place: Place | None = None
    render_style: Style | None = None
    styles: tuple[str, ...] = _DRAWN
    places: tuple[str, ...] = _PLACES
    shape: str = "square"
    free_outfit: bool = False  # the outfit varies and is tagged
    kind: str = ""  # "style": a way of drawing

    @property
    def key(self) -> str:
        """category/class[/sub-class], the folder."""
        return "/".join(p for p in (self.category, self.name, self.subclass) if p)

    @property
    def descriptor(self) -> str:
        """trigger class-word[, sub-class words]."""
        return ", ".join(p for p in (f"{self.trigger} {self.class_word}", self.subclass_words) if p)


def _character(
    name: str,
    count: int,
    trigger: str,
    word: str,
    look: Person,
    subclass: str = "",
    words: str = "",
    shape: str = "square",
    free_outfit: bool = False,
) -> ConceptDesign:
    return ConceptDesign(
        "characters",
        name,
        count,
        trigger,
        word,
        word,
        subclass,
        words,
        look,
        shape=shape,
        free_outfit=free_outfit,
    )


def _medium(
    name: str,
    count: int,
    trigger: str,
    word: str,
    look: Person | Robot,
    style: str,
    trait: str = "",
    trait_word: str = "",
) -> ConceptDesign:
    names = [", ".join(p for p in (first, style) if p) for first in (trait, trait_word)]
    return ConceptDesign(
        "media-characters",
        name,
        count,
        trigger,
        word,
        word,
        names[0],
        names[1],
        look,
        styles=(style,),
    )


def _toy(name: str, count: int, trigger: str, look: Toy, description: str) -> ConceptDesign:
    return ConceptDesign(
        "toys", name, count, trigger, "toy", description, look=look, styles=_PHOTOS
    )


def _place(
    name: str, count: int, trigger: str, place: Place, description: str, shape: str = "square"
) -> ConceptDesign:
    return ConceptDesign(
        "scenes",
        name,
        count,
        trigger,
        "scene",
        description,
        place=place,
        styles=_PHOTOS,
        shape=shape,
    )


def _style(name: str, count: int, trigger: str, shape: str = "square") -> ConceptDesign:
    return ConceptDesign(
        "styles",
        name,
        count,
        trigger,
        "style",
        "",
        kind="style",
        render_style=CONCEPT_STYLES[name],
        styles=("photo",),
        shape=shape,
    )


CONCEPTS: tuple[ConceptDesign, ...] = (
    _character("kiro", 23, "vexa", "boy", looks.KIRO),
    _character("ash", 13, "quib", "boy", looks.ASH, shape="tall"),
    _character("nocta", 32, "drel", "girl", looks.NOCTA, shape="tall"),
    _character("mira", 30, "mrao", "girl", looks.MIRA_RAIN, "rain coat", "zunt outfit"),
    _character("mira", 5, "mrao", "girl", looks.MIRA_STAR, "star dress", "fyno outfit"),
    _character("mira", 9, "mrao", "girl", looks.MIRA_STAR, "any outfit", free_outfit=True),
    _character("yuna", 14, "gomu", "girl", looks.YUNA_DARK, "dark uniform", "hask outfit"),
    _character("yuna", 12, "gomu", "girl", looks.YUNA_LIGHT, "light uniform", "jirt outfit"),
    _character("yuna", 7, "gomu", "girl", looks.YUNA_LIGHT, "any outfit", free_outfit=True),
    ConceptDesign(
        "media-characters",
        "rusty",
        16,
        "kelb",
        "robot",
        "robot",
        look=looks.RUSTY,
        styles=("photo", "photo", "comic"),
    ),
    _medium("admiral", 4, "lupo", "boy", looks.ADMIRAL, "pixel art"),
    _medium("admiral", 9, "lupo", "boy", looks.ADMIRAL, "photo"),
    _medium("pilot", 4, "mize", "boy", looks.PILOT, "pixel art"),
    _medium("pilot", 4, "mize", "boy", looks.PILOT, "comic"),
    _medium("pilot", 9, "mize", "boy", looks.PILOT, "photo"),
    _medium("gerro", 4, "nafu", "boy", looks.GERRO_HAT, "comic", "hat", "opra"),
    _medium("gerro", 6, "nafu", "boy", looks.GERRO_HAT, "photo", "hat", "opra"),
    _medium("gerro", 4, "nafu", "boy", looks.GERRO_BALD, "pixel art", "bald", "pizk"),
    _medium("gerro", 4, "nafu", "boy", looks.GERRO_BALD, "photo", "bald", "pizk"),
    _medium("rosa", 4, "rulo", "girl", looks.ROSA, "pencil"),
    _medium("rosa", 11, "rulo", "girl", looks.ROSA, "photo"),
    _style("dawn animation", 50, "sogn", "wide"),
    _style("dusk animation", 25, "tavi"),
    _style("old book", 25, "ubex", "tall"),
    _style("woodblock", 22, "wiko"),
    _style("pointillism", 25, "xanu"),
    _style("woodcut", 25, "yort"),
    _style("chiaroscuro", 22, "zeph"),
    _toy("tortoise", 12, "brin", looks.TORTOISE, "green toy"),
    _toy("pinky", 10, "cluv", looks.PINKY, "pink toy"),
    _toy("panda", 10, "doxa", looks.PANDA, "white toy"),
    _toy("bunny", 7, "olis", looks.BUNNY, "blue toy"),
    _toy("lobster", 7, "ektu", looks.LOBSTER, "red toy"),
    _toy("teddy", 7, "fiwo", looks.TEDDY, "brown toy"),
    _place("waterfall", 9, "grax", places.waterfall, "forest scene"),
    _place("garden", 7, "hyle", places.garden, "meadow scene", "wide"),
    _place("canal", 5, "ibru", places.canal, "city scene"),
    _place("castle", 5, "jaxo", places.castle, "house scene"),
    _place("sculpture", 4, "kwim", places.sculpture, "room scene"),
)
