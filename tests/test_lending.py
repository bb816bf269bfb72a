"""Captions lent by other images: at random, each once; a few at random; one that is most unlike."""

from collections import Counter

import numpy as np
import pytest

from inpaint.evaluation import lending
from inpaint.evaluation.lending import Captions, lend, shared_words, some_of_others, unlike, words_of

ANIMALS = ["dog", "cat", "horse", "bird", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"]
PLACES = ["beach", "street", "kitchen", "field", "mountain", "river", "room", "park", "snow", "desert"]


def captions(n):
    return [f"a {ANIMALS[i % 10]} stands in the {PLACES[i // 10 % 10]}" for i in range(n)]


def test_every_image_gets_another_image_with_another_caption():
    texts = captions(300)
    chosen = unlike(texts, range(300))
    assert (chosen >= 0).all()
    assert all(other != i and texts[other] != texts[i] for i, other in enumerate(chosen))


def test_chosen_captions_share_fewer_words_than_chance():
    texts = captions(100)
    common = 4 / 6  # "a", "stands", "in", "the": every caption has them
    words = [words_of(text) for text in texts]
    shared = [shared_words(words[i], words[other]) for i, other in enumerate(unlike(texts, range(100)))]
    assert max(shared) <= common  # neither the animal nor the place is the image's own
    assert np.mean([shared_words(words[i], words[(i + 1) % 100]) for i in range(100)]) > common


def test_choice_for_an_image_does_not_depend_on_which_others_are_asked_for():
    texts = captions(200)
    whole = unlike(texts, range(200), seed=5)
    some = [150, 3, 77]
    assert unlike(texts, some, seed=5).tolist() == whole[some].tolist()
    assert unlike(texts, range(200), seed=6).tolist() != whole.tolist()


def test_images_without_caption_neither_borrow_nor_lend():
    texts = ["a dog", "", "a cat", ""]
    assert unlike(texts, range(4)).tolist() == [2, -1, 0, -1]


def test_paraphrase_in_case_and_space_is_no_unlike():
    assert unlike(["A dog", "a  dog", "a DOG"], range(3)).tolist() == [-1, -1, -1]


def test_the_one_different_caption_is_found_among_many_equal_ones():
    texts = ["a dog"] * 500 + ["two cats"]
    assert unlike(texts, [0, 250, 499]).tolist() == [500, 500, 500]
    assert texts[unlike(texts, [500])[0]] == "a dog"


def test_caption_without_a_word_in_it_can_have_an_unlike_one():
    assert unlike(["???", "a dog", " "], range(3)).tolist()[0] in (1, 2)


@pytest.mark.parametrize("texts", [captions(300), ["a dog"] * 300 + ["a cat"]])
def test_work_grows_with_the_number_of_images_not_its_square(texts, monkeypatch):
    compared, real = [], lending.shared_words
    monkeypatch.setattr(lending, "shared_words", lambda *words: compared.append(1) or real(*words))
    unlike(texts, range(len(texts)), candidates=8)
    assert 0 < len(compared) <= 9 * len(texts)


def test_a_wording_that_nobody_can_be_lent_is_looked_for_once(monkeypatch):
    asked, real = [], lending._partner
    monkeypatch.setattr(lending, "_partner", lambda *arguments: asked.append(1) or real(*arguments))
    lent = lend(Captions([["a dog"]] * 500 + [["a cat"]]))
    assert (lent >= 0).sum() == 2 and len(asked) <= 2


def several(n=40):
    """Captions of n images: 0 to 3 of each, some of which say the same as other images'."""
    return [[f"a {ANIMALS[(i * (k + 1)) % 10]} of {i % 17}" for k in range(i % 4)] for i in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_each_caption_is_lent_once_to_an_image_that_has_no_such_caption(seed):
    captions = Captions(several())
    lent = lend(captions, seed)
    assert sorted(lent) == list(range(len(captions.texts)))
    for place, caption in enumerate(lent):
        own = {" ".join(text.lower().split()) for text in several()[captions.image[place]]}
        assert captions.texts[caption] not in own


def test_what_an_image_is_lent_follows_from_the_split_and_the_seed_alone():
    captions = Captions(several())
    assert lend(captions, 3).tolist() == lend(Captions(several()), 3).tolist() != lend(captions, 4).tolist()


def test_all_ways_to_lend_are_equally_likely():
    """Four captions can be lent in nine ways without giving an image its own."""
    captions = Captions([["a"], ["b"], ["c"], ["d"]])
    ways = Counter(tuple(lend(captions, seed)) for seed in range(3600))
    assert len(ways) == 9 and min(ways.values()) > 330 and max(ways.values()) < 470


def test_lent_captions_are_as_long_as_one_s_own_where_unlike_ones_are_longer():
    """Long captions have few words of one's own among theirs, and short ones many."""
    words = [f"x{number}" for number in range(60)]
    rng = np.random.default_rng(0)
    texts = [" ".join(["a", *rng.choice(words, size=1 + 19 * (i % 2), replace=False)]) for i in range(400)]
    length = np.array([len(text) for text in texts])
    lent, far = lend(Captions([[text] for text in texts])), unlike(texts, range(400))
    assert length[lent].mean() == length.mean() < 0.95 * length[far].mean()
    assert Counter(lent.tolist()).most_common(1)[0][1] == 1 < Counter(far.tolist()).most_common(1)[0][1]


def test_where_too_few_say_something_else_an_image_is_lent_nothing():
    captions = Captions([["A dog"], ["a  dog"], [], ["a DOG"], ["two cats"]])
    lent = lend(captions)
    assert lent[3] in (0, 1, 2) and sorted(lent[:3]) == [-1, -1, 3]
    assert lend(Captions([["a dog"], ["a dog"]])).tolist() == [-1, -1]
    assert lend(Captions([[], []])).tolist() == lend(Captions([])).tolist() == []


def test_a_few_of_others_are_random_all_different_and_never_one_s_own():
    captions = Captions([["a dog", "a cat"], ["A cat"], ["a horse", "a bird"], ["a cow"]])
    seen = Counter()
    for seed in range(300):
        drawn = some_of_others(captions, 0, 2, seed)
        assert len(set(drawn)) == 2
        seen.update(captions.texts[i] for i in drawn)
    assert set(seen) == {"a horse", "a bird", "a cow"} and min(seen.values()) > 160
    assert len(some_of_others(captions, 0, 9)) == 3 and len(some_of_others(captions, 1, 0)) == 0


def test_a_few_of_others_follow_from_seed_and_image_alone():
    captions = Captions([[f"w{i}"] for i in range(200)])
    one = some_of_others(captions, 7, 5, seed=1).tolist()
    assert one == some_of_others(captions, 7, 5, seed=1).tolist()
    assert one != some_of_others(captions, 7, 5, seed=2).tolist() != some_of_others(captions, 8, 5, seed=2).tolist()
