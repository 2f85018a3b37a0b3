"""Heat maps that show what a decision rests on."""
