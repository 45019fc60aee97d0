class UserError(Exception):
    """A mistake of the user: one sentence that says what is wrong, where, and what to do. Shown without a traceback."""
