"""autoglm-doctor: a preflight doctor for machines that serve language and vision-language models."""

__version__ = "0.1.0"
