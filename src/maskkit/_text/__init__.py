"""Text: one place that writes and shows it, whatever it contains. Nothing heavy is imported here."""

from maskkit._text.json import print_json, to_json
from maskkit._text.names import MAX_LABEL_BYTES, MAX_STEM_BYTES, check_path, escape_text, shorten_name
from maskkit._text.secrets import hide_secrets

__all__ = [
    "MAX_LABEL_BYTES",
    "MAX_STEM_BYTES",
    "check_path",
    "escape_text",
    "hide_secrets",
    "print_json",
    "shorten_name",
    "to_json",
]
