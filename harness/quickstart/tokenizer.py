"""The tokenizer of the built-in model: every pool value is one token, in every position.

WordPiece (greedy longest match) over byte-level pieces, so any text can be encoded. A word that
follows punctuation gets the same token as one that follows a space: the normaliser glues them with
a unit separator that the decoder removes. Single spaces survive; a leading space does not.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.quickstart.pools import OWN_POOLS, SPLITS, pools, training_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SPECIALS = ("<pad>", "</s>", "<|user|>", "<|assistant|>", "<|end|>", "<|system|>", "<unk>")
GLUE = "\x1f"
_FREQUENT_COUNT = 60
_GLUED = "'\"([{<>=:-/.,;!?&*+%#@$|~^`\\)]}"
_WORD = re.compile(r"\w+|[^\w\s]+")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "<|assistant|>{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def _pieces() -> list[str]:
    """Pieces of unknown words: letters, and consonant-vowel pairs in both orders."""
    vowels, lower = "aeiouy", string.ascii_lowercase
    pairs = [a + b for a in lower for b in vowels]
    pairs += [a + b for a in "aeiou" for b in "lmnrstk"]
    starts = [" " + a for a in string.ascii_letters]
    starts += [" " + a + b for a in string.ascii_uppercase for b in "aeiouh"]
    return sorted(set(pairs)) + sorted(set(starts))


def vocabulary(texts: Iterable[str]) -> list[str]:
    """Return the vocabulary in order: specials, bytes, numbers, values, words, pieces.

    Args:
        texts: Sample of training text. A word or punctuation run of it becomes a token when it is
            frequent, which made-up words are not; words of the content files always do.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    counts = Counter(w for text in texts for w in _WORD.findall(text))
    words: list[str] = [f" {n}" for n in range(1000)]
    words += [
        f" {v}"
        for name, pool in pools().items()
        if name not in OWN_POOLS
        for split in SPLITS
        for v in pool[split]
    ]
    words += [f" {w}" for w in sorted(training_words()) if not w.isdigit()]
    for word, count in sorted(counts.items()):
        known = word.lower() in training_words()
        if count >= (3 if known else _FREQUENT_COUNT) and not word.isdigit() and "|" not in word:
            if word[0].isalnum():
                words.append(f" {word}")
            else:
                words += [word, word + GLUE, f" {word}", f" {word}{GLUE}"]
    words += _pieces()
    encoder = {" ": "Ġ", GLUE: _byte_char(GLUE)}
    encoded = ["".join(encoder.get(c, c) for c in w) for w in words if w.isascii()]
    return list(dict.fromkeys([*SPECIALS, *sorted(ByteLevel.alphabet()), *encoded]))


def _byte_char(text: str) -> str:
    """Return the printable character that byte-level encoding uses for a control byte."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return str(pieces[0][0])


def build_tokenizer(vocab: list[str]) -> PreTrainedTokenizerFast:
    """Return the tokenizer over ``vocab`` with the chat template and special tokens."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=_splitter(vocab),
        eos_token="<|end|>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["</s>", "<|user|>", "<|assistant|>", "<|system|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
        padding_side="right",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _splitter(vocab: list[str]) -> Tokenizer:
    """Return the longest-match tokenizer that gives a word one id wherever it stands."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import WordPiece

    tokenizer = Tokenizer(
        WordPiece(
            {t: i for i, t in enumerate(vocab)},
            unk_token="<unk>",
            max_input_chars_per_word=100_000,
            continuing_subword_prefix="",
        )
    )
    glue = [normalizers.Replace(Regex(re.escape(p) + r"(?=\w)"), f"{p}{GLUE} ") for p in _GLUED]
    # A zero-width pattern makes the library panic, so every one consumes a character.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Prepend(" "),
            normalizers.Replace(Regex(r"\A  "), " "),
            normalizers.Replace(Regex(r"\A (?=[^\w\s])"), ""),
            *glue,
            normalizers.Replace(Regex(r"\n(?=\w)"), f"\n{GLUE} "),
        ]
    )
    split = Regex(rf" ?\w+| ?[^\w\s{GLUE}]+{GLUE}?|\n{GLUE}?|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteLevel(),
            decoders.Replace(f"{GLUE} ", ""),
            decoders.Replace(GLUE, ""),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    return tokenizer
