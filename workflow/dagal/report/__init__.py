"""Tables, figures and statistics of a study."""
