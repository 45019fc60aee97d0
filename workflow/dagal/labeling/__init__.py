"""A person as the oracle: the answers, who waits for them, the page on which they are given, and the formats of other tools."""
