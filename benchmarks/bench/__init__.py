"""`tieout bench`: every hop beside its physical limit and beside what a user would pick instead, in one run."""
