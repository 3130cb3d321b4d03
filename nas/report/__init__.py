"""Reports: a run as one page for somebody who was not there."""
