"""Metrics of classification that training, reporters and evaluation share."""
