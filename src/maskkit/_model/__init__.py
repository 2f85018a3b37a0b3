"""The estimators, and the results that they return."""
