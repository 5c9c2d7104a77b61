"""Medical files in, masks of the same kind and geometry out.

`find_cases` lists what a path holds, `Found.read` gives a `Case`, `Case.write` its mask.
Patients' names, ids and dates stay in the files: nothing here logs, prints or raises them.
"""

from samdomain_med.files.case import Case
from samdomain_med.files.finding import Found, find_cases

__all__ = ["Case", "Found", "find_cases"]
