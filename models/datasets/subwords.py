"""Parts of words, learned by byte-pair encoding on the characters of frequent words.

Sennrich, Haddow and Birch, ACL 2016, https://arxiv.org/abs/1508.07909. A text is cut by the longest
part that fits (`models.datasets.cells.subwords`): Uzan et al., ACL 2024, find the cut by merges no
better, https://arxiv.org/abs/2403.01289.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping

BEGINNING = "\u2581"
"""Before the first part of a word of more than one character."""

LONGEST = 16
"""Characters of a part, the sign of a beginning among them; `cells.subwords` looks no further."""

MOST_MERGES = 4096


def learned(words: Mapping[str, int], most: int) -> list[str]:
    """At most `most` parts of words that stand so often in the training split: the sign of a
    beginning, every character, the most frequent first, and what merging makes of them. The same
    for the same words, in whatever order.

    No more merges than half the different words: then they are not whole words again.
    """
    signs: Counter[str] = Counter()
    for word, count in words.items():
        for sign in word:
            signs[sign] += count
    signs.pop("\ufffd", None)
    alphabet = sorted(signs, key=lambda sign: (-signs[sign], sign))
    long = {word: count for word, count in words.items() if len(word) > 1}
    merges = min(MOST_MERGES, len(long) // 2)
    alphabet = [sign for sign in alphabet if sign != BEGINNING][: most - 1 - merges]
    return [BEGINNING, *alphabet, *(_merged(long, merges) if merges else [])]


def _merged(words: Mapping[str, int], merges: int) -> list[str]:
    """Parts of two characters and more."""
    import sentencepiece  # 30 ms: for uploads of texts alone

    model = io.BytesIO()
    signs = {sign for word in words for sign in word} | {BEGINNING}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{count}" for word, count in sorted(words.items())),
        input_format="tsv",
        model_writer=model,
        model_type="bpe",
        vocab_size=1 + len(signs) + merges,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentencepiece_length=LONGEST,
        max_sentence_length=2**30,
        normalization_rule_name="identity",
        split_by_unicode_script=False,
        split_by_number=False,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    found = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [found.id_to_piece(number) for number in range(1, found.get_piece_size())]
    return [piece for piece in pieces if 1 < len(piece) <= LONGEST]
