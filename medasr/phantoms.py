"""Phrases that Whisper writes where nobody speaks: the ends of videos, and who subtitled them.

It learned from subtitled videos, and writes their last words on silence and noise, often with confidence. That these are few and the
same again and again was found by Barański et al. 2025 (https://arxiv.org/abs/2501.11378), who look for them in the text; the phrases here
are such as people report in https://github.com/openai/whisper/discussions/928. People say some of them, too: the phrase alone is
no proof.
"""

from __future__ import annotations

import re

#: In lower case, words only; what is said to a camera, and what one person says to another.
_PHANTOMS = frozenset(
    """
thanks for watching
thank you for watching
thank you so much for watching
thanks for watching and see you next time
thank you for watching and see you next time
thanks for listening
thank you for listening
please subscribe
please subscribe to my channel
please like and subscribe
like and subscribe
don't forget to subscribe
see you next time
see you in the next video
i'll see you next time
i'll see you in the next video
subtitles by the amara org community
subtitles by
subtitles
transcription by castingwords
music
applause
the end
thank you
thank you very much
thank you so much
thanks
you
bye
bye bye
goodbye
""".strip().splitlines()
)


def is_phantom(text: str) -> bool:
    """Whether a window's whole text is one of these phrases, said once or several times; case and punctuation do not count."""
    words = re.findall(r"[\w']+", text.lower().replace("’", "'"))
    return any(
        " ".join(words[:size]) in _PHANTOMS and words == words[:size] * (len(words) // size)
        for size in range(1, len(words) + 1)
        if len(words) % size == 0
    )
