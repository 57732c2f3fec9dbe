"""The experiment that can falsify rank allocation by CKA: arms, runs, verdict, report."""
