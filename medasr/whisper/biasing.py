"""Terms of a list are preferred where they are nearly as likely as what was written.

Shallow fusion with a trie (Le et al. 2021, arXiv 2104.02194): a term earns a bonus for each of its tokens while it is spelled, up to a maximum, and
loses it again where the text goes another way before the term is complete. So a beginning alone is worth nothing, nor is a term as a part
of a longer word. What is chosen here is a text; the probabilities that are reported stay the model's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from medasr.types import TermLists
    from medasr.whisper.decoding import DecodedWindow, DecodingTokens

#: How byte-level tokenizers write a space and the end of a line.
_SPACES = "ĠĊ"


class Spelled(NamedTuple):
    """Where a text stands: at which node of the trie, and what the terms before have earned."""

    node: int = 0
    settled: float = 0.0


#: Nothing is written yet.
START = Spelled()


class Found(NamedTuple):
    """A term of the list in a text."""

    term: int  #: its place in the list
    first: int  #: of its tokens
    last: int
    bonus: float


@dataclass(kw_only=True)
class _Node:
    """What was spelled so far; the root is nothing."""

    value: float = 0.0  #: earned here, natural logarithm
    fallback: float = 0.0  #: what stays of it if the text goes another way in the middle of a word
    term: int | None = None  #: complete here
    children: dict[int, int] = field(default_factory=dict)


class TermBias:
    """The terms of one list as tokens, in a trie."""

    def __init__(
        self,
        spellings: Iterable[tuple[int, Sequence[int]]] = (),
        within: frozenset[int] = frozenset(),
        *,
        weight: float = 0.0,
        maximum: float = 0.0,
    ) -> None:
        """Given each way to spell a term as its place in the list and its tokens, the tokens that go on with a word, and what a term earns.

        That is ``weight`` for each token and ``maximum`` at most, natural logarithms.
        """
        self._within = within
        self._nodes = [_Node()]
        for term, tokens in spellings:
            self._add(term, tokens, weight, maximum)
        for node in self._nodes:  # those farther up first
            for token, child in node.children.items():
                ends = node.term is not None and token not in within
                self._nodes[child].fallback = node.value if ends else node.fallback

    def __bool__(self) -> bool:
        """Whether there is any term."""
        return len(self._nodes) > 1

    def advance(self, spelled: Spelled, token: int) -> Spelled:
        """Where a text stands after another token. The end of the text is one, too: what it leaves incomplete is lost."""
        node = self._nodes[spelled.node]
        if token in node.children:
            return spelled._replace(node=node.children[token])
        complete = node.term is not None and token not in self._within
        settled = spelled.settled + (node.value if complete else node.fallback)
        return Spelled(self._nodes[0].children.get(token, 0), settled)

    def earned(self, spelled: Spelled) -> float:
        """What the terms of a text have earned, with the one that is being spelled; natural logarithm."""
        return spelled.settled + self._nodes[spelled.node].value

    @property
    def starting(self) -> dict[int, float]:
        """The tokens that begin a term, and what they earn."""
        return {token: self._nodes[child].value for token, child in self._nodes[0].children.items()}

    def going_on(self, place: int) -> dict[int, float]:
        """The tokens that go on with the term at a node, and what a text gains by them over one that goes another way."""
        node = self._nodes[place]
        stays = node.fallback if node.term is None else node.value
        return {token: self._nodes[child].value - stays for token, child in node.children.items()} if place else {}

    def find(self, tokens: Sequence[int]) -> Iterator[Found]:
        """The terms of the list in a text, in order: at each place the longest, and none within another."""
        first = 0
        while first < len(tokens):
            found = self._longest(tokens, first)
            if found:
                yield found
            first = found.last + 1 if found else first + 1

    def _longest(self, tokens: Sequence[int], first: int) -> Found | None:
        """The longest term that begins at a place and ends with a word."""
        node, found = self._nodes[0], None
        for place in range(first, len(tokens)):
            if tokens[place] not in node.children:
                break
            node = self._nodes[node.children[tokens[place]]]
            ends = place + 1 == len(tokens) or tokens[place + 1] not in self._within
            if node.term is not None and ends:
                found = Found(node.term, first, place, node.value)
        return found

    def words(self, tokens: Sequence[int]) -> list[tuple[int, ...]]:
        """The places of each word's tokens; punctuation stands for itself."""
        groups: list[list[int]] = []
        for place, token in enumerate(tokens):
            if groups and token in self._within:
                groups[-1].append(place)
            else:
                groups.append([place])
        return [tuple(group) for group in groups]

    def _add(self, term: int, tokens: Sequence[int], weight: float, maximum: float) -> None:
        place = 0
        for depth, token in enumerate(tokens, start=1):
            node = self._nodes[place]
            if token not in node.children:
                node.children[token] = len(self._nodes)
                self._nodes.append(_Node(value=min(weight * depth, maximum)))
            place = node.children[token]
        if place:
            self._nodes[place].term = term


#: No list: nothing is preferred.
NO_BIAS = TermBias()


def term_bias(terms: Sequence[str], tokenizer: Any, options: TermLists) -> TermBias:
    """The bias of a list of terms, given the model's tokenizer and what a term earns.

    A term stands behind a space, as written in the list, in small letters, or with a capital.
    """
    spellings = [
        (place, tokenizer(f" {spelling}", add_special_tokens=False).input_ids)
        for place, term in enumerate(terms)
        for spelling in dict.fromkeys((term, term.lower(), term[:1].upper() + term[1:]))
    ]
    return TermBias(spellings, continuing_tokens(tokenizer), weight=options.weight, maximum=options.maximum)


def continuing_tokens(tokenizer: Any) -> frozenset[int]:
    """Those of a byte-level tokenizer's tokens that go on with a word: they begin with a letter, a digit or a part of one."""
    pieces = tokenizer.convert_ids_to_tokens(range(tokenizer.vocab_size))
    return frozenset(
        token
        for token, piece in enumerate(pieces)
        if piece and piece[0] not in _SPACES and (piece[0].isalnum() or not piece[0].isascii())
    )


def preferred(plain: DecodedWindow, biased: DecodedWindow, bias: TermBias, tokens: DecodingTokens) -> DecodedWindow:
    """Of a window's text without and with a list the one to be taken; in the latter it is marked which words are other ones.

    That with the list is taken only where it has more of the terms and all of them that stood there before, in place of other words and
    not beside them, and where what they earn outweighs by how much the text as a whole is less likely.
    """
    if biased.truncated or plain.truncated:
        return plain
    before, after = list(bias.find(plain.tokens)), list(bias.find(biased.tokens))
    gain = sum(found.bonus for found in after) - sum(found.bonus for found in before)
    lost = Counter(found.term for found in before) - Counter(found.term for found in after)
    if gain <= 0 or lost or _likelihood(biased, tokens) + gain <= _likelihood(plain, tokens):
        return plain
    other, added = _changes(plain, biased, bias, tokens)
    if any(place in added for found in after for place in range(found.first, found.last + 1)):
        return plain
    return replace(biased, biased=other)


def _likelihood(decoded: DecodedWindow, tokens: DecodingTokens) -> float:
    """The natural log-probability of words and end."""
    return sum(decoded.words(tokens)) + (decoded.end_log_probability or 0.0)


def _changes(
    plain: DecodedWindow, biased: DecodedWindow, bias: TermBias, tokens: DecodingTokens
) -> tuple[frozenset[int], frozenset[int]]:
    """The places in a text of the words that do not stand in the other, and of those among them that stand in nobody's place."""
    (old, _), (new, places) = (_words(one, bias, tokens) for one in (plain, biased))
    other: set[int] = set()
    added: set[int] = set()
    for kind, _, _, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            changed = [place for word in places[first:last] for place in word]
            other.update(changed)
            added.update(changed if kind == "insert" else ())
    return frozenset(other), frozenset(added)


def _words(
    decoded: DecodedWindow, bias: TermBias, tokens: DecodingTokens
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """A text's words as tokens, without times, and the places of these."""
    places = [word for word in bias.words(decoded.tokens) if decoded.tokens[word[0]] < tokens.timestamp_begin]
    return [tuple(decoded.tokens[place] for place in word) for word in places], places
