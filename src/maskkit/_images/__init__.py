"""Images of any form, and the pixels that a network takes."""
