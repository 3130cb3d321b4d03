"""Reports: what a search did, in pictures and tables for somebody who was not there."""
