"""Swapped captions: another image's, saying something else, chosen by seed and image alone."""

import time

import numpy as np

from inpaint.evaluation.swap import shared_words, swap

ANIMALS = ["dog", "cat", "horse", "bird", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"]
PLACES = ["beach", "street", "kitchen", "field", "mountain", "river", "room", "park", "snow", "desert"]


def captions(n):
    return [f"a {ANIMALS[i % 10]} stands in the {PLACES[i // 10 % 10]}" for i in range(n)]


def test_every_image_gets_another_image_with_another_caption():
    texts = captions(300)
    chosen = swap(texts, range(300))
    assert (chosen >= 0).all()
    assert all(other != i and texts[other] != texts[i] for i, other in enumerate(chosen))


def test_chosen_captions_share_fewer_words_than_chance():
    texts = captions(100)
    common = 4 / 6  # "a", "stands", "in", "the": every caption has them
    shared = [shared_words(texts[i], texts[other]) for i, other in enumerate(swap(texts, range(100)))]
    assert max(shared) <= common  # neither the animal nor the place is the image's own
    assert np.mean([shared_words(texts[i], texts[(i + 1) % 100]) for i in range(100)]) > common


def test_choice_for_an_image_does_not_depend_on_which_others_are_asked_for():
    texts = captions(200)
    whole = swap(texts, range(200), seed=5)
    some = [150, 3, 77]
    assert swap(texts, some, seed=5).tolist() == whole[some].tolist()
    assert swap(texts, range(200), seed=6).tolist() != whole.tolist()


def test_images_without_caption_neither_borrow_nor_lend():
    texts = ["a dog", "", "a cat", ""]
    assert swap(texts, range(4)).tolist() == [2, -1, 0, -1]


def test_paraphrase_in_case_and_space_is_no_swap():
    assert swap(["A dog", "a  dog", "a DOG"], range(3)).tolist() == [-1, -1, -1]


def test_the_one_different_caption_is_found_among_many_equal_ones():
    texts = ["a dog"] * 500 + ["two cats"]
    assert swap(texts, [0, 250, 499]).tolist() == [500, 500, 500]
    assert texts[swap(texts, [500])[0]] == "a dog"


def test_caption_without_a_word_in_it_can_be_swapped():
    assert swap(["???", "a dog", " "], range(3)).tolist()[0] in (1, 2)


def test_work_grows_with_the_number_of_images_not_its_square():
    def seconds(texts):
        start = time.process_time()
        swap(texts, range(len(texts)))
        return time.process_time() - start

    assert seconds(captions(1200)) < 24 * seconds(captions(200))  # 36 times if every pair were compared
    assert seconds(["a dog"] * 1200 + ["a cat"]) < 24 * seconds(["a dog"] * 200 + ["a cat"])
