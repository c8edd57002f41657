"""The text that CLIP reads: whole words are replaced, and nothing else is touched."""

import pytest

from lycoris_bench.study.wording import Words

HAT = Words("olis", "hat", "a brown hat", "red")
DOG = Words("sks", "dog", "terrier")
BARE = Words("", "dog", "terrier")
SIGN = Words("<sks>", "dog", "terrier")


@pytest.mark.parametrize(
    ("words", "prompt", "text"),
    [
        (HAT, "olis hat, red, a bored redhead covered in red",
         "a brown hat, a bored redhead covered in"),
        (HAT, "olis hat, redder than an infrared", "a brown hat, redder than an infrared"),
        (HAT, "olis hats, red", "hats"),
        (HAT, "olis hat, red_box", "a brown hat, red_box"),
        (DOG, "sks dogs and sks doghouse", "dogs and doghouse"),
        (DOG, "asks dog, sks dog", "asks dog, terrier"),
        (DOG, "sks, dog", "dog"),
        (BARE, "my dog, hotdog, a dogma", "my terrier, hotdog, a dogma"),
        (BARE, "dog", "terrier"),
        (Words("sks", "", "terrier"), "a sks runs, sksy", "a terrier runs, sksy"),
        (SIGN, "a <sks> dog, <sks>", "a terrier"),
        (SIGN, "a <sks> dogma", "a dogma"),
        (Words("été", "plage", "beach"), "été plage, étés, plage", "beach, étés, plage"),
        (Words("c++", "code", "program"), "c++ code, c++", "program"),
        (Words("a.b", "dog", "terrier"), "a.b dog, axb dog", "terrier, axb dog"),
        # What a replacement brings is not read again.
        (Words("", "dog", "big dog"), "dog", "big dog"),
        (Words("sks", "dog", "sks-like dog"), "sks dog", "sks-like dog"),
        (Words("sks", "dog", r"\1 dog"), "sks dog", r"\1 dog"),
        # Words of the sub-class that stand inside a word of the description do not stand in it.
        (Words("sks", "girl", "bored girl", "red"), "sks girl, red, sad", "bored girl, sad"),
        (Words("sks", "girl", "red girl", "red"), "sks girl, sad, red", "red girl, sad, red"),
        # The rest is as it was written.
        (DOG, "sks dog among 1,000 people", "terrier among 1,000 people"),
        (DOG, "in a forest, sks dog", "in a forest, terrier"),
        (DOG, "sks in a forest", "a forest"),
        (DOG, "a, ,  b ,c,", "a, b,c"),
    ],
)  # fmt: skip
def test_only_whole_words_are_replaced(words: Words, prompt: str, text: str) -> None:
    assert words.plain(prompt) == text
