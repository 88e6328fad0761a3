"""The referee: submissions taken in, rerun, scored outside, and written down.

records.py     a round, a rerun, a claim beside what was measured, the audit trail
workplace.py   where all of it lies
"""
