"""What the error texts of engines and libraries mean: rows from words to a cause, a way out and commands.

The wording is that of the engines' and libraries' sources, of small models broken on purpose, and of public incident
reports (column `source`). Used by the final stage, for what it tried itself and for the log of the server it started,
and for logs that users paste.
"""

from autoglm_doctor.domain.signatures.details import details
from autoglm_doctor.domain.signatures.fixes import download_command, fix_for
from autoglm_doctor.domain.signatures.matching import Matcher, Symptom, recognise, symptoms_of
from autoglm_doctor.domain.signatures.row import MEASURED, REPORTS, Signature, Sure
from autoglm_doctor.domain.signatures.table import SUBJECTS, TABLE
from autoglm_doctor.domain.signatures.versions import GLM4V_TRANSFORMERS

__all__ = [
    "GLM4V_TRANSFORMERS",
    "MEASURED",
    "REPORTS",
    "SUBJECTS",
    "TABLE",
    "Matcher",
    "Signature",
    "Sure",
    "Symptom",
    "details",
    "download_command",
    "fix_for",
    "recognise",
    "symptoms_of",
]
