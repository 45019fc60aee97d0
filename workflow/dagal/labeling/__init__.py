"""A person as the oracle: the answers, who waits for them, the page on which they are given, and the formats of other tools."""


def by_person(settings: dict) -> bool:
    """Whether people label in a study with these resolved settings."""
    return settings["oracle"].get("kind") == "person"
