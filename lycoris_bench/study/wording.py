"""How a concept is named in prompts, and the text that CLIP compares an image with."""

import re
from dataclasses import dataclass

LONGEST = 10_000  # characters of a prompt or a caption: an encoder holds all of its tokens at once
STYLE = "style"  # the kind of a concept that is a way of drawing, not a thing that is drawn
_LEFT_OVER = re.compile(r"^(of|in|on|at|with|by|for|from|to)\s+")  # where the trigger was before it


@dataclass(frozen=True)
class Words:
    """How a concept is named: "trigger class_word[, subclass_words]", and `description`, the
    plain words that stand for all of it where an encoder does not know the trigger. `kind` says
    what it is where prompt types or metrics ask (STYLE; "" for anything else)."""

    trigger: str
    class_word: str
    description: str
    subclass_words: str = ""
    kind: str = ""

    @property
    def class_descriptor(self) -> str:
        """What the class is called, without the words of the sub-class."""
        return f"{self.trigger} {self.class_word}".strip()

    @property
    def descriptor(self) -> str:
        """What the concept is called in prompts and captions."""
        head = self.class_descriptor
        return f"{head}, {self.subclass_words}" if self.subclass_words else head

    def plain(self, prompt: str, of_template: bool = False) -> str:
        """The prompt as CLIP should read it: no invented words, nothing left dangling (D.4).

        The descriptor, and the class's own, become the description; the trigger, and words of the
        sub-class that the description does not have, go. Only whole words are replaced, and a
        replacement is not read again. Without a trigger the class word is the descriptor. In a
        prompt made of a template, the sub-class's words outside the concept's place are what the
        template asks for, and stay.

        >>> bunny = Words("olis", "stuffed toy", "bunny stuffed toy")
        >>> bunny.plain("olis stuffed toy on a beach")
        'bunny stuffed toy on a beach'
        >>> style = Words("rps", "style", "")
        >>> style.plain("rps style of a city skyline")
        'a city skyline'
        >>> Words("whoo", "girl", "girl", "toid outfit").plain("whoo girl, toid outfit, sitting")
        'girl, sitting'
        >>> Words("suru", "robot", "robot, 3d", "3d").plain("suru robot, 3d in the snow")
        'robot, 3d in the snow'
        >>> pilot = Words("mize", "boy", "boy", "comic")
        >>> pilot.plain("mize boy, comic, in the style of comic", of_template=True)
        'boy, in the style of comic'
        >>> Words("", "dog", "terrier").plain("my dog eats a hotdog")
        'my terrier eats a hotdog'
        """
        means = {self.trigger: "", self.subclass_words: ""}
        if of_template:
            del means[self.subclass_words]
        elif whole_words(self.subclass_words).search(self.description):
            means[self.subclass_words] = self.subclass_words
        means |= {self.class_descriptor: self.description, self.descriptor: self.description}
        return tidied(whole_words(*means).sub(lambda found: means[found[0]], prompt), prompt)


def tidied(text: str, prompt: str) -> str:
    """A text without what is left dangling where words of its prompt went.

    >>> tidied(" of a boat, , at sea", "rps style of a boat, sks, at sea")
    'a boat, at sea'
    """
    text = re.sub(r"(, ?| )(?=,)", "", re.sub(r"\s+", " ", text)).strip(" ,")
    return text if _LEFT_OVER.match(prompt) else _LEFT_OVER.sub("", text)


def whole_words(*phrases: str) -> re.Pattern[str]:
    """Matches the longest of the phrases that stands in a text in whole words; empty ones nowhere.

    >>> whole_words("red", "<sks>").sub("-", "red, covered, <sks>y, redhead")
    '-, covered, -y, redhead'
    """
    longest_first = sorted(filter(None, phrases), key=len, reverse=True)
    either = "|".join(map(re.escape, longest_first)) or r"(?!)"
    # At each end a word ends: either the text's, or the phrase's own with a sign such as ">".
    return re.compile(rf"(?:(?<!\w)|(?!\w))(?:{either})(?:(?<!\w)|(?!\w))")


def too_long(text: str, most: int = LONGEST) -> str | None:
    """What is said of a text of more than so many characters, as the rest of a sentence.

    >>> too_long("a boat"), too_long("a boat", 3)
    (None, 'has 6 characters; at most 3 are allowed')
    """
    if len(text) <= most:
        return None
    return f"has {len(text):,} characters; at most {most:,} are allowed"
