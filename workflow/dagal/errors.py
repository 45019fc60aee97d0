MOST_LETTERS = 2000  # of a sentence


class UserError(Exception):
    """A mistake of the user: one sentence that says what is wrong, where, and what to do. Shown without a traceback.

    Names and values of the user in it cannot steer a terminal or fill it: what is not printable is written as its escape, and of a
    sentence above `MOST_LETTERS` the middle is left out.
    """

    def __init__(self, sentence: str):
        if not sentence.isprintable():
            sentence = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)
        if len(sentence) > MOST_LETTERS:
            half = MOST_LETTERS // 2
            sentence = f"{sentence[:half]} ... {sentence[-half:]}"
        super().__init__(sentence)
