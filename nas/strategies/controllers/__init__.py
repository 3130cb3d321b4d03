"""Controllers: the policies of REINFORCE. One per file; new files are found automatically."""

from nas.records import import_all

import_all(__name__)
